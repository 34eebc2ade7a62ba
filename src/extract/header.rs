//! A header of its own, such as `X-API-Key`.

use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;

use super::{ExtractKey, Found, trim};
use crate::key::Carrier;
use crate::key::KeyFormats;

/// Finds a key that is the whole value of one header.
#[derive(Clone, Debug)]
pub struct KeyHeader(HeaderName);

impl KeyHeader {
    /// Keys in the header `name`.
    pub const fn new(name: HeaderName) -> Self {
        Self(name)
    }

    pub(super) fn into_name(self) -> HeaderName {
        self.0
    }
}

impl Default for KeyHeader {
    /// `X-API-Key`.
    fn default() -> Self {
        Self(HeaderName::from_static("x-api-key"))
    }
}

impl ExtractKey for KeyHeader {
    fn carrier(&self) -> Carrier {
        Carrier::Header
    }

    fn find<'r>(&self, head: &'r Parts, _: &KeyFormats) -> Found<'r> {
        find(&head.headers, &self.0)
    }

    fn remove(&self, head: &mut Parts, _: &KeyFormats) {
        head.headers.remove(&self.0);
    }
}

pub(super) fn find<'r>(headers: &'r HeaderMap, name: &HeaderName) -> Found<'r> {
    let mut lines = headers.get_all(name).iter();
    match (lines.next(), lines.next()) {
        (None, _) => Found::Nothing,
        (Some(line), None) => read(line),
        (Some(_), Some(_)) => Found::Ambiguous,
    }
}

/// What the only line of this name holds.
pub(super) fn read(line: &HeaderValue) -> Found<'_> {
    Found::Text(trim(line.as_bytes()))
}
