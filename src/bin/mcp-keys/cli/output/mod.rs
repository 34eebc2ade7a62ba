//! What is written to stdout: tables for people, one JSON object for programs.
//!
//! 1. In JSON mode nothing but the object is written to stdout.
//! 2. A key in clear is written by [`Output::issued`] and nothing else. If it cannot be written,
//!    the command fails and says which key is lost.
//! 3. A reader that has seen enough is no failure.
//! 4. No text that somebody stored can move a terminal's cursor.

pub(super) mod shown;
mod summary;
mod table;

use std::io::{self, ErrorKind, Write as _};

use mcp_api_keys::key::KeyInfo;
use mcp_api_keys::{IssuedKey, Timestamp};
use serde::Serialize;
use zeroize::Zeroizing;

pub(super) use self::shown::Shown;
pub(super) use self::summary::{client, of_quota, owner, status};
use self::table::harmless;
pub(super) use self::table::{
    dash, joined, or_dash, or_never, quotas, rates, scopes, servers, shortened, table,
    to_the_second,
};
use super::failure::{Failure, redacted};
use super::standing::Standing;

/// Writes what a command has to say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Output {
    json: bool,
    now: Timestamp,
}

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
        let shown = Shown::of(issued.info()).with_key(issued.key().expose_secret());
        self.in_clear(issued, &shown)
    }

    /// The same for a key that is made once, where programs ask whether it was made.
    pub(super) fn created(self, issued: &IssuedKey) -> Result<(), Failure> {
        let shown = Shown::of(issued.info()).with_key(issued.key().expose_secret());
        self.in_clear(issued, &shown.created())
    }

    fn in_clear(self, issued: &IssuedKey, shown: &Shown<'_>) -> Result<(), Failure> {
        let info = issued.info();
        // Enough for any key and most summaries, so that growing leaves no copy of the key behind.
        let mut text = Zeroizing::new(Vec::with_capacity(64 * 1_024));
        let composed = if self.json {
            serde_json::to_writer(&mut *text, shown)
                .map_err(io::Error::other)
                .and_then(|()| text.write_all(b"\n"))
        } else {
            write!(
                text,
                "The key is shown this once and cannot be read again:\n\n{}\n\n{}",
                issued.key().expose_secret(),
                summary::record(info, self.now)
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

    /// What is known of a key, and what it may do at present.
    pub(super) fn key(self, info: &KeyInfo, standing: &Standing) -> Result<(), Failure> {
        if self.json {
            self.object(&standing.shown_with(Shown::of(info)))
        } else {
            self.text(&summary::standing(info, standing, self.now))
        }
    }

    /// What is known of a key after a change: a sentence for people.
    pub(super) fn changed(self, info: &KeyInfo, what: &str) -> Result<(), Failure> {
        if self.json {
            self.object(&Shown::of(info))
        } else {
            self.text(&format!("{} {what}.\n", named(info)))
        }
    }

    /// Several keys, and the page's end if more follow.
    pub(super) fn keys(self, keys: &[KeyInfo], next: Option<String>) -> Result<(), Failure> {
        if self.json {
            let keys: Vec<_> = keys.iter().map(Shown::of).collect();
            return self.object(&serde_json::json!({ "keys": keys, "next": next }));
        }
        let rows = keys.iter().map(|info| summary::row(info, self.now));
        self.list(summary::HEAD, rows.collect(), "There are no such keys.")?;
        if let Some(next) = next {
            self.note(&format!("There are more: --after {next}"));
        }
        Ok(())
    }

    /// A table for people, or a remark where there is nothing to list. Long cells are cut.
    pub(super) fn list<const N: usize>(
        self,
        head: [&str; N],
        rows: Vec<[String; N]>,
        none: &str,
    ) -> Result<(), Failure> {
        if rows.is_empty() {
            self.note(none);
            return Ok(());
        }
        let rows: Vec<_> = rows
            .into_iter()
            .map(|row| row.map(|cell| shortened(&cell)))
            .collect();
        self.text(&table(head, &rows))
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
}

fn write_out(text: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text)?;
    stdout.flush()
}

/// How a sentence names a key.
pub(super) fn named(info: &KeyInfo) -> String {
    format!("{} ({})", info.masked, harmless(&info.name))
}
