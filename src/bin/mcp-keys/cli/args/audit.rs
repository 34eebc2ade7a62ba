//! `audit`.

use std::num::NonZeroUsize;

use clap::Args;

use crate::cli::values::{self, When};

#[derive(Debug, Args)]
#[command(after_long_help = "\
People get a table with the names of the fields that changed. Programs get one JSON object on each
line, with the key, owner or plan as it could be shown before and after; no entry holds a secret or
a hash.

A key that was deleted is named by its id, an owner as owner:ada, a plan as plan:free, a program that
registered to be connected as client:ID. A duration counts back from now.

Examples:
  mcp-keys audit --limit 20
  mcp-keys audit --key ATgKlpEa
  mcp-keys audit --key owner:ada
  mcp-keys audit --actor cli:ada --since 7d
  mcp-keys --json audit --since 2027-01-01T00:00:00Z > trail.jsonl")]
pub(crate) struct Audit {
    /// Only acts on this key, or on owner:ID, plan:NAME or client:ID
    #[arg(long, value_name = "KEY|owner:ID|plan:NAME|client:ID")]
    pub(crate) key: Option<String>,

    /// Only acts of this actor
    #[arg(long, value_name = "ACTOR")]
    pub(crate) actor: Option<String>,

    /// Only acts at or after a time, or since so long ago
    #[arg(long, value_name = "TIME|DURATION", value_parser = values::when)]
    pub(crate) since: Option<When>,

    /// Only acts before a time, or before so long ago
    #[arg(long, value_name = "TIME|DURATION", value_parser = values::when)]
    pub(crate) until: Option<When>,

    /// At most this many; without it, all
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<NonZeroUsize>,
}
