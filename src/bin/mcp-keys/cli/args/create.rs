//! `create`, and how keys are written, bounded and dated.

use std::time::Duration;

use clap::{ArgAction, Args, ValueEnum};
use mcp_api_keys::key::{
    ClientId, Glob, McpRules, Network, OwnerId, PlanName, Quota, RateLimit, ScopeGrant, ServerName,
};
use mcp_api_keys::{KeyFormat, Timestamp};

use super::Acting;
use crate::cli::values::{self, Pair};

const CREATE_HELP: &str = "\
Examples:
  mcp-keys create --name ci-bot --server files --scope files:read --expires-in 30d
  mcp-keys create --name office --all-servers --scope '*' --allow-ip 203.0.113.0/24
  mcp-keys create --name agent --server mail --rate 60/min --rate day=5000/day
  mcp-keys create --name dashboard --all-servers --scope '*' --read-only
  mcp-keys create --name notes-bot --server notes --allow-tool 'read_*' --deny-tool read_private
  mcp-keys create --name app --server notes --format plain --prefix mgw_
  mcp-keys create --name laptop --owner ada --all-servers --format segmented --prefix ok1
  mcp-keys create --name trial --server files --plan free --quota 1000/day
  mcp-keys create --name 'desktop assistant' --owner ada --client claude --all-servers --scope '*'

A key opens no server until one is named or all are. Servers accept keys of the formats that they
are set up for; the default one needs no set-up. What the owner may not do, the key may not either,
if the owner is known: see `mcp-keys owner`.";

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

    /// Require its requests to be signed, whatever the server asks
    #[arg(long)]
    pub(crate) signed_only: bool,

    /// Make it a connection: a key that this program uses on behalf of its owner. It is read-only
    /// unless the owner is an admin
    #[arg(long, value_name = "ID")]
    pub(crate) client: Option<ClientId>,

    #[command(flatten)]
    pub(crate) tools: ToolLists,

    #[command(flatten)]
    pub(crate) networks: NetworkLists,

    /// A plan, whose limits it has but for those that it has of the same name itself
    #[arg(long, value_name = "PLAN")]
    pub(crate) plan: Option<PlanName>,

    /// How often it may be used: 60/min, with a burst 60/min:10, under a name day=5000/day, on one
    /// server a=60/min@files, by calls of some MCP tools b=5/min#export_*; may be repeated
    #[arg(long = "rate", value_name = "RATE", action = ArgAction::Append, value_parser = values::rate)]
    pub(crate) rates: Vec<RateLimit>,

    /// How much it may use by the calendar: 1000/day, 100000/month, under a name tokens=5000/day;
    /// may be repeated
    #[arg(long = "quota", value_name = "QUOTA", action = ArgAction::Append, value_parser = values::quota)]
    pub(crate) quotas: Vec<Quota>,

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

/// What it may use of MCP servers. In each pattern `*` stands for any characters.
#[derive(Debug, Args)]
pub(crate) struct ToolLists {
    /// Tools that it may call, and no others, such as read_*; may be repeated
    #[arg(long, value_name = "GLOB", action = ArgAction::Append)]
    pub(crate) allow_tool: Vec<Glob>,

    /// Tools that it may not call, even where they are allowed; may be repeated
    #[arg(long, value_name = "GLOB", action = ArgAction::Append)]
    pub(crate) deny_tool: Vec<Glob>,

    /// Resources that it may read, and no others, such as file:///srv/*; may be repeated
    #[arg(long, value_name = "GLOB", action = ArgAction::Append)]
    pub(crate) allow_resource: Vec<Glob>,

    /// Resources that it may not read, even where they are allowed; may be repeated
    #[arg(long, value_name = "GLOB", action = ArgAction::Append)]
    pub(crate) deny_resource: Vec<Glob>,

    /// Prompts that it may get, and no others; may be repeated
    #[arg(long, value_name = "GLOB", action = ArgAction::Append)]
    pub(crate) allow_prompt: Vec<Glob>,

    /// Prompts that it may not get, even where they are allowed; may be repeated
    #[arg(long, value_name = "GLOB", action = ArgAction::Append)]
    pub(crate) deny_prompt: Vec<Glob>,
}

impl ToolLists {
    pub(crate) fn is_empty(&self) -> bool {
        self.lists().iter().all(|list| list.is_empty())
    }

    /// The rules that the options make, where a list that none names is as in `before`.
    pub(crate) fn on(&self, before: &McpRules) -> McpRules {
        let earlier = [
            before.tools().allow(),
            before.tools().deny(),
            before.resources().allow(),
            before.resources().deny(),
            before.prompts().allow(),
            before.prompts().deny(),
        ];
        let adds: [fn(McpRules, Glob) -> McpRules; 6] = [
            McpRules::allow_tool,
            McpRules::deny_tool,
            McpRules::allow_resource,
            McpRules::deny_resource,
            McpRules::allow_prompt,
            McpRules::deny_prompt,
        ];
        let mut rules = McpRules::default();
        for ((named, before), add) in self.lists().into_iter().zip(earlier).zip(adds) {
            let list = if named.is_empty() { before } else { named };
            rules = list.iter().cloned().fold(rules, add);
        }
        rules
    }

    fn lists(&self) -> [&[Glob]; 6] {
        [
            &self.allow_tool,
            &self.deny_tool,
            &self.allow_resource,
            &self.deny_resource,
            &self.allow_prompt,
            &self.deny_prompt,
        ]
    }
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
