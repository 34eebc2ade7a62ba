//! `owner` and what follows it.

use std::num::NonZeroUsize;

use clap::{ArgAction, Args, Subcommand};
use mcp_api_keys::key::{Access, OwnerId, Role, ScopeGrant, ServerName};

use super::Acting;
use crate::cli::values;

#[derive(Debug, Subcommand)]
pub(crate) enum OwnerCommand {
    /// Make an owner, or change what is named of one
    Set(Box<SetOwner>),
    /// List the owners that are known
    #[command(visible_alias = "ls")]
    List(ListOwners),
    /// Show what an owner may do
    Show(ShowOwner),
    /// Refuse every key of an owner, until they are resumed
    Suspend(OneOwner),
    /// Let the keys of a suspended owner work again
    Resume(OneOwner),
    /// Remove an owner to whom no key belongs any more
    #[command(after_long_help = REMOVE_HELP)]
    Remove(OneOwner),
}

const REMOVE_HELP: &str = "\
While the owner has a key that is not revoked this is refused: without them nobody would bound it.

Examples:
  mcp-keys revoke --owner ada --reason 'left the company'
  mcp-keys owner remove ada";

#[derive(Debug, Args)]
#[command(after_long_help = "\
An owner who was not known is made: a member, who may do nothing that is not named, or with --role
admin one who may do everything unless something is named. Of one who is known, what is not named
stays as it is. Options that may be repeated replace the whole list.

Keys are bounded by it from the next request on. The keys of an owner who is not known are bounded
by nobody.

Examples:
  mcp-keys owner set ada --server files --server mail --scope 'files:*'
  mcp-keys owner set ada --all-servers
  mcp-keys owner set root --role admin
  mcp-keys owner set auditor --all-servers --scope '*' --read-only")]
pub(crate) struct SetOwner {
    /// The owner
    #[arg(value_name = "ID")]
    pub(crate) id: OwnerId,

    /// Whether they manage all keys, or their own
    #[arg(long, value_name = "ROLE", value_parser = values::role())]
    pub(crate) role: Option<Role>,

    /// A server or project that they may use; may be repeated
    #[arg(
        long = "server",
        value_name = "SERVER",
        action = ArgAction::Append,
        conflicts_with_all = ["all_servers", "no_servers"]
    )]
    pub(crate) servers: Vec<ServerName>,

    /// They may use every server, those that are added later included
    #[arg(long, conflicts_with = "no_servers")]
    pub(crate) all_servers: bool,

    /// They may use no server
    #[arg(long)]
    pub(crate) no_servers: bool,

    /// What they may do, such as files:read, files:* or *; may be repeated
    #[arg(
        long = "scope",
        value_name = "SCOPE",
        action = ArgAction::Append,
        conflicts_with = "no_scopes"
    )]
    pub(crate) scopes: Vec<ScopeGrant>,

    /// Take all scopes away
    #[arg(long)]
    pub(crate) no_scopes: bool,

    /// Whether they may change things, within their scopes, or only look at them
    #[arg(long, value_name = "ACCESS", value_parser = values::access())]
    pub(crate) access: Option<Access>,

    /// The same as --access read-only
    #[arg(long, conflicts_with = "access")]
    pub(crate) read_only: bool,

    #[command(flatten)]
    pub(crate) acting: Acting,
}

#[derive(Debug, Args)]
pub(crate) struct ListOwners {
    /// At most this many; without it, all
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<NonZeroUsize>,

    /// Only owners after this one, in the order of their ids: where the last page ended
    #[arg(long, value_name = "ID")]
    pub(crate) after: Option<OwnerId>,
}

#[derive(Debug, Args)]
pub(crate) struct ShowOwner {
    /// The owner
    #[arg(value_name = "ID")]
    pub(crate) id: OwnerId,
}

/// An owner to whom something is done that needs no more words.
#[derive(Debug, Args)]
pub(crate) struct OneOwner {
    /// The owner
    #[arg(value_name = "ID")]
    pub(crate) id: OwnerId,

    #[command(flatten)]
    pub(crate) acting: Acting,
}

impl OwnerCommand {
    /// Who changes something by it.
    pub(super) fn acting(&self) -> Option<&Acting> {
        match self {
            Self::Set(args) => Some(&args.acting),
            Self::Suspend(args) | Self::Resume(args) | Self::Remove(args) => Some(&args.acting),
            Self::List(_) | Self::Show(_) => None,
        }
    }
}
