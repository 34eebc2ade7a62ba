//! What is written to stdout: tables for people, one JSON object for programs.
//!
//! 1. In JSON mode nothing but the object is written to stdout.
//! 2. A key in clear is written by [`Output::issued`] and nothing else. If it cannot be written,
//!    the command fails and says which key is lost.
//! 3. A reader that has seen enough is no failure.
//! 4. No text that somebody stored can move a terminal's cursor.

use std::io::{self, ErrorKind, Write as _};

use mcp_api_keys::key::{KeyInfo, KeyStatus, Servers};
use mcp_api_keys::{IssuedKey, Timestamp};
use serde::Serialize;
use zeroize::Zeroizing;

use super::failure::{Failure, redacted};
use super::values::written;

/// Writes what a command has to say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Output {
    json: bool,
    now: Timestamp,
}

/// The widest cell of a list of keys.
const CELL: usize = 48;

impl Output {
    /// Output for programs or for people, who are told what has expired as of `now`.
    pub(super) fn new(json: bool, now: Timestamp) -> Self {
        Self { json, now }
    }

    pub(super) fn is_json(self) -> bool {
        self.json
    }

    pub(super) fn now(self) -> Timestamp {
        self.now
    }

    /// A key that was just made, in clear, and what is known of it.
    pub(super) fn issued(self, issued: &IssuedKey) -> Result<(), Failure> {
        let info = issued.info();
        let key = issued.key().expose_secret();
        // Enough for any key and most summaries, so that growing leaves no copy of the key behind.
        let mut text = Zeroizing::new(Vec::with_capacity(64 * 1_024));
        let composed = if self.json {
            serde_json::to_writer(&mut *text, &Shown::of(info, Some(key)))
                .map_err(io::Error::other)
                .and_then(|()| text.write_all(b"\n"))
        } else {
            write!(
                text,
                "The key is shown this once and cannot be read again:\n\n{key}\n\n{}",
                self.summary(info)
            )
        };
        composed.and_then(|()| write_out(&text)).map_err(|error| {
            Failure::failed(format!(
                "the key {} was made but could not be shown, so it is lost; rotate or delete it: \
                 {error}",
                info.id
            ))
        })
    }

    /// What is known of a key.
    pub(super) fn key(self, info: &KeyInfo) -> Result<(), Failure> {
        if self.json {
            self.object(&Shown::of(info, None))
        } else {
            self.text(&self.summary(info))
        }
    }

    /// What is known of a key after a change: a sentence for people.
    pub(super) fn changed(self, info: &KeyInfo, what: &str) -> Result<(), Failure> {
        if self.json {
            self.object(&Shown::of(info, None))
        } else {
            self.text(&format!("{} {what}.\n", named(info)))
        }
    }

    /// Several keys, and the page's end if more follow.
    pub(super) fn keys(self, keys: &[KeyInfo], next: Option<String>) -> Result<(), Failure> {
        if self.json {
            let keys: Vec<_> = keys.iter().map(|info| Shown::of(info, None)).collect();
            return self.object(&serde_json::json!({ "keys": keys, "next": next }));
        }
        if keys.is_empty() {
            self.note("There are no such keys.");
            return Ok(());
        }
        let head = [
            "KEY", "NAME", "OWNER", "STATUS", "SERVERS", "SCOPES", "ACCESS", "CREATED", "EXPIRES",
        ];
        let rows: Vec<_> = keys
            .iter()
            .map(|info| self.row(info).map(|cell| shortened(&cell)))
            .collect();
        self.text(&table(head, &rows))?;
        if let Some(next) = next {
            self.note(&format!("There are more: --after {next}"));
        }
        Ok(())
    }

    /// One JSON object on one line.
    pub(super) fn object(self, object: &impl Serialize) -> Result<(), Failure> {
        let mut text = serde_json::to_string(object)
            .map_err(|error| Failure::failed(format!("the answer cannot be written: {error}")))?;
        text.push('\n');
        self.text(&text)
    }

    /// Text as it is.
    pub(super) fn text(self, text: &str) -> Result<(), Failure> {
        match write_out(text.as_bytes()) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            Err(error) => Err(Failure::failed(format!(
                "it is done, but could not be shown: {error}"
            ))),
        }
    }

    /// A remark for people on stderr, which programs need not hear.
    pub(super) fn note(self, text: &str) {
        if !self.json {
            let _ = writeln!(io::stderr(), "{}", redacted(text));
        }
    }

    /// Something that people and programs should hear, on stderr.
    pub(super) fn warning(self, code: &str, text: &str) {
        let line = if self.json {
            serde_json::json!({ "warning": { "code": code, "message": text } }).to_string()
        } else {
            format!("mcp-keys: warning: {text}")
        };
        let _ = writeln!(io::stderr(), "{line}");
    }

    fn row(self, info: &KeyInfo) -> [String; 9] {
        [
            info.masked.clone(),
            info.name.clone(),
            info.owner.as_ref().map_or_else(dash, ToString::to_string),
            self.status(info).to_owned(),
            servers(info),
            scopes(info),
            info.access.to_string(),
            to_the_second(info.created_at),
            info.expires_at
                .map_or_else(|| "never".to_owned(), to_the_second),
        ]
    }

    fn status(self, info: &KeyInfo) -> &'static str {
        let is_over = info.expires_at.is_some_and(|end| end <= self.now);
        match info.status {
            KeyStatus::Active if is_over => "expired",
            _ => info.status.as_str(),
        }
    }

    /// One line for each thing there is to know; what is not set is left out where its absence says
    /// nothing.
    fn summary(self, info: &KeyInfo) -> String {
        let mut lines = vec![
            ("id", info.id.to_string()),
            ("handle", info.handle.to_string()),
            ("masked", info.masked.clone()),
            ("name", info.name.clone()),
        ];
        let mut add = |label, value: String| {
            if !value.is_empty() {
                lines.push((label, value));
            }
        };
        add("description", info.description.clone().unwrap_or_default());
        add(
            "owner",
            info.owner
                .as_ref()
                .map_or_else(String::new, ToString::to_string),
        );
        add("status", self.status(info).to_owned());
        if let KeyStatus::Revoked { at, reason } = &info.status {
            add("revoked", to_the_second(*at));
            add("reason", reason.clone().unwrap_or_default());
        }
        add("servers", servers(info));
        add("scopes", scopes(info));
        add("access", info.access.to_string());
        add("allowed from", joined(info.networks.allow()));
        add("denied from", joined(info.networks.deny()));
        let limits: Vec<_> = info.limits.iter().map(written).collect();
        add("limits", limits.join(", "));
        for (key, value) in &info.metadata {
            add("metadata", format!("{key}={value}"));
        }
        add("created", to_the_second(info.created_at));
        add("updated", to_the_second(info.updated_at));
        add(
            "expires",
            info.expires_at
                .map_or_else(|| "never".to_owned(), to_the_second),
        );
        if let Some(old) = &info.previous {
            let end = match old.ends_at {
                Some(end) if end <= self.now => format!("ended {}", to_the_second(end)),
                Some(end) => format!("ends {}", to_the_second(end)),
                None => "its grace begins when the new secret is first used".to_owned(),
            };
            add("previous", format!("{}, {end}", old.handle));
        }
        add("revision", info.revision.to_string());
        lines
            .iter()
            .map(|(label, value)| format!("  {label:<13}{}\n", harmless(value)))
            .collect()
    }
}

/// A key as programs see it. It is written straight from here, so that the clear text is not copied
/// into a tree of values.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(flatten)]
    info: &'a KeyInfo,
    revoked_at: Option<Timestamp>,
    revoked_reason: Option<&'a str>,
}

impl<'a> Shown<'a> {
    fn of(info: &'a KeyInfo, key: Option<&'a str>) -> Self {
        let (revoked_at, revoked_reason) = match &info.status {
            KeyStatus::Revoked { at, reason } => (Some(*at), reason.as_deref()),
            _ => (None, None),
        };
        Self {
            key,
            info,
            revoked_at,
            revoked_reason,
        }
    }
}

/// A table of columns as wide as their widest cell.
pub(super) fn table<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    let rows: Vec<[String; N]> = std::iter::once(head.map(str::to_owned))
        .chain(rows.iter().cloned())
        .map(|row| row.map(|cell| harmless(&cell)))
        .collect();
    let widths: [usize; N] = std::array::from_fn(|column| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    });
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(widths);
        let cells: Vec<_> = cells
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

/// How a sentence names a key.
pub(super) fn named(info: &KeyInfo) -> String {
    format!("{} ({})", info.masked, harmless(&info.name))
}

fn write_out(text: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text)?;
    stdout.flush()
}

fn servers(info: &KeyInfo) -> String {
    match &info.servers {
        Servers::All => "all".to_owned(),
        Servers::Only(names) if names.is_empty() => "none".to_owned(),
        Servers::Only(names) => joined(names),
    }
}

fn scopes(info: &KeyInfo) -> String {
    if info.scopes.is_empty() {
        "none".to_owned()
    } else {
        joined(&info.scopes)
    }
}

pub(super) fn joined<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<_> = items.into_iter().map(|item| item.to_string()).collect();
    items.join(", ")
}

pub(super) fn dash() -> String {
    "-".to_owned()
}

pub(super) fn to_the_second(time: Timestamp) -> String {
    let millis = time.as_millis();
    Timestamp::from_millis(millis - millis.rem_euclid(1_000)).to_string()
}

/// The text without what a terminal would obey; lines become one.
fn harmless(text: &str) -> String {
    let is_direction = |c| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars()
        .map(|c| match c {
            '\n' | '\t' => ' ',
            c if c.is_control() || is_direction(c) => '\u{fffd}',
            c => c,
        })
        .collect()
}

pub(super) fn shortened(text: &str) -> String {
    if text.chars().count() <= CELL {
        return text.to_owned();
    }
    text.chars().take(CELL - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [
            ["a".to_owned(), "Zoë".to_owned()],
            ["bcd".to_owned(), "x".to_owned()],
        ];
        assert_eq!(table(["K", "NAME"], &rows), "K    NAME\na    Zoë\nbcd  x\n");
    }

    #[test]
    fn stored_text_cannot_move_the_cursor_nor_break_a_line() {
        assert_eq!(
            harmless("a\u{1b}[2J\nb\u{202e}c"),
            "a\u{fffd}[2J b\u{fffd}c"
        );
    }

    #[test]
    fn long_cells_are_cut_with_a_sign() {
        let cut = shortened(&"é".repeat(100));
        assert_eq!(cut.chars().count(), CELL);
        assert!(cut.ends_with('…'));
    }

    #[test]
    fn times_are_shown_to_the_second() {
        assert_eq!(
            to_the_second(Timestamp::from_millis(1_999)),
            "1970-01-01T00:00:01Z"
        );
        assert_eq!(
            to_the_second(Timestamp::from_millis(-1)),
            "1969-12-31T23:59:59Z"
        );
    }
}
