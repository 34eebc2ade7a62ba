//! Values that the library has no reader for: durations, rates and quotas with their names, facts.

use std::str::FromStr as _;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use mcp_api_keys::key::{
    Access, Glob, Metadata, ParseQuotaError, Quota, Role, ServerName, Signing, StatusKind,
};
use mcp_api_keys::{KeyFormat, RateLimit, Timestamp};

use super::failure::Failure;

/// A fact: its key and its value.
pub(crate) type Pair = (String, String);

/// A point in time, or one that is so far from now, in whichever direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    At(Timestamp),
    In(Duration),
}

impl When {
    pub(crate) fn after(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(time) => time,
            Self::In(duration) => now.saturating_add(duration),
        }
    }

    /// The same, with the distance counted back.
    pub(crate) fn before(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(time) => time,
            Self::In(duration) => now.saturating_sub(duration),
        }
    }
}

/// Reads numbers with units, such as `30d`, `24h` or `1d12h`.
pub(super) fn duration(text: &str) -> Result<Duration, &'static str> {
    const SHAPE: &str = "not a duration such as 30d, 24h, 90m or 1d12h";
    /// Beyond it the calendar ends, and somebody mistook the unit.
    const LONGEST: u64 = 1_000 * 366 * 86_400;

    let mut seconds = 0_u64;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or(SHAPE)?;
        let (number, tail) = rest.split_at(digits);
        let unit = match tail.chars().next().ok_or(SHAPE)? {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            'w' => 7 * 86_400,
            _ => return Err(SHAPE),
        };
        let number: u64 = number.parse().map_err(|_| SHAPE)?;
        seconds = number
            .checked_mul(unit)
            .and_then(|more| seconds.checked_add(more))
            .filter(|sum| *sum <= LONGEST)
            .ok_or("longer than a thousand years")?;
        rest = tail.get(1..).unwrap_or_default();
    }
    match seconds {
        0 if text.is_empty() => Err(SHAPE),
        0 => Err("must be longer than zero"),
        _ => Ok(Duration::from_secs(seconds)),
    }
}

/// Reads a date and time, or a duration from now.
pub(super) fn when(text: &str) -> Result<When, &'static str> {
    if let Ok(duration) = duration(text) {
        return Ok(When::In(duration));
    }
    text.parse().map(When::At).map_err(
        |_| "neither a date and time such as 2027-01-31T00:00:00Z nor a duration such as 30d",
    )
}

/// Reads `[name=]60/min[:burst][@server][#tool]`.
pub(super) fn rate(text: &str) -> Result<RateLimit, String> {
    let (text, tool) = match text.split_once('#') {
        Some((text, tool)) => (text, Some(tool)),
        None => (text, None),
    };
    let (text, server) = match text.split_once('@') {
        Some((text, server)) => (text, Some(server)),
        None => (text, None),
    };
    let mut limit = everywhere(text)?;
    if let Some(server) = server {
        let server: ServerName = server
            .parse()
            .map_err(|error| format!("its server {error}"))?;
        limit = limit.on_server(server);
    }
    if let Some(tool) = tool {
        let tool: Glob = tool.parse().map_err(|error| format!("its tool {error}"))?;
        limit = limit.on_tool(tool);
    }
    Ok(limit)
}

/// Reads `[name=]60/min[:burst]`.
fn everywhere(text: &str) -> Result<RateLimit, String> {
    let (name, rest) = match text.split_once('=') {
        Some((name, rest)) => (Some(name), rest),
        None => (None, text),
    };
    let (rate, burst) = match rest.split_once(':') {
        Some((rate, burst)) => (rate, Some(burst)),
        None => (rest, None),
    };
    let mut limit: RateLimit = rate
        .parse()
        .map_err(|error: mcp_api_keys::key::ParseRateLimitError| error.to_string())?;
    if let Some(burst) = burst {
        let digits = burst.bytes().all(|b| b.is_ascii_digit());
        let size = burst.parse().ok().filter(|size| digits && *size > 0_u32);
        limit = limit.burst(size.ok_or("its burst is not a number such as the 10 in 60/min:10")?);
    }
    Ok(match name {
        Some(name) => limit.named(name),
        None => limit,
    })
}

/// Writes a rate the way it is read.
pub(super) fn written(limit: &RateLimit) -> String {
    let name = match limit.name() {
        RateLimit::DEFAULT_NAME => String::new(),
        name => format!("{name}="),
    };
    let burst = match limit.burst_size() {
        size if size == limit.count() => String::new(),
        size => format!(":{size}"),
    };
    let server = limit
        .server()
        .map_or_else(String::new, |server| format!("@{server}"));
    let tool = limit
        .tool()
        .map_or_else(String::new, |tool| format!("#{tool}"));
    format!("{name}{limit}{burst}{server}{tool}")
}

/// Reads `[name=]1000/day`.
pub(super) fn quota(text: &str) -> Result<Quota, String> {
    let (name, rest) = match text.split_once('=') {
        Some((name, rest)) => (Some(name), rest),
        None => (None, text),
    };
    let quota: Quota = rest
        .parse()
        .map_err(|error: ParseQuotaError| error.to_string())?;
    Ok(match name {
        Some(name) => quota.named(name),
        None => quota,
    })
}

/// Writes a quota the way it is read.
pub(super) fn written_quota(quota: &Quota) -> String {
    match quota.name() {
        Quota::DEFAULT_NAME => quota.to_string(),
        name => format!("{name}={quota}"),
    }
}

/// Reads `key=value`; the value may hold further equals signs, or nothing.
pub(super) fn pair(text: &str) -> Result<Pair, &'static str> {
    match text.split_once('=') {
        Some(("", _)) => Err("there is nothing before the equals sign"),
        Some((key, value)) => Ok((key.to_owned(), value.to_owned())),
        None => Err("not a key and a value such as environment=production"),
    }
}

/// The facts as a map; a key that is given two values is a mistake.
pub(super) fn metadata(pairs: &[Pair]) -> Result<Metadata, Failure> {
    let mut facts = Metadata::new();
    for (key, value) in pairs {
        if facts.insert(key.clone(), value.clone()).is_some() {
            return Err(Failure::usage(
                "metadata",
                format!("--metadata: {key:?} is given twice"),
            ));
        }
    }
    Ok(facts)
}

/// Reads a prefix that keys can begin with.
pub(super) fn prefix(text: &str) -> Result<String, mcp_api_keys::key::FormatError> {
    KeyFormat::new(text).map(|_| text.to_owned())
}

/// Reads a status; the words appear in the help and in completions.
pub(super) fn status() -> impl TypedValueParser<Value = StatusKind> {
    PossibleValuesParser::new(["active", "disabled", "revoked"])
        .try_map(|word| StatusKind::from_str(&word))
}

/// Reads a level of access; the words appear in the help and in completions.
pub(super) fn access() -> impl TypedValueParser<Value = Access> {
    PossibleValuesParser::new(["read-only", "full"]).try_map(|word| Access::from_str(&word))
}

/// Reads whether requests must be signed; the words appear in the help and in completions.
pub(super) fn signing() -> impl TypedValueParser<Value = Signing> {
    PossibleValuesParser::new(["by-layer", "required"]).try_map(|word| Signing::from_str(&word))
}

/// Reads a role; the words appear in the help and in completions.
pub(super) fn role() -> impl TypedValueParser<Value = Role> {
    PossibleValuesParser::new(["admin", "member"]).try_map(|word| Role::from_str(&word))
}

/// Reads the name of somebody who acts; none is as good as left out.
pub(super) fn actor(text: &str) -> Result<String, &'static str> {
    if text.chars().any(char::is_control) {
        return Err("must not contain control characters");
    }
    if text.chars().count() > 200 {
        return Err("must be at most 200 characters");
    }
    Ok(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_sums_of_numbers_with_units() {
        for (text, seconds) in [
            ("45s", 45),
            ("90m", 5_400),
            ("24h", 86_400),
            ("30d", 2_592_000),
            ("2w", 1_209_600),
            ("1d12h", 129_600),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
    }

    #[test]
    fn durations_without_unit_length_or_sense_are_refused() {
        for text in [
            "",
            "30",
            "d",
            "0d",
            "-1d",
            "+1d",
            "1.5h",
            "1 d",
            "1y",
            "1é",
            "99999999999999999999d",
            "18446744073709551615w",
            "400000d",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn rates_are_written_the_way_they_are_read() {
        for text in [
            "60/min",
            "60/min:10",
            "day=5000/day",
            "calls=5/s:1",
            "60/min@files",
            "a=5/min:1@files#export_*=",
        ] {
            assert_eq!(rate(text).map(|limit| written(&limit)), Ok(text.to_owned()));
        }
        assert_eq!(rate("default=60/min"), rate("60/min"));
    }

    #[test]
    fn quotas_are_written_the_way_they_are_read() {
        for text in ["1000/day", "100000/month", "tokens=5/month"] {
            let read = quota(text).map(|quota| written_quota(&quota));
            assert_eq!(read, Ok(text.to_owned()));
        }
        assert_eq!(quota("quota=5/day"), quota("5/day"));
        for text in ["", "5", "0/day", "5/min", "5/day:3", "a=b=5/day", "+5/day"] {
            assert!(quota(text).is_err(), "{text}");
        }
    }

    #[test]
    fn rates_that_say_nothing_are_refused() {
        for text in [
            "",
            "60",
            "0/min",
            "60/min:",
            "60/min:0",
            "60/min:+1",
            "60/min:x",
            "60/week",
            "a=b=60/min",
            "60/min@",
            "60/min#",
            "60/min@a b",
        ] {
            assert!(rate(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_fact_may_hold_equals_signs_in_its_value_only() {
        assert_eq!(pair("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert_eq!(pair("a="), Ok(("a".to_owned(), String::new())));
        assert!(pair("=b").is_err());
        assert!(pair("a").is_err());
    }

    #[test]
    fn a_time_may_be_said_as_a_date_or_as_a_distance() {
        let now = Timestamp::from_millis(0);
        let date = when("1970-01-02T00:00:00Z").map(|when| when.after(now));
        assert_eq!(date, when("24h").map(|when| when.after(now)));
        assert!(when("tomorrow").is_err());
        let before = when("24h").map(|when| when.before(now));
        assert_eq!(
            before,
            when("1969-12-31T00:00:00Z").map(|when| when.before(now))
        );
    }
}
