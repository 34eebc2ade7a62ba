//! Rate limits, as values.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Glob, ServerName};

/// At most so many requests per unit of time, with a burst.
///
/// The names say what they do: `per_minute(60)` admits sixty requests a minute. The whole minute's
/// share may come at once (the burst), after which capacity returns evenly, here one request a
/// second. A key may have several limits of different names; a request must pass them all and
/// spends nothing if one refuses.
///
/// ```
/// use mcp_api_keys::RateLimit;
///
/// let limit = RateLimit::per_minute(60).burst(10).named("calls");
/// assert_eq!(limit.to_string(), "60/min");
/// assert_eq!("60/min".parse::<RateLimit>()?, RateLimit::per_minute(60));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// None is the default: most limits have that, and need no text of their own for it.
    #[serde(default, with = "limit_name")]
    name: Option<Arc<str>>,
    count: u32,
    per: LimitUnit,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    burst: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    server: Option<ServerName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tool: Option<Glob>,
}

/// The name of a limit in JSON is always said.
mod limit_name {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serializer};

    use super::{RateLimit, name_of};

    pub(super) fn serialize<S: Serializer>(
        name: &Option<Arc<str>>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_str(name.as_deref().unwrap_or(RateLimit::DEFAULT_NAME))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Arc<str>>, D::Error> {
        String::deserialize(from).map(|name| name_of(&name))
    }
}

fn name_of(text: &str) -> Option<Arc<str>> {
    (text != RateLimit::DEFAULT_NAME).then(|| text.into())
}

/// The unit of time of a [`RateLimit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum LimitUnit {
    /// One second.
    Second,
    /// Sixty seconds.
    Minute,
    /// Sixty minutes.
    Hour,
    /// Twenty-four hours.
    Day,
}

impl LimitUnit {
    /// The unit's length.
    pub const fn duration(self) -> Duration {
        Duration::from_secs(match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3_600,
            Self::Day => 86_400,
        })
    }
}

impl RateLimit {
    /// The name of a limit that was given none.
    pub const DEFAULT_NAME: &str = "default";

    /// `count` requests a second.
    pub fn per_second(count: u32) -> Self {
        Self::new(count, LimitUnit::Second)
    }

    /// `count` requests a minute.
    pub fn per_minute(count: u32) -> Self {
        Self::new(count, LimitUnit::Minute)
    }

    /// `count` requests an hour.
    pub fn per_hour(count: u32) -> Self {
        Self::new(count, LimitUnit::Hour)
    }

    /// `count` requests a day.
    pub fn per_day(count: u32) -> Self {
        Self::new(count, LimitUnit::Day)
    }

    /// `count` requests per `unit`. A count of zero is refused when the key is issued or changed.
    pub fn new(count: u32, unit: LimitUnit) -> Self {
        Self {
            name: None,
            count,
            per: unit,
            burst: None,
            server: None,
            tool: None,
        }
    }

    /// The same limit with another burst: how many requests may come at once. Without it, the
    /// whole count may.
    #[must_use]
    pub fn burst(mut self, burst: u32) -> Self {
        self.burst = Some(burst);
        self
    }

    /// The same limit under a name of its own: 1 to 32 lower-case letters, digits, `-` or `_`.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name_of(&name.into());
        self
    }

    /// The same limit, for requests to this server (or project) only.
    #[must_use]
    pub fn on_server(mut self, server: ServerName) -> Self {
        self.server = Some(server);
        self
    }

    /// The same limit, for calls of MCP tools with such names only. Calls are told apart where an
    /// [`McpLayer`](crate::layer::McpLayer) reads them; elsewhere the limit applies to no request.
    #[must_use]
    pub fn on_tool(mut self, tools: Glob) -> Self {
        self.tool = Some(tools);
        self
    }

    /// The only server whose requests count, if there is one.
    pub fn server(&self) -> Option<&ServerName> {
        self.server.as_ref()
    }

    /// Which tools' calls count alone, if there are such.
    pub fn tool(&self) -> Option<&Glob> {
        self.tool.as_ref()
    }

    /// Whether requests to `server` can count.
    pub(crate) fn concerns(&self, server: Option<&ServerName>) -> bool {
        self.server.as_ref().is_none_or(|only| server == Some(only))
    }

    /// Whether a request to `server`, which calls `tool` if anything, counts.
    pub(crate) fn applies(&self, server: Option<&ServerName>, tool: Option<&str>) -> bool {
        self.concerns(server)
            && self
                .tool
                .as_ref()
                .is_none_or(|only| tool.is_some_and(|tool| only.matches(tool)))
    }

    /// The limit's name.
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(Self::DEFAULT_NAME)
    }

    /// How many requests per unit.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The unit of time.
    pub fn unit(&self) -> LimitUnit {
        self.per
    }

    /// How many requests may come at once.
    pub fn burst_size(&self) -> u32 {
        self.burst.unwrap_or(self.count)
    }

    /// The limit for what costs nothing: ten times as wide, and never narrower than two a second. A
    /// client that is allowed one call a day still answers and pings all day long.
    pub(crate) fn ceiling(&self) -> Self {
        const FEWEST_A_MINUTE: u32 = 120;

        let burst = self.burst_size().saturating_mul(10).max(FEWEST_A_MINUTE);
        let wide = Self {
            count: self.count.saturating_mul(10),
            burst: Some(burst),
            ..self.clone()
        };
        let least = u64::from(FEWEST_A_MINUTE) * self.per.duration().as_secs();
        if u64::from(wide.count) * 60 >= least {
            return wide;
        }
        Self {
            count: FEWEST_A_MINUTE,
            per: LimitUnit::Minute,
            ..wide
        }
    }

    /// Whether it has the name of `bound` and never admits more.
    pub(crate) fn is_within(&self, bound: &Self) -> bool {
        let rate =
            |one: &Self, other: &Self| u128::from(one.count) * other.per.duration().as_millis();
        self.name == bound.name
            && self.server == bound.server
            && self.tool == bound.tool
            && rate(self, bound) <= rate(bound, self)
            && self.burst_size() <= bound.burst_size()
    }

    /// Says what is wrong with the limit, if anything is.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        if !is_name(self.name()) {
            Some("a limit's name must be 1 to 32 lower-case letters, digits, '-' or '_'")
        } else if self.count == 0 {
            Some("a limit must admit at least one request")
        } else if self.burst_size() == 0 {
            Some("a limit's burst must be at least one")
        } else {
            None
        }
    }

    /// Count and burst, if the limit has no [`fault`](Self::fault).
    pub(crate) fn sizes(&self) -> Option<(NonZeroU32, NonZeroU32)> {
        Some((
            NonZeroU32::new(self.count)?,
            NonZeroU32::new(self.burst_size())?,
        ))
    }
}

impl fmt::Display for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.per {
            LimitUnit::Second => "s",
            LimitUnit::Minute => "min",
            LimitUnit::Hour => "h",
            LimitUnit::Day => "day",
        };
        write!(f, "{}/{unit}", self.count)
    }
}

impl FromStr for RateLimit {
    type Err = ParseRateLimitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (count, unit) = text.split_once('/').ok_or(ParseRateLimitError)?;
        if !count.bytes().all(|b| b.is_ascii_digit()) {
            return Err(ParseRateLimitError);
        }
        let count = count
            .parse::<NonZeroU32>()
            .map_err(|_| ParseRateLimitError)?;
        let unit = match unit {
            "s" | "sec" | "second" => LimitUnit::Second,
            "m" | "min" | "minute" => LimitUnit::Minute,
            "h" | "hour" => LimitUnit::Hour,
            "d" | "day" => LimitUnit::Day,
            _ => return Err(ParseRateLimitError),
        };
        Ok(Self::new(count.get(), unit))
    }
}

/// Whether `text` can be the name of a limit or quota. Names go into headers.
pub(super) fn is_name(text: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    (1..=32).contains(&text.len()) && text.bytes().all(is_plain)
}

/// Where a limit stands after a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LimitStatus {
    /// The limit.
    pub limit: Arc<RateLimit>,
    /// How many more requests would be admitted at once.
    pub remaining: u32,
    /// How long until the whole burst is available again.
    pub resets_in: Duration,
}

impl LimitStatus {
    /// The standing of `limit`.
    pub fn new(limit: Arc<RateLimit>, remaining: u32, resets_in: Duration) -> Self {
        Self {
            limit,
            remaining,
            resets_in,
        }
    }
}

/// A text that is no rate limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParseRateLimitError;

impl fmt::Display for ParseRateLimitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a rate limit such as 60/min, 5/s, 1000/h or 10000/day")
    }
}

impl std::error::Error for ParseRateLimitError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printing_and_parsing_are_inverse() {
        for text in ["60/min", "5/s", "1000/h", "4294967295/day"] {
            assert_eq!(text.parse::<RateLimit>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "",
            "60",
            "/min",
            "0/min",
            "-1/min",
            "+1/min",
            "1/week",
            "1/min ",
            "4294967296/s",
        ] {
            assert_eq!(
                text.parse::<RateLimit>(),
                Err(ParseRateLimitError),
                "{text}"
            );
        }
    }

    #[test]
    fn a_limit_that_admits_nothing_or_has_a_bad_name_is_at_fault() {
        assert!(RateLimit::per_minute(0).fault().is_some());
        assert!(RateLimit::per_minute(1).burst(0).fault().is_some());
        assert!(RateLimit::per_minute(1).named("").fault().is_some());
        assert!(RateLimit::per_minute(1).named("a\"b").fault().is_some());
        assert!(
            RateLimit::per_minute(1)
                .named("per-tool_2")
                .fault()
                .is_none()
        );
    }
}
