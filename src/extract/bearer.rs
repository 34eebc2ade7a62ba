//! `Authorization: Bearer …`

use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use http::request::Parts;

use super::{ExtractKey, Found, is_blank, trim};
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
        find(&head.headers)
    }

    fn remove(&self, head: &mut Parts, _: &KeyFormats) {
        Self::remove(&mut head.headers);
    }
}

impl Bearer {
    pub(super) fn remove(headers: &mut HeaderMap) {
        headers.remove(AUTHORIZATION);
    }
}

pub(super) fn find(headers: &HeaderMap) -> Found<'_> {
    let mut lines = headers.get_all(AUTHORIZATION).iter();
    match (lines.next(), lines.next()) {
        (None, _) => Found::Nothing,
        (Some(line), None) => read(line),
        (Some(_), Some(_)) => Found::Ambiguous,
    }
}

/// What the only line of this name holds.
pub(super) fn read(line: &HeaderValue) -> Found<'_> {
    // As nearly everybody writes it.
    if let Some(text @ [first, .., last]) = line.as_bytes().strip_prefix(b"Bearer ")
        && !(is_blank(*first) || is_blank(*last))
    {
        return Found::Text(text);
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
