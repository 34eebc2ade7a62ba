//! A header of its own, such as `X-API-Key`.

use http::HeaderName;
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
        let mut lines = head.headers.get_all(&self.0).iter();
        match (lines.next(), lines.next()) {
            (None, _) => Found::Nothing,
            (Some(line), None) => Found::Text(trim(line.as_bytes())),
            (Some(_), Some(_)) => Found::Ambiguous,
        }
    }

    fn remove(&self, head: &mut Parts, _: &KeyFormats) {
        head.headers.remove(&self.0);
    }
}
