//! `usage`.

use clap::{Args, ValueEnum};
use mcp_api_keys::usage::{UsageDimension, UsageStep};

use crate::cli::values::{self, When};

#[derive(Debug, Args)]
#[command(after_long_help = "\
A server writes usage down some seconds late. What is told by the hour is kept for 30 days, by the day
for 400 days. Times are in UTC; a duration counts back from now. It takes units of a quota several at a
time, so some of those that count as used may not be used yet.

Without KEY it tells of all requests, those without a good key included. Under heavy load only a sample
of the requests is timed.

Examples:
  mcp-keys usage ATgKlpEa
  mcp-keys usage ATgKlpEa --from 7d --step day
  mcp-keys usage --by outcome
  mcp-keys --json usage ATgKlpEa --by operation | jq '.series[] | {at, label, requests}'")]
pub(crate) struct Usage {
    /// The key: its id, its handle, or as it is shown masked; without it, all keys
    #[arg(value_name = "KEY")]
    pub(crate) key: Option<String>,

    /// From a time on, or since so long ago [default: 24h, or 30d by the day]
    #[arg(long, value_name = "TIME|DURATION", value_parser = values::when)]
    pub(crate) from: Option<When>,

    /// Until a time, or so long ago [default: now]
    #[arg(long, value_name = "TIME|DURATION", value_parser = values::when)]
    pub(crate) until: Option<When>,

    /// Tell it by the hour or by the day
    #[arg(long, value_name = "STEP", value_enum, default_value = "hour")]
    pub(crate) step: Step,

    /// Tell apart what differs in this
    #[arg(long, value_name = "DIMENSION", value_enum)]
    pub(crate) by: Option<Dimension>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Step {
    Hour,
    Day,
}

impl From<Step> for UsageStep {
    fn from(step: Step) -> Self {
        match step {
            Step::Hour => Self::Hour,
            Step::Day => Self::Day,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Dimension {
    /// Let through, or why not
    Outcome,
    /// The server
    Server,
    /// The tool or method of MCP, or the method of HTTP
    Operation,
    /// Which of the key's secrets
    Secret,
    /// Where the key was presented
    Carrier,
    /// How it was answered
    Status,
}

impl From<Dimension> for UsageDimension {
    fn from(dimension: Dimension) -> Self {
        match dimension {
            Dimension::Outcome => Self::Outcome,
            Dimension::Server => Self::Server,
            Dimension::Operation => Self::Operation,
            Dimension::Secret => Self::Secret,
            Dimension::Carrier => Self::Carrier,
            Dimension::Status => Self::Status,
        }
    }
}
