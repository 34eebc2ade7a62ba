//! `import`: keys of another system, one JSON object on each line.
//!
//! 1. Each line that is not empty is answered by one JSON object on stdout, in the order of the
//!    lines. The next line is read when the one before is stored or refused.
//! 2. A line that is refused changes nothing and hinders none of the others.
//! 3. No answer repeats a hash, nor what may be one in the wrong place.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::Path;
use std::process::ExitCode;

use mcp_api_keys::key::KeyInfo;
use mcp_api_keys::{ImportKey, KeyManager};
use serde::Serialize;
use serde_json::Value;

use super::Keys;
use super::args::Import;
use super::failure::{Failure, redacted};
use super::output::Output;

/// The longest line that is read: more than any key can need.
const LONGEST: usize = 1 << 20;

/// How an answer names a line.
#[derive(Serialize)]
struct Answer<'a> {
    line: usize,
    ok: bool,
    #[serde(flatten)]
    outcome: Outcome<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Outcome<'a> {
    Kept {
        id: String,
        handle: &'a str,
        name: &'a str,
    },
    Refused {
        error: Value,
    },
}

pub(super) fn import(args: &Import, keys: &Keys, output: Output) -> Result<ExitCode, Failure> {
    let format = args.writing.to_format();
    let format = format.map_err(|error| Failure::usage("prefix", format!("--prefix: {error}")))?;
    let mut lines = open(&args.file)?;
    let (kept, refused) = keys.manage_in(format, async |manager| {
        all(manager, &mut *lines, output).await
    })?;
    output.note(&format!("{kept} imported, {refused} refused."));
    Ok(if refused == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    })
}

fn open(path: &Path) -> Result<Box<dyn BufRead>, Failure> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdin().lock()));
    }
    let file = File::open(path).map_err(|error| {
        Failure::usage(
            "file",
            format!("{} cannot be read: {error}", path.display()),
        )
    })?;
    Ok(Box::new(BufReader::new(file)))
}

/// Imports line after line and answers each. Returns how many were kept and how many refused.
async fn all(
    manager: &KeyManager,
    lines: &mut dyn BufRead,
    output: Output,
) -> Result<(usize, usize), Failure> {
    let (mut kept, mut refused) = (0, 0);
    let mut number = 0;
    loop {
        number += 1;
        let line = match next(lines) {
            Ok(Some(line)) => line,
            Ok(None) => return Ok((kept, refused)),
            Err(error) => {
                return Err(Failure::failed(format!(
                    "line {number} cannot be read, {kept} keys were imported before: {error}"
                )));
            }
        };
        if line.trim_ascii().is_empty() {
            continue;
        }
        let imported = one(manager, &line).await;
        let outcome = match &imported {
            Ok(info) => {
                kept += 1;
                Outcome::Kept {
                    id: info.id.to_string(),
                    handle: info.handle.as_str(),
                    name: &info.name,
                }
            }
            Err(failure) => {
                refused += 1;
                Outcome::Refused {
                    error: failure.object(hidden),
                }
            }
        };
        output.object(&Answer {
            line: number,
            ok: imported.is_ok(),
            outcome,
        })?;
    }
}

async fn one(manager: &KeyManager, line: &[u8]) -> Result<KeyInfo, Failure> {
    if line.len() > LONGEST {
        let message = format!("the line is longer than {LONGEST} bytes");
        return Err(Failure::bad_input(message, None));
    }
    let key: ImportKey = serde_json::from_slice(line).map_err(|error| misread(&error))?;
    manager.import(key).await.map_err(Failure::of_line)
}

/// The next line, or as much of it as tells that it is too long; nothing at the end.
fn next(lines: &mut dyn BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let most = u64::try_from(LONGEST).unwrap_or(u64::MAX).saturating_add(2);
    if (&mut *lines).take(most).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    } else if line.len() > LONGEST {
        lines.skip_until(b'\n')?;
    }
    Ok(Some(line))
}

/// Why a line is no key, in the words of the JSON reader; the line's number is told beside it.
fn misread(error: &serde_json::Error) -> Failure {
    let message = error
        .to_string()
        .replace(" at line 1 column ", " at column ");
    let field = [
        "invalid ",
        "missing field `",
        "duplicate field `",
        "unknown field `",
    ]
    .iter()
    .find_map(|start| message.strip_prefix(start))
    .and_then(|rest| rest.split([':', '`']).next())
    .filter(|field| !matches!(*field, "type" | "value" | "length"))
    .filter(|field| field.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
    .map(hidden);
    Failure::bad_input(message, field)
}

/// The text without anything that may be a hash: runs of the characters that hashes are written in.
fn hidden(text: &str) -> String {
    const HASH: usize = 20;
    let is_of_hash = |c: char| c.is_ascii_alphanumeric() || "+/=.$,:_-".contains(c);
    let mut clean = String::with_capacity(text.len());
    for part in text.split_inclusive(|c| !is_of_hash(c)) {
        let run = part.trim_end_matches(|c| !is_of_hash(c));
        let tail = part.get(run.len()..).unwrap_or_default();
        clean.push_str(if run.len() >= HASH { "…" } else { run });
        clean.push_str(tail);
    }
    redacted(&clean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_looks_like_a_hash_is_hidden() {
        for hash in [
            "sha256:a2ee9e1d381864b2da8b63a22f778178d5caaf8951143b16278825fa14990eec",
            "$2b$10$abcdefghijklmno/qrstu.vwxyzABCDEFGHIJ/LMNOPQRSTUVWX.Z012",
            "$argon2id$v=19$m=8,t=1,p=1$c29t/XNhbHQ$aGFz+GhhZ2g/aGFzaGhh",
        ] {
            let message = format!("invalid name: invalid type: string \"{hash}\", expected x");
            let clean = hidden(&message);
            assert_eq!(
                clean,
                "invalid name: invalid type: string \"…\", expected x"
            );
        }
        let plain = "missing field `handle` at column 17: é";
        assert_eq!(hidden(plain), plain);
    }

    #[test]
    fn lines_end_with_the_file_and_long_ones_are_cut() {
        let long = "x".repeat(LONGEST + 100);
        let text = format!("a\n\n{long}\nb");
        let mut lines = text.as_bytes();
        let mut read = || next(&mut lines).unwrap().map(|line| line.len());
        assert_eq!(read(), Some(1));
        assert_eq!(read(), Some(0));
        assert!(read().unwrap() > LONGEST);
        assert_eq!(read(), Some(1));
        assert_eq!(read(), None);
    }
}
