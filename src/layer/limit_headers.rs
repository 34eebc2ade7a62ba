//! How a caller is told of the limits of its key: `RateLimit` and `RateLimit-Policy`, of
//! draft-ietf-httpapi-ratelimit-headers-11, and the older `X-RateLimit-*`.
//!
//! Every admitted answer may carry them, so they are written without formatting machinery, and what is
//! always the same is written once.

use std::cell::RefCell;
use std::sync::Arc;

use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::respond::whole_seconds;
use crate::key::RateLimit;
use crate::limit::Standing;

/// Which headers tell callers about their limits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LimitHeaders {
    pub(super) standard: bool,
    pub(super) legacy: bool,
}

impl Default for LimitHeaders {
    fn default() -> Self {
        Self {
            standard: true,
            legacy: false,
        }
    }
}

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const STATE: HeaderName = HeaderName::from_static("ratelimit");

impl LimitHeaders {
    /// Whether there are any.
    pub(super) fn any(self) -> bool {
        self.standard || self.legacy
    }

    pub(super) fn insert(self, headers: &mut HeaderMap, standing: Standing<'_>) {
        let limit = standing.limit;
        let reset = whole_seconds(standing.resets_in);
        if self.standard {
            let policy = policy(limit);
            let state = item(limit.name(), ";r=", standing.remaining.into(), ";t=", reset);
            for (name, value) in [(POLICY, policy), (STATE, state)] {
                if let Some(value) = value {
                    headers.insert(name, value);
                }
            }
        }
        if self.legacy {
            for (name, number) in [
                ("x-ratelimit-limit", u64::from(limit.count())),
                ("x-ratelimit-remaining", u64::from(standing.remaining)),
                ("x-ratelimit-reset", reset),
            ] {
                headers.insert(name, HeaderValue::from(number));
            }
        }
    }
}

/// How many policies a thread has at hand. Keys share their limits, so there are few.
const AT_HAND: usize = 8;

type AtHand = [Option<(Arc<RateLimit>, HeaderValue)>; AT_HAND];

thread_local! {
    static POLICIES: RefCell<AtHand> = const { RefCell::new([const { None }; AT_HAND]) };
}

/// What `RateLimit-Policy` says of a limit. It is always the same, so each thread writes it once: threads
/// that shared it would slow each other down by counting references.
fn policy(limit: &Arc<RateLimit>) -> Option<HeaderValue> {
    let at_hand = POLICIES.try_with(|policies| {
        let mut policies = policies.try_borrow_mut().ok()?;
        let address = Arc::as_ptr(limit).addr();
        let place = policies.get_mut((address >> 4 ^ address >> 8) % AT_HAND)?;
        if let Some((known, policy)) = place
            && Arc::ptr_eq(known, limit)
        {
            return Some(policy.clone());
        }
        let policy = write_policy(limit)?;
        *place = Some((Arc::clone(limit), policy.clone()));
        Some(policy)
    });
    // A thread that is about to end has nothing at hand.
    at_hand.unwrap_or_else(|_| write_policy(limit))
}

#[inline(never)]
fn write_policy(limit: &RateLimit) -> Option<HeaderValue> {
    let window = limit.unit().duration().as_secs();
    item(limit.name(), ";q=", limit.count().into(), ";w=", window)
}

/// A quoted name with two parameters. Nothing, if the name is longer than any that is valid.
fn item(name: &str, one: &str, first: u64, other: &str, second: u64) -> Option<HeaderValue> {
    let mut line = Line::default();
    let (mut digits, mut more) = (itoa::Buffer::new(), itoa::Buffer::new());
    for part in [
        "\"",
        name,
        "\"",
        one,
        digits.format(first),
        other,
        more.format(second),
    ] {
        line.push(part)?;
    }
    HeaderValue::from_bytes(line.text()).ok()
}

/// A line of text on the stack.
struct Line {
    bytes: [u8; 96],
    length: usize,
}

impl Default for Line {
    fn default() -> Self {
        Self {
            bytes: [0; 96],
            length: 0,
        }
    }
}

impl Line {
    fn push(&mut self, part: &str) -> Option<()> {
        let end = self.length.checked_add(part.len())?;
        let place = self.bytes.get_mut(self.length..end)?;
        place.copy_from_slice(part.as_bytes());
        self.length = end;
        Some(())
    }

    fn text(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::key::LimitStatus;

    #[test]
    fn the_fields_say_policy_and_state_of_the_limit() {
        let limit = RateLimit::per_minute(60).named("requests");
        let status = LimitStatus::new(Arc::new(limit), 59, Duration::from_millis(900));
        let mut headers = HeaderMap::new();
        let both = LimitHeaders {
            standard: true,
            legacy: true,
        };
        both.insert(&mut headers, (&status).into());
        for (name, value) in [
            ("ratelimit-policy", r#""requests";q=60;w=60"#),
            ("ratelimit", r#""requests";r=59;t=1"#),
            ("x-ratelimit-limit", "60"),
            ("x-ratelimit-remaining", "59"),
            ("x-ratelimit-reset", "1"),
        ] {
            assert_eq!(headers[name], value);
        }
    }

    #[test]
    fn policies_at_hand_are_told_apart() {
        let limits: Vec<_> = (1..=100)
            .map(|count| Arc::new(RateLimit::per_minute(count)))
            .collect();
        for _ in 0..3 {
            for limit in &limits {
                let expected = format!("\"default\";q={};w=60", limit.count());
                assert_eq!(policy(limit).unwrap(), *expected);
            }
        }
    }

    #[test]
    fn the_longest_valid_name_and_numbers_have_room() {
        let name = "n".repeat(32);
        let value = item(&name, ";q=", u64::MAX, ";w=", u64::MAX).unwrap();
        assert!(value.to_str().unwrap().ends_with(&u64::MAX.to_string()));
    }

    #[test]
    fn what_a_service_has_said_itself_is_replaced_not_doubled() {
        let status = LimitStatus::new(Arc::new(RateLimit::per_minute(60)), 1, Duration::ZERO);
        let mut headers = HeaderMap::new();
        headers.append("ratelimit", HeaderValue::from_static("\"other\";r=1"));
        LimitHeaders::default().insert(&mut headers, (&status).into());
        assert_eq!(headers.get_all("ratelimit").iter().count(), 1);
    }
}
