//! What may stand on the command line.
//!
//! Everything that can be wrong with one value is found here, before a store is opened: each value
//! is read into the library's own type.

mod alerts;
mod audit;
mod create;
mod first;
mod import;
mod list;
mod owner;
mod plan;
mod rotate;
mod update;
mod usage;
mod withdraw;

use clap::{Args, Parser, Subcommand};

pub(crate) use self::alerts::Alerts;
pub(crate) use self::audit::Audit;
pub(crate) use self::create::{Create, Family, Writing};
pub(crate) use self::first::{Bootstrap, DefaultKey};
pub(crate) use self::import::Import;
pub(crate) use self::list::{Connections, List, Safety};
pub(crate) use self::owner::{ListOwners, OwnerCommand, SetOwner};
pub(crate) use self::plan::{PlanCommand, SetPlan};
pub(crate) use self::rotate::Rotate;
pub(crate) use self::update::Update;
pub(crate) use self::usage::Usage;
pub(crate) use self::withdraw::{Choice, Delete, Revoke};
use super::values;

/// API keys for MCP servers: make them, look at them, change them, withdraw them.
#[derive(Debug, Parser)]
#[command(
    name = "mcp-keys",
    bin_name = "mcp-keys",
    version,
    propagate_version = true,
    arg_required_else_help = true,
    max_term_width = 100,
    after_help = "`mcp-keys help COMMAND` tells more, with examples.",
    after_long_help = ENVIRONMENT
)]
pub(crate) struct Cli {
    /// Where the keys are kept: sqlite:///var/lib/mcp/keys.db, postgres://user@host/database
    #[arg(
        long,
        global = true,
        help_heading = GENERAL,
        value_name = "URL",
        env = "MCP_KEYS_STORE",
        hide_env_values = true
    )]
    pub(crate) store: Option<String>,

    /// Write JSON for programs: one object, also for errors
    ///
    /// `import` and `audit` write one object for each line or entry.
    #[arg(long, global = true, help_heading = GENERAL)]
    pub(crate) json: bool,

    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Keeps what every command understands apart from what one does.
const GENERAL: &str = "General options";

const ENVIRONMENT: &str = "\
Environment:
  MCP_KEYS_STORE             The store, where --store is not given.
  MCP_KEYS_PEPPER            ID:HEX, a secret of at least 32 bytes in hexadecimal digits, held
                             outside the store. Keys made with it are verified in microseconds
                             by a gateway that has it too. Optional.
  MCP_KEYS_PREVIOUS_PEPPERS  Peppers that were current before, as ID:HEX,ID:HEX.
  MCP_KEYS_REDIS             The Redis of `serve`, where --redis is not given. What other commands
                             change is announced there, so that gateways hear of it at once.
  MCP_KEYS_SESSION_SECRET    At least 16 random bytes in hexadecimal digits. Gateways with the
                             same one know each other's MCP sessions, also after a restart.
                             Without it sessions end with the process. Optional.
  MCP_KEYS_WEBHOOK_SECRET    whsec_ and 24 to 64 random bytes in base 64, with which `serve`
                             signs what it posts to --webhook.
  MCP_KEYS_ACTOR             Who makes the changes, for the audit trail, where --actor is not given;
                             without both it is cli: and the name of the user.

Exit codes:
  0  done
  1  refused or failed: no such key, a conflict, the store does not answer
  2  the command line, the environment or a value in it is wrong; nothing was changed

Examples:
  export MCP_KEYS_STORE=sqlite:///var/lib/mcp/keys.db
  mcp-keys create --name ci-bot --server files --scope files:read --expires-in 30d
  mcp-keys list --server files
  mcp-keys rotate ATgKlpEa --grace 24h
  mcp-keys audit --key ATgKlpEa
  mcp-keys revoke ATgKlpEa --reason 'left the team'
  mcp-keys owner set ada --server files --scope 'files:*'
  mcp-keys plan set team --rate 120/min --quota 100000/month";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a key and show it, this once
    Create(Box<Create>),
    /// List keys
    #[command(visible_alias = "ls")]
    List(List),
    /// Show what is known of a key
    #[command(after_long_help = KEY_HELP)]
    Show(OneKey),
    /// Change what is named, leave everything else as it is
    Update(Box<Update>),
    /// Switch a key on
    Enable(ChangeKey),
    /// Switch a key off, until it is enabled again
    Disable(ChangeKey),
    /// Give a key a new secret and show it, this once; the old one is refused at once, or after a
    /// grace
    Rotate(Rotate),
    /// Refuse the old secret of a rotation from now on, whatever its grace
    #[command(after_long_help = END_GRACE_HELP)]
    EndGrace(ChangeKey),
    /// Withdraw a key for good, or all that are chosen, and keep the records
    Revoke(Box<Revoke>),
    /// Remove a key and its record for good
    Delete(Delete),
    /// Take over keys of another system by their hashes, from JSON lines
    Import(Import),
    /// List what looks wrong about keys: spikes, errors, new networks, dead keys in use, ends that are near
    Alerts(Alerts),
    /// Show who did what to which key, owner or plan, newest first
    Audit(Audit),
    /// Show when and what for a key was last used, by which of its secrets, what it has used of its
    /// quotas, and its requests by the hour or the day; without a key, all requests
    Usage(Usage),
    /// List keys that are worth a second look: without an end, unused, without bounds or limits
    Safety(Safety),
    /// Say what owners may do; no key of theirs reaches further
    #[command(subcommand, arg_required_else_help = true)]
    Owner(OwnerCommand),
    /// Say what plans allow; every key on a plan has its limits
    #[command(subcommand, arg_required_else_help = true)]
    Plan(PlanCommand),
    /// List connections: the keys that programs use on behalf of an owner
    Connections(Connections),
    /// End a connection: its key is revoked
    #[command(after_long_help = DISCONNECT_HELP)]
    Disconnect(ChangeKey),
    /// Make the default key of a server, with full access to it, unless there is one
    DefaultKey(DefaultKey),
    /// Make the first admin and a key for them that may do everything, unless it was done before
    Bootstrap(Bootstrap),
    /// Serve MCP servers to holders of keys
    Serve(Box<crate::gateway::ServeArgs>),
    /// Print regular expressions that find keys, for secret scanners
    Formats(Writing),
    /// Print a completion script for a shell
    Completions(Completions),
}

const KEY_HELP: &str = "\
KEY is an id (key_…), a handle (ATgKlpEa) or a masked key (mcp_sk_ATgKlpEa…).";

const DISCONNECT_HELP: &str = "\
A key that is no connection is left as it is; `mcp-keys revoke` withdraws it.

Examples:
  mcp-keys connections --owner ada
  mcp-keys disconnect ATgKlpEa";

const END_GRACE_HELP: &str = "\
KEY may also be the handle of the old secret. A key that has no old secret stays as it is.

Examples:
  mcp-keys end-grace ATgKlpEa";

/// Who changes something.
#[derive(Debug, Args)]
pub(crate) struct Acting {
    /// Who does this, for the audit trail [default: cli: and the name of the user]
    #[arg(
        long,
        help_heading = GENERAL,
        value_name = "NAME",
        env = "MCP_KEYS_ACTOR",
        hide_env_values = true,
        value_parser = values::actor
    )]
    pub(crate) actor: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct OneKey {
    /// The key: its id, its handle, or as it is shown masked
    #[arg(value_name = "KEY")]
    pub(crate) key: String,
}

/// A key to which something is done that needs no more words.
#[derive(Debug, Args)]
pub(crate) struct ChangeKey {
    #[command(flatten)]
    pub(crate) one: OneKey,

    #[command(flatten)]
    pub(crate) acting: Acting,
}

#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  mcp-keys completions bash > /etc/bash_completion.d/mcp-keys
  mcp-keys completions zsh > ~/.zfunc/_mcp-keys")]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub(crate) shell: clap_complete::Shell,
}

impl Command {
    /// Who changes something by it, as far as the command line or the environment says.
    pub(crate) fn actor(&self) -> Option<&str> {
        let acting = match self {
            Self::Create(args) => &args.acting,
            Self::Update(args) => &args.acting,
            Self::Enable(args)
            | Self::Disable(args)
            | Self::EndGrace(args)
            | Self::Disconnect(args) => &args.acting,
            Self::Alerts(args) => &args.acting,
            Self::Rotate(args) => &args.acting,
            Self::Revoke(args) => &args.acting,
            Self::Delete(args) => &args.acting,
            Self::Import(args) => &args.acting,
            Self::Owner(command) => command.acting()?,
            Self::Plan(command) => command.acting()?,
            Self::DefaultKey(args) => &args.acting,
            Self::Bootstrap(args) => &args.acting,
            Self::List(_)
            | Self::Show(_)
            | Self::Audit(_)
            | Self::Usage(_)
            | Self::Safety(_)
            | Self::Connections(_)
            | Self::Serve(_)
            | Self::Formats(_)
            | Self::Completions(_) => return None,
        };
        acting.actor.as_deref().filter(|name| !name.is_empty())
    }
}
