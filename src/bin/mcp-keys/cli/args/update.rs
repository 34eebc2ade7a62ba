//! `update`.

use clap::{ArgAction, Args};
use mcp_api_keys::key::{
    Access, OwnerId, PlanName, Quota, RateLimit, ScopeGrant, ServerName, Signing,
};

use super::Acting;
use super::create::{Expiry, NetworkLists, ToolLists};
use crate::cli::values::{self, Pair};

#[derive(Debug, Args)]
#[command(after_long_help = "\
Options that may be repeated replace the whole list; --metadata sets and --unset-metadata removes
single facts. --no-ip-rules together with --allow-ip or --deny-ip clears both lists first.

Examples:
  mcp-keys update ATgKlpEa --name ci-bot-2 --server files --server mail
  mcp-keys update ATgKlpEa --no-expiry --metadata environment=production
  mcp-keys update ATgKlpEa --plan standard --quota 100000/month
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

    /// Whether its requests must be signed, whatever the server asks, or the server decides
    #[arg(long, value_name = "SIGNING", value_parser = values::signing())]
    pub(crate) signing: Option<Signing>,

    #[command(flatten)]
    pub(crate) tools: ToolLists,

    /// Let it use every tool, resource and prompt; lists that are named at the same time are kept
    #[arg(long)]
    pub(crate) no_tool_rules: bool,

    #[command(flatten)]
    pub(crate) networks: NetworkLists,

    /// Allow it from everywhere
    #[arg(long)]
    pub(crate) no_ip_rules: bool,

    /// Put it on a plan
    #[arg(long, value_name = "PLAN", conflicts_with = "no_plan")]
    pub(crate) plan: Option<PlanName>,

    /// Take it off its plan
    #[arg(long)]
    pub(crate) no_plan: bool,

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

    /// How much it may use by the calendar, instead of the quotas before; may be repeated
    #[arg(
        long = "quota",
        value_name = "QUOTA",
        action = ArgAction::Append,
        value_parser = values::quota,
        conflicts_with = "no_quotas"
    )]
    pub(crate) quotas: Vec<Quota>,

    /// Remove its quotas
    #[arg(long)]
    pub(crate) no_quotas: bool,

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
