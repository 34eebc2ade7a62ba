//! What may stand on the command line.
//!
//! Everything that can be wrong with one value is found here, before a store is opened: each value
//! is read into the library's own type.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use mcp_api_keys::key::{
    Access, KeyId, Network, OwnerId, RateLimit, ScopeGrant, ServerName, StatusKind,
};
use mcp_api_keys::{Grace, KeyFormat, Timestamp};

use super::values::{self, Pair, When};

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
    /// Where the keys are kept, such as sqlite:///var/lib/mcp/keys.db
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
  mcp-keys revoke ATgKlpEa --reason 'left the team'";

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
    /// Withdraw a key for good and keep its record
    Revoke(Revoke),
    /// Remove a key and its record for good
    Delete(Delete),
    /// Take over keys of another system by their hashes, from JSON lines
    Import(Import),
    /// Show who did what to which key, newest first
    Audit(Audit),
    /// Serve MCP servers to holders of keys
    Serve(Box<crate::gateway::ServeArgs>),
    /// Print regular expressions that find keys, for secret scanners
    Formats(Writing),
    /// Print a completion script for a shell
    Completions(Completions),
}

const KEY_HELP: &str = "\
KEY is an id (key_…), a handle (ATgKlpEa) or a masked key (mcp_sk_ATgKlpEa…).";

const END_GRACE_HELP: &str = "\
KEY may also be the handle of the old secret. A key that has no old secret stays as it is.

Examples:
  mcp-keys end-grace ATgKlpEa";

const CREATE_HELP: &str = "\
Examples:
  mcp-keys create --name ci-bot --server files --scope files:read --expires-in 30d
  mcp-keys create --name office --all-servers --scope '*' --allow-ip 203.0.113.0/24
  mcp-keys create --name agent --server mail --rate 60/min --rate day=5000/day
  mcp-keys create --name dashboard --all-servers --scope '*' --read-only
  mcp-keys create --name app --server notes --format plain --prefix mgw_
  mcp-keys create --name laptop --owner ada --all-servers --format segmented --prefix ok1

A key opens no server until one is named or all are. Servers accept keys of the formats that they
are set up for; the default one needs no set-up.";

#[derive(Debug, Args)]
#[command(after_long_help = CREATE_HELP)]
pub(crate) struct Create {
    /// What people call it, up to 200 characters
    #[arg(long, value_name = "NAME")]
    pub(crate) name: String,

    /// What it is for, up to 1,000 characters
    #[arg(long, value_name = "TEXT")]
    pub(crate) description: Option<String>,

    /// Whom it belongs to: a user, a team or a service
    #[arg(long, value_name = "USER")]
    pub(crate) owner: Option<OwnerId>,

    /// A server or project that it opens; may be repeated
    #[arg(long = "server", value_name = "SERVER", action = ArgAction::Append)]
    pub(crate) servers: Vec<ServerName>,

    /// Open every server, those that are added later included
    #[arg(long, conflicts_with = "servers")]
    pub(crate) all_servers: bool,

    /// What it may do, such as files:read, files:* or *; may be repeated
    #[arg(long = "scope", value_name = "SCOPE", action = ArgAction::Append)]
    pub(crate) scopes: Vec<ScopeGrant>,

    /// Let it look at things and change nothing, whatever its scopes say
    #[arg(long)]
    pub(crate) read_only: bool,

    #[command(flatten)]
    pub(crate) networks: NetworkLists,

    /// How often it may be used: 60/min, with a burst 60/min:10, under a name day=5000/day; may be
    /// repeated
    #[arg(long = "rate", value_name = "RATE", action = ArgAction::Append, value_parser = values::rate)]
    pub(crate) rates: Vec<RateLimit>,

    #[command(flatten)]
    pub(crate) expiry: Expiry,

    /// A fact about it, such as environment=production; may be repeated
    #[arg(long, value_name = "KEY=VALUE", action = ArgAction::Append, value_parser = values::pair)]
    pub(crate) metadata: Vec<Pair>,

    /// Make it switched off; `mcp-keys enable` switches it on
    #[arg(long)]
    pub(crate) inactive: bool,

    #[command(flatten)]
    pub(crate) writing: Writing,

    #[command(flatten)]
    pub(crate) acting: Acting,
}

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
pub(crate) struct NetworkLists {
    /// An address or block it may be used from, and from nowhere else; may be repeated
    #[arg(long = "allow-ip", value_name = "NET", action = ArgAction::Append)]
    pub(crate) allow: Vec<Network>,

    /// An address or block it may not be used from, even where it is allowed; may be repeated
    #[arg(long = "deny-ip", value_name = "NET", action = ArgAction::Append)]
    pub(crate) deny: Vec<Network>,
}

#[derive(Debug, Args)]
#[group(multiple = false)]
pub(crate) struct Expiry {
    /// Refuse it after this time, such as 30d, 24h or 90m
    #[arg(long = "expires-in", value_name = "DURATION", value_parser = values::duration)]
    pub(crate) after: Option<Duration>,

    /// Refuse it from this date and time on, such as 2027-01-31T00:00:00Z
    #[arg(long = "expires-at", value_name = "TIME")]
    pub(crate) at: Option<Timestamp>,
}

/// How a new key is written.
#[derive(Debug, Args)]
pub(crate) struct Writing {
    /// How the key is written
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<Family>,

    /// What the key begins with: 2 to 32 letters, digits, '_' or '-' [default: mcp_sk_, and mcp_sk
    /// for segmented keys]
    #[arg(long, value_name = "PREFIX", value_parser = values::prefix)]
    pub(crate) prefix: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Family {
    /// Prefix, 32 random characters and 6 of checksum
    Default,
    /// Prefix and 32 random characters
    Plain,
    /// PREFIX-OWNER-ID-SECRET; needs an owner
    Segmented,
}

#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  mcp-keys list --owner ada
  mcp-keys list --status disabled --name bot
  mcp-keys list --expires-before 7d
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
Options that may be repeated replace the whole list; --metadata sets and --unset-metadata removes
single facts. --no-ip-rules together with --allow-ip or --deny-ip clears both lists first.

Examples:
  mcp-keys update ATgKlpEa --name ci-bot-2 --server files --server mail
  mcp-keys update ATgKlpEa --no-expiry --metadata environment=production
  mcp-keys update ATgKlpEa --scope files:read --if-revision 17")]
pub(crate) struct Update {
    /// The key: its id, its handle, or as it is shown masked
    #[arg(value_name = "KEY")]
    pub(crate) key: String,

    /// Rename it
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,

    /// Say what it is for
    #[arg(long, value_name = "TEXT", conflicts_with = "no_description")]
    pub(crate) description: Option<String>,

    /// Remove the description
    #[arg(long)]
    pub(crate) no_description: bool,

    /// Say whom it belongs to
    #[arg(long, value_name = "USER", conflicts_with = "no_owner")]
    pub(crate) owner: Option<OwnerId>,

    /// Make it nobody's
    #[arg(long)]
    pub(crate) no_owner: bool,

    /// A server or project that it opens, instead of those before; may be repeated
    #[arg(
        long = "server",
        value_name = "SERVER",
        action = ArgAction::Append,
        conflicts_with_all = ["all_servers", "no_servers"]
    )]
    pub(crate) servers: Vec<ServerName>,

    /// Open every server, those that are added later included
    #[arg(long, conflicts_with = "no_servers")]
    pub(crate) all_servers: bool,

    /// Open no server
    #[arg(long)]
    pub(crate) no_servers: bool,

    /// What it may do, instead of what it might before; may be repeated
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

    /// Whether it may change things, within its scopes, or only look at them
    #[arg(long, value_name = "ACCESS", value_parser = values::access())]
    pub(crate) access: Option<Access>,

    #[command(flatten)]
    pub(crate) networks: NetworkLists,

    /// Allow it from everywhere
    #[arg(long)]
    pub(crate) no_ip_rules: bool,

    /// How often it may be used, instead of the limits before; may be repeated
    #[arg(
        long = "rate",
        value_name = "RATE",
        action = ArgAction::Append,
        value_parser = values::rate,
        conflicts_with = "no_rates"
    )]
    pub(crate) rates: Vec<RateLimit>,

    /// Remove its rate limits
    #[arg(long)]
    pub(crate) no_rates: bool,

    #[command(flatten)]
    pub(crate) expiry: Expiry,

    /// Let it live until it is withdrawn
    #[arg(long, conflicts_with_all = ["after", "at"])]
    pub(crate) no_expiry: bool,

    /// A fact to set, such as environment=production; may be repeated
    #[arg(long, value_name = "KEY=VALUE", action = ArgAction::Append, value_parser = values::pair)]
    pub(crate) metadata: Vec<Pair>,

    /// A fact to remove; may be repeated
    #[arg(long, value_name = "KEY", action = ArgAction::Append)]
    pub(crate) unset_metadata: Vec<String>,

    /// Change it only if it still has this revision
    #[arg(long, value_name = "N")]
    pub(crate) if_revision: Option<u64>,

    #[command(flatten)]
    pub(crate) acting: Acting,
}

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

#[derive(Debug, Args)]
pub(crate) struct Revoke {
    #[command(flatten)]
    pub(crate) one: OneKey,

    /// Why, up to 500 characters; kept with the record
    #[arg(long, value_name = "REASON")]
    pub(crate) reason: Option<String>,

    #[command(flatten)]
    pub(crate) acting: Acting,
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

#[derive(Debug, Args)]
#[command(after_long_help = IMPORT_HELP)]
pub(crate) struct Import {
    /// The file to read, or - for standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,

    #[command(flatten)]
    pub(crate) writing: Writing,

    #[command(flatten)]
    pub(crate) acting: Acting,
}

const IMPORT_HELP: &str = "\
Each line of FILE is one JSON object, on one line:

  {\"name\":\"ci-bot\",\"handle\":\"ATgKlpEa\",\"hash\":\"sha256:a2ee9e…\",\"servers\":[\"files\"]}

  name        What people call it
  handle      The 8 characters that follow the key's prefix
  hash        The hash of the whole key, prefix included: $argon2id$…, $2b$… or sha256:…
  and, if wanted: prefix, description, owner, active, servers (\"all\" or names), scopes, access
  (read-only or full), networks, limits, metadata, created_at, expires_at

The holder of the key goes on using it. --format and --prefix say how the keys are written, where
they are not of the default format; the servers must accept that format.

For each line, one JSON object is written to standard output, whether or not --json is given:

  {\"line\":1,\"ok\":true,\"id\":\"key_…\",\"handle\":\"ATgKlpEa\",\"name\":\"ci-bot\"}
  {\"line\":2,\"ok\":false,\"error\":{\"code\":\"conflict\",\"message\":\"…\"}}

Empty lines are skipped. Lines that are good are kept, and the exit code is 1 if any was not; a
file may be imported again, keys that are there already are conflicts then.

Examples:
  mcp-keys import keys.jsonl
  mcp-keys import --format plain --prefix mgw_ - < old-keys.jsonl | jq 'select(.ok | not)'";

#[derive(Debug, Args)]
#[command(after_long_help = "\
People get a table with the names of the fields that changed. Programs get one JSON object on each
line, with the key as it could be shown before and after; no entry holds a secret or a hash.

A key that was deleted is named by its id. A duration counts back from now.

Examples:
  mcp-keys audit --limit 20
  mcp-keys audit --key ATgKlpEa
  mcp-keys audit --actor cli:ada --since 7d
  mcp-keys --json audit --since 2027-01-01T00:00:00Z > trail.jsonl")]
pub(crate) struct Audit {
    /// Only acts on this key
    #[arg(long, value_name = "KEY")]
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

impl Command {
    /// Who changes something by it, as far as the command line or the environment says.
    pub(crate) fn actor(&self) -> Option<&str> {
        let acting = match self {
            Self::Create(args) => &args.acting,
            Self::Update(args) => &args.acting,
            Self::Enable(args) | Self::Disable(args) | Self::EndGrace(args) => &args.acting,
            Self::Rotate(args) => &args.acting,
            Self::Revoke(args) => &args.acting,
            Self::Delete(args) => &args.acting,
            Self::Import(args) => &args.acting,
            Self::List(_)
            | Self::Show(_)
            | Self::Audit(_)
            | Self::Serve(_)
            | Self::Formats(_)
            | Self::Completions(_) => return None,
        };
        acting.actor.as_deref().filter(|name| !name.is_empty())
    }
}

impl Writing {
    /// The format these options ask for; `None` for both asks for the default one.
    pub(crate) fn to_format(&self) -> Result<KeyFormat, mcp_api_keys::key::FormatError> {
        let prefix = self.prefix.as_deref();
        match self.format.unwrap_or(Family::Default) {
            Family::Default => KeyFormat::new(prefix.unwrap_or("mcp_sk_")),
            Family::Plain => {
                KeyFormat::new(prefix.unwrap_or("mcp_sk_")).map(KeyFormat::without_checksum)
            }
            Family::Segmented => KeyFormat::segmented(prefix.unwrap_or("mcp_sk")),
        }
    }
}
