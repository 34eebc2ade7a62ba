//! `safety`: keys that are worth a second look.

use mcp_api_keys::RiskyKey;
use mcp_api_keys::store::PageRequest;
use serde::Serialize;
use serde_json::json;

use super::Keys;
use super::args::Safety;
use super::failure::Failure;
use super::output::{Output, Shown, joined, or_never, owner, to_the_second};

/// How many keys are looked at at once.
const PAGE: usize = 1_000;

const HEAD: [&str; 6] = ["KEY", "NAME", "OWNER", "RISKS", "CREATED", "LAST USED"];

pub(super) fn safety(args: &Safety, keys: &Keys, output: Output) -> Result<(), Failure> {
    keys.manage(async |manager| {
        let mut risky = Vec::new();
        let mut page = PageRequest::first(PAGE);
        loop {
            let found = manager.safety(args.idle_for, page).await?;
            risky.extend(found.keys);
            match found.next {
                Some(last) => page = page.after(last),
                None => break,
            }
        }
        if output.is_json() {
            let risky: Vec<_> = risky.iter().map(Risky::of).collect();
            return output.object(&json!({ "keys": risky }));
        }
        let rows = risky.iter().map(row).collect();
        output.list(HEAD, rows, "No key is worth a second look.")
    })
}

fn row(risky: &RiskyKey) -> [String; 6] {
    let info = &risky.key;
    [
        info.masked.clone(),
        info.name.clone(),
        owner(info),
        joined(&risky.risks),
        to_the_second(info.created_at),
        or_never(info.last_used_at),
    ]
}

/// A key and its risks, for programs.
#[derive(Serialize)]
struct Risky<'a> {
    #[serde(flatten)]
    key: Shown<'a>,
    risks: &'a [mcp_api_keys::Risk],
}

impl<'a> Risky<'a> {
    fn of(risky: &'a RiskyKey) -> Self {
        Self {
            key: Shown::of(&risky.key),
            risks: &risky.risks,
        }
    }
}
