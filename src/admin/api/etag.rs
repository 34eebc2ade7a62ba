//! "Only if nobody has changed it": revisions as entity tags.
//!
//! 1. The tag of a key, an owner or a plan is its revision in quotes. What changes with use, such as
//!    when a key was last used, is not part of it.
//! 2. With `If-Match` a change is made only if the thing is still of one of these revisions; `*`
//!    stands for any. Otherwise the answer is 412, and nothing was changed.
//! 3. With `If-None-Match: *` an owner or a plan is defined only if there is none. No other value is
//!    understood: nothing here may be kept by a cache.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::header::{HeaderName, IF_MATCH, IF_NONE_MATCH};
use http::request::Parts;

use super::Office;
use super::fault::Fault;
use crate::key::Revision;

/// Under which condition a change is to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Condition {
    matches: Option<Match>,
    none: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Match {
    Any,
    Revisions(Vec<Revision>),
}

impl Condition {
    /// Refuses what is no longer as it was read. `None` is a thing that is not there.
    pub(super) fn check(&self, now: Option<Revision>) -> Result<(), Fault> {
        let met = match &self.matches {
            None => true,
            Some(Match::Any) => now.is_some(),
            Some(Match::Revisions(tags)) => now.is_some_and(|now| tags.contains(&now)),
        };
        if met && !(self.none && now.is_some()) {
            Ok(())
        } else {
            Err(Fault::changed_since())
        }
    }

    /// Whether the change depends on what it changes.
    pub(super) fn is_set(&self) -> bool {
        self.matches.is_some() || self.none
    }

    fn read(head: &Parts) -> Result<Self, Fault> {
        let matches = lines(head, &IF_MATCH)?
            .map(|text| tags(&text))
            .transpose()?;
        let none = match lines(head, &IF_NONE_MATCH)?.as_deref() {
            None => false,
            Some("*") => true,
            Some(_) => {
                let message = "If-None-Match can be * and nothing else";
                return Err(Fault::malformed(message).in_field("If-None-Match"));
            }
        };
        Ok(Self { matches, none })
    }
}

impl FromRequestParts<Arc<Office>> for Condition {
    type Rejection = Fault;

    async fn from_request_parts(head: &mut Parts, _: &Arc<Office>) -> Result<Self, Fault> {
        Self::read(head)
    }
}

/// All lines of a header as one list.
fn lines(head: &Parts, name: &HeaderName) -> Result<Option<String>, Fault> {
    let mut whole: Option<String> = None;
    for line in head.headers.get_all(name) {
        let line = line.to_str().map_err(|_| wrong(name))?.trim();
        whole = Some(match whole {
            Some(before) => format!("{before},{line}"),
            None => line.to_owned(),
        });
    }
    Ok(whole)
}

fn wrong(name: &HeaderName) -> Fault {
    Fault::malformed(format!("{name} is no list of entity tags")).in_field(name.as_str())
}

fn tags(text: &str) -> Result<Match, Fault> {
    if text == "*" {
        return Ok(Match::Any);
    }
    let mut revisions = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            return Ok(Match::Revisions(revisions));
        }
        let (strong, opaque) = match rest.strip_prefix("W/") {
            Some(opaque) => (false, opaque),
            None => (true, rest),
        };
        // A comma may stand within a tag.
        let quoted = opaque.strip_prefix('"');
        let (tag, tail) = quoted
            .and_then(|quoted| quoted.split_once('"'))
            .ok_or_else(|| wrong(&IF_MATCH))?;
        rest = tail.trim_start_matches([' ', '\t']);
        if !rest.is_empty() && !rest.starts_with(',') {
            return Err(wrong(&IF_MATCH));
        }
        // A weak tag matches nothing, and one of somebody else's making no revision of ours.
        if strong && let Ok(number) = tag.parse() {
            revisions.push(Revision::new(number));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[(&str, &str)]) -> Result<Condition, Fault> {
        let request = lines
            .iter()
            .fold(http::Request::builder(), |request, line| {
                request.header(line.0, line.1)
            });
        Condition::read(&request.body(()).unwrap().into_parts().0)
    }

    fn met(lines: &[(&str, &str)], now: Option<u64>) -> bool {
        let condition = read(lines).unwrap();
        condition.check(now.map(Revision::new)).is_ok()
    }

    #[test]
    fn a_change_is_made_only_to_what_was_read() {
        for (text, now, expected) in [
            ("\"7\"", Some(7), true),
            ("\"7\"", Some(8), false),
            ("\"7\"", None, false),
            ("\"6\", \"7\"", Some(7), true),
            ("W/\"a, b\" ,\"7\",", Some(7), true),
            ("*", Some(1), true),
            ("*", None, false),
            ("W/\"7\"", Some(7), false),
            ("\"x\"", Some(7), false),
            ("", Some(7), false),
        ] {
            assert_eq!(met(&[("if-match", text)], now), expected, "{text} {now:?}");
        }
        let two = [("if-match", "\"1\""), ("if-match", "\"7\"")];
        assert!(met(&two, Some(7)));
        assert!(met(&[], None) && met(&[], Some(3)));
        assert!(met(&[("if-none-match", "*")], None));
        assert!(!met(&[("if-none-match", "*")], Some(1)));
    }

    #[test]
    fn what_is_no_tag_is_refused() {
        for text in ["7", "\"7", "'7'", "\"7\" \"8\"", "é"] {
            assert!(read(&[("if-match", text)]).is_err(), "{text}");
        }
        assert!(read(&[("if-none-match", "\"7\"")]).is_err());
    }
}
