//! `default-key` and `bootstrap`: keys that are made once.

use clap::Args;
use mcp_api_keys::key::{OwnerId, ServerName};

use super::Acting;
use super::create::Writing;

#[derive(Debug, Args)]
#[command(after_long_help = "\
It can be run as often as you like, by as many as you like: one of them gets the key, and the
others are told that it is there already, with exit code 0. A default key that was revoked stays
revoked; one that was deleted is made anew.

Examples:
  mcp-keys default-key files
  mcp-keys --json default-key files | jq -r 'select(.created) | .key'")]
pub(crate) struct DefaultKey {
    /// The server
    #[arg(value_name = "SERVER")]
    pub(crate) server: ServerName,

    #[command(flatten)]
    pub(crate) writing: Writing,

    #[command(flatten)]
    pub(crate) acting: Acting,
}

#[derive(Debug, Args)]
#[command(after_long_help = "\
It is for a new store. It can be run again, which changes nothing and is no failure.

Examples:
  mcp-keys bootstrap ada
  mcp-keys --json bootstrap ada | jq -r 'select(.created) | .key'")]
pub(crate) struct Bootstrap {
    /// Who becomes the first admin
    #[arg(value_name = "OWNER")]
    pub(crate) owner: OwnerId,

    #[command(flatten)]
    pub(crate) writing: Writing,

    #[command(flatten)]
    pub(crate) acting: Acting,
}
