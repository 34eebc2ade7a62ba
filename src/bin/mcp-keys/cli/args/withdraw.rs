//! `revoke` and `delete`.

use std::time::Duration;

use clap::Args;
use mcp_api_keys::key::{OwnerId, PlanName, ServerName};

use super::{Acting, OneKey};
use crate::cli::values::{self, When};

#[derive(Debug, Args)]
#[command(after_long_help = "\
Either KEY is named, or keys are chosen; of several conditions all must hold. Where a server is
named, keys for all servers are spared: they open others too.

Choosing needs --yes where nobody can be asked. The exit code is 1 if a key that was chosen could
not be revoked.

Examples:
  mcp-keys revoke ATgKlpEa --reason 'left the team'
  mcp-keys revoke --owner ada --reason 'left the company' --yes
  mcp-keys revoke --server files --created-before 2026-11-01T00:00:00Z
  mcp-keys revoke --plan free --idle-for 180d")]
#[command(group = clap::ArgGroup::new("which").required(true).multiple(true))]
pub(crate) struct Revoke {
    /// The key: its id, its handle, or as it is shown masked
    #[arg(
        value_name = "KEY",
        group = "which",
        conflicts_with_all = ["owner", "server", "plan", "created_before", "idle_for"]
    )]
    pub(crate) key: Option<String>,

    #[command(flatten)]
    pub(crate) choice: Choice,

    /// Why, up to 500 characters; kept with the record
    #[arg(long, value_name = "REASON")]
    pub(crate) reason: Option<String>,

    /// Do not ask
    #[arg(long, short)]
    pub(crate) yes: bool,

    #[command(flatten)]
    pub(crate) acting: Acting,
}

/// Which keys are meant, where none is named.
#[derive(Debug, Args)]
pub(crate) struct Choice {
    /// Every key of this owner
    #[arg(long, value_name = "USER", group = "which")]
    pub(crate) owner: Option<OwnerId>,

    /// Every key that names this server
    #[arg(long, value_name = "SERVER", group = "which")]
    pub(crate) server: Option<ServerName>,

    /// Every key on this plan
    #[arg(long, value_name = "PLAN", group = "which")]
    pub(crate) plan: Option<PlanName>,

    /// Every key made before a time, or longer ago than a duration
    #[arg(long, value_name = "TIME|DURATION", value_parser = values::when, group = "which")]
    pub(crate) created_before: Option<When>,

    /// Every key that was not used for so long, such as 90d
    #[arg(long, value_name = "DURATION", value_parser = values::duration, group = "which")]
    pub(crate) idle_for: Option<Duration>,
}

#[derive(Debug, Args)]
pub(crate) struct Delete {
    #[command(flatten)]
    pub(crate) one: OneKey,

    /// Do not ask
    #[arg(long, short)]
    pub(crate) yes: bool,

    #[command(flatten)]
    pub(crate) acting: Acting,
}
