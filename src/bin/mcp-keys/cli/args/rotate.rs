//! `rotate`.

use std::time::Duration;

use clap::Args;
use mcp_api_keys::Grace;

use super::create::Writing;
use super::{Acting, OneKey};
use crate::cli::values;

#[derive(Debug, Args)]
#[command(after_long_help = "\
The key keeps its id, its rights and its limits. It is written as it was before, unless --format or
--prefix says otherwise.

The old secret is refused at once, which is right after a leak. With a grace it goes on beside the
new one, for at most 366 days and never beyond the key's own expiry; `mcp-keys show` tells until
when. Another rotation ends it, and so does `mcp-keys end-grace`.

Examples:
  mcp-keys rotate ATgKlpEa
  mcp-keys rotate ATgKlpEa --grace 24h
  mcp-keys rotate ATgKlpEa --grace-from-first-use 1h
  mcp-keys --json rotate key_00VZwwy0Fq9zX3Uvt4pS0L | jq -r .key")]
pub(crate) struct Rotate {
    #[command(flatten)]
    pub(crate) one: OneKey,

    /// Let the old secret go on for this long, such as 24h
    #[arg(
        long,
        value_name = "DURATION",
        value_parser = values::duration,
        conflicts_with = "grace_from_first_use"
    )]
    pub(crate) grace: Option<Duration>,

    /// Let the old secret go on until the new one is first used, and for this long after that
    #[arg(long, value_name = "DURATION", value_parser = values::duration)]
    pub(crate) grace_from_first_use: Option<Duration>,

    #[command(flatten)]
    pub(crate) writing: Writing,

    #[command(flatten)]
    pub(crate) acting: Acting,
}

impl Rotate {
    /// How long the old secret goes on working.
    pub(crate) fn grace(&self) -> Grace {
        match (self.grace, self.grace_from_first_use) {
            (Some(window), _) => Grace::For(window),
            (None, Some(window)) => Grace::FromFirstUse(window),
            (None, None) => Grace::None,
        }
    }
}
