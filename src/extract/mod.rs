//! Where in a request a key stands.
//!
//! 1. A key stands in exactly one place. Two places, or the same place twice, are refused as
//!    ambiguous, even if both hold the same key.
//! 2. What is presented is compared byte for byte and never decoded.
//! 3. Query strings and cookies are never looked at: they end up in logs and in other people's
//!    requests.
//! 4. Once a request is admitted the key is taken out of it, so that no handler and no upstream
//!    can log it or pass it on.

mod bearer;
mod header;
mod path;
mod places;

use std::fmt;

use http::request::Parts;

pub use self::bearer::Bearer;
pub use self::header::KeyHeader;
pub(crate) use self::path::without_attempts;
pub use self::path::{InvalidPathTemplate, PathKey};
pub(crate) use self::places::Places;
use crate::key::Carrier;
use crate::key::KeyFormats;

/// A place in a request where a key may stand.
///
/// Implement it to look somewhere else; one file, then
/// [`ApiKeyLayer::extractor`](crate::layer::ApiKeyLayer::extractor).
pub trait ExtractKey: fmt::Debug + Send + Sync + 'static {
    /// What to call the place in [`KeyContext::carrier`](crate::KeyContext::carrier).
    fn carrier(&self) -> Carrier;

    /// Looks for a key, without judging whether it is a good one. `formats` are the accepted ones,
    /// for places where only their prefixes tell a key from something else.
    fn find<'r>(&self, head: &'r Parts, formats: &KeyFormats) -> Found<'r>;

    /// Takes the key out of the request. Called for every request that has one here.
    fn remove(&self, head: &mut Parts, formats: &KeyFormats);
}

/// What stands in one place.
#[derive(Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "extractors outside the crate build it, the gate handles all"
)]
pub enum Found<'r> {
    /// Nothing that would be a key.
    Nothing,
    /// This text, presented as a key.
    Text(&'r [u8]),
    /// An attempt at presenting a key that cannot be one.
    Malformed,
    /// More than one key.
    Ambiguous,
}

impl fmt::Debug for Found<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "Nothing",
            Self::Text(_) => "Text(…)",
            Self::Malformed => "Malformed",
            Self::Ambiguous => "Ambiguous",
        })
    }
}

fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

/// `text` without the spaces and tabs around it, which are no part of a header's value.
fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}
