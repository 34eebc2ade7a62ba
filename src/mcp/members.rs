//! The members of a JSON object, strictly: each name once, in one spelling.
//!
//! Parsers differ in which of two equal members counts, and some match names without regard to
//! case. An object that two parsers may read in two ways is refused.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::BTreeSet;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};

use super::unreadable::Unreadable;

/// The most members of one object whose names mean nothing here.
const MAX_OTHERS: usize = 1_000;

/// Why a body is refused, for the errors of serde that can only carry a text.
#[derive(Debug, Default)]
pub(super) struct Fault(Cell<Option<Unreadable>>);

impl Fault {
    /// Notes the reason, and makes the error that ends the reading.
    pub(super) fn raise<E: Error>(&self, reason: Unreadable) -> E {
        self.0.set(Some(reason));
        E::custom(reason)
    }

    pub(super) fn reason(&self) -> Option<Unreadable> {
        self.0.get()
    }
}

/// The names that mean something in one sort of object.
pub(super) trait Member: Copy + 'static {
    const NAMES: &'static [(&'static str, Self)];

    /// A bit that no other member of the object has.
    fn bit(self) -> u16;
}

/// Writes an enum of members with their names.
macro_rules! members {
    ($(#[$doc:meta])* $object:ident { $($member:ident = $name:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy)]
        enum $object {
            $($member),+
        }

        impl $crate::mcp::members::Member for $object {
            const NAMES: &'static [(&'static str, Self)] = &[$(($name, Self::$member)),+];

            fn bit(self) -> u16 {
                1 << (self as u16)
            }
        }
    };
}
pub(super) use members;

/// The names of one object as they come.
pub(super) struct Members<'de, 'f, M> {
    fault: &'f Fault,
    seen: u16,
    others: BTreeSet<Cow<'de, str>>,
    of: PhantomData<M>,
}

impl<'de, 'f, M: Member> Members<'de, 'f, M> {
    pub(super) fn new(fault: &'f Fault) -> Self {
        Self {
            fault,
            seen: 0,
            others: BTreeSet::new(),
            of: PhantomData,
        }
    }

    /// The next member that means something; the others are read over.
    pub(super) fn next<A: MapAccess<'de>>(&mut self, map: &mut A) -> Result<Option<M>, A::Error> {
        while let Some(name) = map.next_key_seed(Name(PhantomData::<M>))? {
            match name {
                Found::Member(member) => {
                    if self.seen & member.bit() != 0 {
                        return Err(self.fault.raise(Unreadable::Duplicate));
                    }
                    self.seen |= member.bit();
                    return Ok(Some(member));
                }
                Found::Other(name) => {
                    self.note(name)?;
                    map.next_value::<serde::de::IgnoredAny>()?;
                }
            }
        }
        Ok(None)
    }

    fn note<E: Error>(&mut self, name: Cow<'de, str>) -> Result<(), E> {
        if M::NAMES
            .iter()
            .any(|(known, _)| differs_in_case(&name, known))
        {
            return Err(self.fault.raise(Unreadable::OtherCase));
        }
        if self.others.len() == MAX_OTHERS {
            return Err(self.fault.raise(Unreadable::TooMany));
        }
        if self.others.insert(name) {
            Ok(())
        } else {
            Err(self.fault.raise(Unreadable::Duplicate))
        }
    }
}

/// Whether a parser without regard to case would take `name` for `known`.
///
/// Go's does, and folds two characters outside ASCII to letters: the long s and the Kelvin sign.
fn differs_in_case(name: &str, known: &str) -> bool {
    let fold = |character: char| match character {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        other => other.to_ascii_lowercase(),
    };
    name.chars().map(fold).eq(known.chars().map(fold))
}

enum Found<'de, M> {
    Member(M),
    Other(Cow<'de, str>),
}

struct Name<M>(PhantomData<M>);

impl<M: Member> Name<M> {
    fn find(name: &str) -> Option<M> {
        M::NAMES
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, member)| *member)
    }
}

impl<'de, M: Member> DeserializeSeed<'de> for Name<M> {
    type Value = Found<'de, M>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de, M: Member> Visitor<'de> for Name<M> {
    type Value = Found<'de, M>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a member")
    }

    fn visit_borrowed_str<E: Error>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(Self::find(name).map_or(Found::Other(name.into()), Found::Member))
    }

    // The name was written with escapes; it is compared as what it means.
    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Self::find(name).map_or_else(|| Found::Other(name.to_owned().into()), Found::Member))
    }
}
