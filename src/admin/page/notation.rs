//! How the fields of a form write what a key has: words, lines, rates, quotas, facts and dates. The
//! notation is that of the command line.

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::key::{Glob, Quota, RateLimit, ServerName};

/// Reads values that are separated by white space or commas.
pub(super) fn words<T>(text: &str) -> Result<Vec<T>, String>
where
    T: FromStr<Err: Display>,
{
    let words = text.split(|c: char| c.is_whitespace() || c == ',');
    each(words)
}

/// Reads values that stand on lines of their own.
pub(super) fn lines<T>(text: &str) -> Result<Vec<T>, String>
where
    T: FromStr<Err: Display>,
{
    each(text.lines().map(str::trim))
}

fn each<'t, T>(texts: impl Iterator<Item = &'t str>) -> Result<Vec<T>, String>
where
    T: FromStr<Err: Display>,
{
    let given = texts.filter(|text| !text.is_empty());
    given.map(|text| value(text)).collect()
}

/// Reads one value; what is wrong with it is said of the text itself.
pub(super) fn value<T>(text: &str) -> Result<T, String>
where
    T: FromStr<Err: Display>,
{
    text.parse()
        .map_err(|error| format!("\u{201c}{text}\u{201d}: {error}"))
}

/// Writes values on lines of their own.
pub(super) fn in_lines(values: impl IntoIterator<Item: Display>) -> String {
    joined(values, "\n")
}

/// Writes values with spaces between them.
pub(super) fn in_words(values: impl IntoIterator<Item: Display>) -> String {
    joined(values, " ")
}

fn joined(values: impl IntoIterator<Item: Display>, between: &str) -> String {
    let texts: Vec<_> = values.into_iter().map(|value| value.to_string()).collect();
    texts.join(between)
}

/// `[name=]60/min[:burst][@server][#tool]`
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Rate(pub(super) RateLimit);

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (text, tool) = cut(text, '#');
        let (text, server) = cut(text, '@');
        let (name, text) = named(text);
        let (rate, burst) = cut(text, ':');
        let mut limit: RateLimit = rate.parse().map_err(|error| format!("{error}"))?;
        if let Some(burst) = burst {
            let size = burst.bytes().all(|digit| digit.is_ascii_digit());
            let size = burst.parse().ok().filter(|count| size && *count > 0_u32);
            limit = limit.burst(size.ok_or("the burst is no number such as the 10 in 60/min:10")?);
        }
        if let Some(name) = name {
            limit = limit.named(name);
        }
        if let Some(server) = server {
            let server: ServerName = server.parse().map_err(|error| format!("server {error}"))?;
            limit = limit.on_server(server);
        }
        if let Some(tool) = tool {
            let tool: Glob = tool.parse().map_err(|error| format!("tool {error}"))?;
            limit = limit.on_tool(tool);
        }
        Ok(Self(limit))
    }
}

impl Display for Rate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let limit = &self.0;
        if limit.name() != RateLimit::DEFAULT_NAME {
            write!(f, "{}=", limit.name())?;
        }
        write!(f, "{limit}")?;
        if limit.burst_size() != limit.count() {
            write!(f, ":{}", limit.burst_size())?;
        }
        if let Some(server) = limit.server() {
            write!(f, "@{server}")?;
        }
        match limit.tool() {
            Some(tool) => write!(f, "#{tool}"),
            None => Ok(()),
        }
    }
}

/// `[name=]1000/day`
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Budget(pub(super) Quota);

impl FromStr for Budget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, text) = named(text);
        let quota: Quota = text.parse().map_err(|error| format!("{error}"))?;
        Ok(Self(match name {
            Some(name) => quota.named(name),
            None => quota,
        }))
    }
}

impl Display for Budget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.name() {
            Quota::DEFAULT_NAME => write!(f, "{}", self.0),
            name => write!(f, "{name}={}", self.0),
        }
    }
}

/// `key=value` on one line. A line feed is written `\n`, an equals sign in the key `\=`, and a
/// backslash twice.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fact(pub(super) String, pub(super) String);

impl FromStr for Fact {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (mut key, mut value) = (String::new(), None::<String>);
        let mut rest = text.chars();
        while let Some(c) = rest.next() {
            let c = match (c, &value) {
                ('\\', _) => match rest.next() {
                    Some('n') => '\n',
                    Some(c @ ('\\' | '=')) => c,
                    _ => return Err("a backslash is written twice"),
                },
                ('=', None) => {
                    value = Some(String::new());
                    continue;
                }
                (c, _) => c,
            };
            value.as_mut().unwrap_or(&mut key).push(c);
        }
        let value = value.ok_or("must be a name and a value such as environment=production")?;
        if key.is_empty() {
            return Err("there is no name before the equals sign");
        }
        Ok(Self(key, value))
    }
}

impl Display for Fact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let plain = |text: &str| text.replace('\\', "\\\\").replace('\n', "\\n");
        write!(
            f,
            "{}={}",
            plain(&self.0).replace('=', "\\="),
            plain(&self.1)
        )
    }
}

/// A date and time in UTC, as a browser's field writes it, or in full.
pub(super) fn instant(text: &str) -> Result<Timestamp, &'static str> {
    let full = match text.len() {
        16 => format!("{text}:00Z"),
        19 => format!("{text}Z"),
        _ => text.to_owned(),
    };
    full.parse()
        .map_err(|_| "must be a date and time such as 2027-01-31T00:00")
}

/// `7d`, `24h`, `30m`: one number with its unit.
pub(super) fn duration(text: &str) -> Result<Duration, &'static str> {
    const SHAPE: &str = "must be a number and a unit such as 30d, 24h or 90m";
    let (number, unit) = text
        .char_indices()
        .next_back()
        .and_then(|(at, _)| text.split_at_checked(at))
        .ok_or(SHAPE)?;
    let unit = match unit {
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(SHAPE),
    };
    let number: u32 = number.parse().map_err(|_| SHAPE)?;
    Ok(Duration::from_secs(u64::from(number) * unit))
}

fn cut(text: &str, at: char) -> (&str, Option<&str>) {
    match text.split_once(at) {
        Some((text, rest)) => (text, Some(rest)),
        None => (text, None),
    }
}

fn named(text: &str) -> (Option<&str>, &str) {
    match text.split_once('=') {
        Some((name, text)) => (Some(name), text),
        None => (None, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        for text in [
            "60/min",
            "60/min:10",
            "day=5000/day",
            "a=5/min:1@files#export_*=",
        ] {
            assert_eq!(value::<Rate>(text).unwrap().to_string(), text);
        }
        for text in ["1000/day", "tokens=5/month"] {
            assert_eq!(value::<Budget>(text).unwrap().to_string(), text);
        }
        for (key, value) in [("a", "b=c"), ("x=y\\", "one\ntwo\\n"), ("e", "")] {
            let fact = Fact(key.to_owned(), value.to_owned());
            let text = fact.to_string();
            assert_eq!(text.lines().count(), 1, "{text}");
            assert_eq!(text.parse(), Ok(fact));
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_the_text_named() {
        let error = lines::<Rate>("60/min\n60/week\n").unwrap_err();
        assert!(error.contains("60/week"), "{error}");
        for text in [
            "60",
            "60/min:",
            "60/min:0",
            "60/min:+1",
            "60/min@",
            "60/min#",
            "0/min",
        ] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
        for text in ["a", "=b", "a=\\x", "a\\"] {
            assert!(text.parse::<Fact>().is_err(), "{text}");
        }
        assert!(words::<ServerName>("files, mail\nnotes").is_ok_and(|names| names.len() == 3));
        assert!(words::<ServerName>("fi/les").is_err());
        for text in ["", "d", "7", "7y", "-1d", "é"] {
            assert!(duration(text).is_err(), "{text}");
        }
        assert_eq!(duration("7d"), Ok(Duration::from_secs(7 * 86_400)));
        assert!(instant("tomorrow").is_err());
        assert_eq!(instant("2027-01-31T00:00"), instant("2027-01-31T00:00:00Z"));
    }
}
