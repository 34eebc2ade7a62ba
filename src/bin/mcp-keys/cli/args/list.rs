//! `list`, `connections` and `safety`.

use std::num::NonZeroUsize;
use std::time::Duration;

use clap::Args;
use mcp_api_keys::key::{KeyId, OwnerId, PlanName, ServerName, StatusKind};

use crate::cli::values::{self, When};

#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  mcp-keys list --owner ada
  mcp-keys list --status disabled --name bot
  mcp-keys list --expires-before 7d
  mcp-keys list --idle-for 90d --created-before 2026-01-01T00:00:00Z
  mcp-keys list --all --limit 50 --after key_00VZwwy0Fq9zX3Uvt4pS0L")]
pub(crate) struct List {
    /// Only keys of this owner
    #[arg(long, value_name = "USER")]
    pub(crate) owner: Option<OwnerId>,

    /// Only keys that open this server
    #[arg(long, value_name = "SERVER")]
    pub(crate) server: Option<ServerName>,

    /// Only keys with this status
    #[arg(long, value_name = "STATUS", value_parser = values::status())]
    pub(crate) status: Option<StatusKind>,

    /// Only keys whose name contains this text, whatever its case
    #[arg(long, value_name = "PART")]
    pub(crate) name: Option<String>,

    /// Only keys that expire before a time, or within a duration from now
    #[arg(long, value_name = "TIME|DURATION", value_parser = values::when)]
    pub(crate) expires_before: Option<When>,

    /// Only keys on this plan
    #[arg(long, value_name = "PLAN")]
    pub(crate) plan: Option<PlanName>,

    /// Only keys made before a time, or longer ago than a duration
    #[arg(long, value_name = "TIME|DURATION", value_parser = values::when)]
    pub(crate) created_before: Option<When>,

    /// Only keys that were not used for so long, such as 90d
    #[arg(long, value_name = "DURATION", value_parser = values::duration)]
    pub(crate) idle_for: Option<Duration>,

    /// Only connections
    #[arg(long)]
    pub(crate) connections: bool,

    /// Revoked keys too
    #[arg(long)]
    pub(crate) all: bool,

    /// At most this many; without it, all
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<NonZeroUsize>,

    /// Only keys after this one, in the order of their making: where the last page ended
    #[arg(long, value_name = "ID")]
    pub(crate) after: Option<KeyId>,
}

#[derive(Debug, Args)]
#[command(after_long_help = "\
SERVERS, SCOPES and ACCESS are what the connection may do at present: the least of what was granted,
what the owner's role lets connections do, and what the owner may do.

Examples:
  mcp-keys connections
  mcp-keys connections --owner ada
  mcp-keys disconnect ATgKlpEa")]
pub(crate) struct Connections {
    /// Only connections of this owner
    #[arg(long, value_name = "USER")]
    pub(crate) owner: Option<OwnerId>,
}

#[derive(Debug, Args)]
#[command(after_long_help = "\
A key is listed with its risks, if it is active and has any:

  never_expires  It has no expiry.
  unused         It was not used for the time of --idle-for, and works all the same.
  unrestricted   It may do everything, on every server, from every address.
  unlimited      It has neither a rate limit nor a quota, of its own or of a plan.

Examples:
  mcp-keys safety
  mcp-keys safety --idle-for 30d
  mcp-keys --json safety | jq -r '.keys[] | select(.risks | index(\"unused\")) | .id'")]
pub(crate) struct Safety {
    /// After how long without use a key counts as unused
    #[arg(
        long,
        value_name = "DURATION",
        value_parser = values::duration,
        default_value = "90d"
    )]
    pub(crate) idle_for: Duration,
}
