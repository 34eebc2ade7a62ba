//! Names: of a key, its handle, its owner, and the servers it opens.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::base62;
use crate::clock::Timestamp;

/// The permanent name of a key. It survives every rotation and is never used twice.
///
/// Printed as `key_` and 22 base 62 characters. Ids sort by the time of their making, as numbers
/// and as texts alike; ids of one millisecond are in no particular order.
///
/// ```
/// use mcp_api_keys::{Timestamp, key::KeyId};
///
/// let id = KeyId::generate(Timestamp::from_millis(1_785_232_800_000));
/// assert_eq!(id.to_string().parse::<KeyId>()?, id);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyId(u128);

impl KeyId {
    const PREFIX: &str = "key_";
    const DIGITS: usize = 22;

    /// A new name: the time, then 80 bits from the operating system's random source.
    ///
    /// # Panics
    ///
    /// If the operating system has no randomness to give.
    pub fn generate(created_at: Timestamp) -> Self {
        let mut bytes = [0; 16];
        base62::fill_random(&mut bytes);
        let millis = u128::try_from(created_at.as_millis()).unwrap_or(0);
        Self(millis << 80 | u128::from_le_bytes(bytes) >> 48)
    }

    /// The name of the one key that serves a purpose. Whoever makes that key makes it under this
    /// name, so there cannot be two of it. It sorts before every generated one.
    pub(crate) fn of_the_one(purpose: &str) -> Self {
        use sha2::{Digest, Sha256};

        let digest = Sha256::new()
            .chain_update(b"mcp-api-keys:the-one-key\0")
            .chain_update(purpose)
            .finalize();
        let number = digest
            .iter()
            .take(10)
            .fold(0_u128, |number, byte| number << 8 | u128::from(*byte));
        Self(number)
    }

    /// The number behind the name, for use as a binary key.
    pub const fn as_u128(self) -> u128 {
        self.0
    }

    /// The name with this number.
    pub const fn from_u128(number: u128) -> Self {
        Self(number)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::PREFIX)?;
        base62::encode::<{ Self::DIGITS }>(self.0)
            .iter()
            .try_for_each(|&digit| fmt::Write::write_char(f, char::from(digit)))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for KeyId {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const SHAPE: InvalidText = InvalidText("must be key_ and 22 letters or digits");
        let digits = text.strip_prefix(Self::PREFIX).ok_or(SHAPE)?;
        if digits.len() != Self::DIGITS {
            return Err(SHAPE);
        }
        digits
            .bytes()
            .try_fold(0_u128, |number, digit| {
                let value = base62::value(digit)?;
                number.checked_mul(62)?.checked_add(u128::from(value))
            })
            .map(Self)
            .ok_or(SHAPE)
    }
}

impl TryFrom<String> for KeyId {
    type Error = InvalidText;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<KeyId> for String {
    fn from(id: KeyId) -> Self {
        id.to_string()
    }
}

/// Why a text is no valid name; prints what it must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidText(&'static str);

impl InvalidText {
    pub(super) const fn new(expectation: &'static str) -> Self {
        Self(expectation)
    }

    /// What a valid text looks like.
    pub const fn expectation(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for InvalidText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for InvalidText {}

macro_rules! text_name {
    ($(#[$doc:meta])* $name:ident, $valid:expr, $expectation:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(SmolStr);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidText;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) {
                    Ok(Self(text.into()))
                } else {
                    Err(InvalidText($expectation))
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidText;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.as_str().to_owned()
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(self.as_str(), f)
            }
        }
    };
}

text_name!(
    /// The public part of a key: what it is looked up by, and what logs and lists show.
    ///
    /// The first eight characters after the prefix, or the id segment of a segmented key.
    Handle,
    |text| (1..=64).contains(&text.len()) && base62::is_base62(text.as_bytes()),
    "must be 1 to 64 letters or digits"
);

text_name!(
    /// Whom a key belongs to: a user, a team or a service, by the name your system has for it.
    OwnerId,
    |text| (1..=128).contains(&text.len()) && !text.chars().any(char::is_control),
    "must be 1 to 128 bytes without control characters"
);

text_name!(
    /// The name of a server or project that keys are granted for.
    ServerName,
    |text| (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-')),
    "must be 1 to 64 letters, digits, '.', '_' or '-'"
);

text_name!(
    /// The name of a [`Plan`](super::Plan).
    PlanName,
    |text| (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-')),
    "must be 1 to 64 lower-case letters, digits, '_' or '-'"
);

text_name!(
    /// The program that a [`Connection`](super::Connection) was made for, by its own id.
    ClientId,
    |text| (1..=512).contains(&text.len()) && !text.chars().any(char::is_control),
    "must be 1 to 512 bytes without control characters"
);

impl ClientId {
    /// A new id, for a program that registers without one: `mcpc_` and 22 random base 62 digits.
    ///
    /// # Panics
    ///
    /// If the operating system has no randomness to give.
    pub(crate) fn generate() -> Self {
        let mut id = String::from("mcpc_");
        id.extend(base62::random::<22>().map(char::from));
        Self(id.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_survive_printing_and_parsing() {
        for number in [0, 1, u128::MAX] {
            let id = KeyId::from_u128(number);
            assert_eq!(id.to_string().len(), 26);
            assert_eq!(id.to_string().parse(), Ok(id));
        }
    }

    #[test]
    fn ids_sort_by_the_time_of_their_making() {
        let ids = [0, 1, 1_785_232_800_000, 253_402_207_199_999]
            .map(|millis| KeyId::generate(Timestamp::from_millis(millis)));
        assert!(ids.is_sorted());
        assert!(ids.map(|id| id.to_string()).is_sorted());
    }

    #[test]
    fn ids_that_overflow_or_have_other_shapes_are_refused() {
        for text in [
            "",
            "key_",
            "key_zzzzzzzzzzzzzzzzzzzzzz",
            "key_000000000000000000000",
            "id_0000000000000000000000",
            "key_00000000000000000000-0",
        ] {
            assert!(text.parse::<KeyId>().is_err(), "{text}");
        }
    }

    #[test]
    fn names_with_control_characters_or_without_characters_are_refused() {
        assert!("".parse::<OwnerId>().is_err());
        assert!("a\nb".parse::<OwnerId>().is_err());
        assert!("Zoë".parse::<OwnerId>().is_ok());
        assert!("files/etc".parse::<ServerName>().is_err());
        assert!("*".parse::<ServerName>().is_err());
        assert!("a".repeat(65).parse::<ServerName>().is_err());
    }
}
