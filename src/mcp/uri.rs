//! Whether a key may read the resource of a URI.
//!
//! Rules compare characters, servers resolve URIs, and a resource has more URIs than one. So for a
//! key with rules for resources:
//!
//! 1. A URI that a server may well resolve to another place than it seems to name is refused:
//!    with `.` or `..` as a segment, white space, control characters, a backslash, or a scheme not
//!    in lower case. Percent-encoding does not hide these.
//! 2. The rules must permit the URI both as it is written and with its percent-encoding undone.
//!
//! A template of URIs is judged like a URI. So it is permitted only by a pattern that matches all
//! that can be made of it, and denied only by one of these; what is made of it is judged again when
//! it is read.
//!
//! What is left is what depends on the server: whether it tells a name in upper case from one in
//! lower case, or follows links. To confine a key, allow.

use std::borrow::Cow;

use crate::key::NameRules;

/// Whether `rules` permit the resource of `uri`.
pub(super) fn is_permitted(rules: &NameRules, uri: &str) -> bool {
    if rules.is_empty() {
        return true;
    }
    let decoded = percent_decoded(uri);
    is_plain(uri, &decoded) && rules.permits(uri) && (*uri == *decoded || rules.permits(&decoded))
}

fn is_plain(uri: &str, decoded: &str) -> bool {
    let scheme = uri.split_once(':').map_or("", |(scheme, _)| scheme);
    let mut segments = decoded.split(['/', '?', '#']);
    !uri.contains(char::is_whitespace)
        && !decoded.contains(|character: char| character.is_control() || character == '\\')
        && !scheme.contains(|character: char| character.is_ascii_uppercase())
        && !segments.any(|segment| matches!(segment, "." | ".."))
}

/// `uri` with every `%xx` replaced by its byte; what is no UTF-8 then becomes a replacement
/// character.
fn percent_decoded(uri: &str) -> Cow<'_, str> {
    if !uri.contains('%') {
        return Cow::Borrowed(uri);
    }
    let mut decoded = Vec::with_capacity(uri.len());
    let mut rest = uri.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let escaped = match tail {
            [high, low, tail @ ..] if byte == b'%' => hex(*high)
                .zip(hex(*low))
                .map(|(high, low)| (high << 4 | low, tail)),
            _ => None,
        };
        let (byte, tail) = escaped.unwrap_or((byte, tail));
        decoded.push(byte);
        rest = tail;
    }
    Cow::Owned(String::from_utf8_lossy(&decoded).into_owned())
}

fn hex(digit: u8) -> Option<u8> {
    let value = char::from(digit).to_digit(16)?;
    u8::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(allow: &[&str], deny: &[&str]) -> NameRules {
        let globs = |list: &[&str]| list.iter().map(|text| text.parse().unwrap()).collect();
        NameRules::new(globs(allow), globs(deny))
    }

    #[test]
    fn without_rules_any_uri_is_permitted() {
        for uri in ["", "file:///a/../b", "FILE:///\n", "%00"] {
            assert!(is_permitted(&NameRules::default(), uri), "{uri:?}");
        }
    }

    #[test]
    fn a_uri_that_leads_somewhere_else_is_refused() {
        let public = rules(&["file:///public/*"], &[]);
        for uri in [
            "file:///public/a",
            "file:///public/a.b/..c/...",
            "file:///public/a%20b",
            "file:///public/a%2Fb",
            "file:///public/?q=../x",
            "file:///public/{path}",
        ] {
            assert!(is_permitted(&public, uri), "{uri:?}");
        }
        for uri in [
            "file:///secret",
            "file:///public",
            "file:///public/../secret",
            "file:///public/..",
            "file:///public/./a",
            "file:///public/..?x",
            "file:///public/..#x",
            "file:///public/%2e%2E/secret",
            "file:///public/.%2e/secret",
            "file:///public/..%2fsecret",
            "file:///public/..%5csecret",
            "file:///public/..\\secret",
            "file:///public/.\t./secret",
            "file:///public/a\u{a0}",
            "file:///public/a%00.txt",
            "file:///%70ublic/a",
            " file:///public/a",
        ] {
            assert!(!is_permitted(&public, uri), "{uri:?}");
        }
    }

    #[test]
    fn no_spelling_slips_past_a_deny_list() {
        let no_secrets = rules(&[], &["file:///secret/*"]);
        assert!(is_permitted(&no_secrets, "file:///public/a"));
        assert!(is_permitted(&no_secrets, "file:///100%"));
        for uri in [
            "file:///secret/a",
            "file:///%73ecret/a",
            "file:///secret%2Fa",
            "FILE:///secret/a",
            "File:///secret/a",
            "file:///x/../secret/a",
            "file:///sec\nret/a",
            "file:\\\\\\secret/a",
        ] {
            assert!(!is_permitted(&no_secrets, uri), "{uri:?}");
        }
    }

    #[test]
    fn a_template_needs_a_pattern_for_all_that_it_makes() {
        let template = "note://{id}";
        assert!(is_permitted(&rules(&["note://*"], &[]), template));
        assert!(!is_permitted(&rules(&["note://public*"], &[]), template));
        assert!(is_permitted(&rules(&[], &["note://secret"]), template));
        assert!(!is_permitted(&rules(&[], &["note://*"]), template));
    }
}
