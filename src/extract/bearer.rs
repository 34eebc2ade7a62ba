//! `Authorization: Bearer …`

use http::header::AUTHORIZATION;
use http::request::Parts;

use super::{ExtractKey, Found, trim};
use crate::key::Carrier;
use crate::key::KeyFormats;

/// Finds a key in `Authorization: Bearer <key>` (RFC 6750). The scheme's case does not matter.
///
/// Other schemes are somebody else's and count as nothing presented. Two `Authorization` lines are
/// ambiguous whatever their schemes: the field may stand only once.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Bearer;

impl Bearer {
    /// The extractor.
    pub const fn new() -> Self {
        Self
    }
}

const SCHEME: &[u8] = b"bearer";

impl ExtractKey for Bearer {
    fn carrier(&self) -> Carrier {
        Carrier::Bearer
    }

    fn find<'r>(&self, head: &'r Parts, _: &KeyFormats) -> Found<'r> {
        let mut lines = head.headers.get_all(AUTHORIZATION).iter();
        let Some(line) = lines.next() else {
            return Found::Nothing;
        };
        if lines.next().is_some() {
            return Found::Ambiguous;
        }
        let Some((scheme, rest)) = trim(line.as_bytes()).split_at_checked(SCHEME.len()) else {
            return Found::Nothing;
        };
        if !scheme.eq_ignore_ascii_case(SCHEME) {
            return Found::Nothing;
        }
        match rest.iter().position(|&byte| byte != b' ') {
            // "BearerX" is a scheme of another name, a tab or no key at all a failed attempt.
            Some(0) if rest.first() != Some(&b'\t') => Found::Nothing,
            Some(0) | None => Found::Malformed,
            Some(start) => rest.get(start..).map_or(Found::Malformed, Found::Text),
        }
    }

    fn remove(&self, head: &mut Parts, _: &KeyFormats) {
        head.headers.remove(AUTHORIZATION);
    }
}
