//! Keys in the query: never read, never passed on, and said to be a mistake.
//!
//! A query is written down by everything on its way, so a key in one has been told to all of it. The
//! request is refused before anybody looks for a key in its places, whatever stands there: a client
//! that was let in would never learn of its mistake.
//!
//! 1. What looks like a key is a prefix of an accepted format and enough of what follows it, anywhere
//!    in the query: in a value, in a name, in the middle of another URL. It need not be a good key.
//! 2. Up to three layers of percent-encoding are taken off. Other disguises are not looked for: this
//!    is for mistakes, and nobody hides a key by mistake.

use std::borrow::Cow;

use super::formats::Accepted;
use super::upstream::percent_decode;

/// So many characters after the prefix are no name any more. A handle, which anybody may know, has
/// 8 of them.
const TELLING: usize = 16;

/// Longer than what follows the prefix of any key.
const LONGEST: usize = 128;

const LAYERS: usize = 3;

/// Whether a query holds what looks like a key.
pub(super) fn holds_key(query: &str, accepted: &[Accepted]) -> bool {
    let mut text = Cow::Borrowed(query.as_bytes());
    for _ in 0..LAYERS {
        if accepted.iter().any(|one| shows(&text, one)) {
            return true;
        }
        if !text.contains(&b'%') {
            return false;
        }
        text = Cow::Owned(percent_decode(&text).into_owned());
    }
    accepted.iter().any(|one| shows(&text, one))
}

fn shows(text: &[u8], accepted: &Accepted) -> bool {
    let prefix = accepted.format.prefix().as_bytes();
    let places = text.windows(prefix.len()).enumerate();
    let mut begins = places.filter(|(_, window)| *window == prefix);
    begins.any(|(at, _)| {
        let rest = text.get(at + prefix.len()..).unwrap_or_default();
        let rest = rest.get(..LONGEST).unwrap_or(rest);
        let mut parts = rest
            .split(|byte| !byte.is_ascii_alphanumeric())
            .take(if accepted.segmented { LONGEST } else { 1 });
        parts.any(|part| part.len() >= TELLING)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "mcp_sk_ATgKlpEaBS64QGLizLFNWgSzNfDmYl2D0UvHLX";

    fn formats() -> Vec<Accepted> {
        let more = ["plain=mgw_", "segmented=ok1"];
        let more = more.map(|format| Accepted::parse(format).unwrap());
        [Accepted::default()].into_iter().chain(more).collect()
    }

    #[test]
    fn a_key_is_seen_wherever_it_stands_in_a_query() {
        for query in [
            "api_key=KEY",
            "KEY",
            "KEY=1",
            "a=b&token=Bearer%20KEY&c",
            "a=b;k=KEY",
            "next=https%3A%2F%2Fh%2F%3Fapi_key%3DKEY",
            "json={%22key%22:%22KEY%22}",
            "k=%6dcp%5fsk_ATgKlpEaBS64QGLizLFNWgSzNfDmYl2D0UvHLX",
            "k=%256dcp%255fsk_ATgKlpEaBS64QGLizLFNWgSzNfDmYl2D0UvHLX",
            // Mistyped, cut off, and beside what only begins as one.
            "k=mcp_sk_ATgKlpEaBS64QGLizLFNWgSzNfDmYl2D0UvHLY",
            "k=mcp_sk_ATgKlpEaBS64QGLi",
            "k=mcp_sk_mcp_sk_ATgKlpEaBS64QGLi",
            "k=mgw_ATgKlpEaBS64QGLizLFNWgSzNfDmYl2D",
            "k=ok1-ada-ATgKlpEa-BS64QGLizLFNWgSzNfDmYl2D0UvHLX01",
            "k=ok1-team.of-ada_1-ATgKlpEa-BS64QGLizLFNWgSzNfDmYl2D0UvHLX01",
        ] {
            let query = query.replace("KEY", KEY);
            assert!(holds_key(&query, &formats()), "{query}");
        }
    }

    #[test]
    fn other_queries_are_none_of_its_business() {
        for query in [
            "",
            "api_key=",
            "sessionId=0123456789abcdef0123456789abcdef",
            "handle=mcp_sk_ATgKlpEa",
            "masked=mcp_sk_ATgKlpEa%E2%80%A6",
            "q=mcp_sk_",
            "q=mgw_the-longest-of-all-words",
            "q=ok1-ada-ATgKlpEa",
            "q=%",
            "q=%25%25%25%2",
        ] {
            assert!(!holds_key(query, &formats()), "{query}");
        }
        let only_default = [Accepted::default()];
        assert!(!holds_key(
            "k=mgw_ATgKlpEaBS64QGLizLFNWgSzNfDmYl2D",
            &only_default
        ));
    }
}
