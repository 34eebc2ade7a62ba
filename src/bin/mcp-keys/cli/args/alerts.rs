//! `alerts`.

use clap::Args;
use mcp_api_keys::alert::AlertRule;

#[derive(Debug, Args)]
#[command(after_long_help = "\
A gateway watches keys while it serves, and writes down what it finds some seconds late. The list has
the last alert of each key and rule, the open ones first and then the latest, at most a thousand.

With --dead-letters it is the messages of webhooks that were given up, the latest first, at most a
thousand; as they are listed by the admin API (GET /webhooks/dead-letters) and the page of alerts.

Rules: spike, errors, new_network, revoked_used, expired_used, near_limit, near_quota,
expiring_soon, idle.

Examples:
  mcp-keys alerts --open
  mcp-keys alerts --key ATgKlpEa
  mcp-keys --json alerts --rule new_network | jq -r '.alerts[].address'
  mcp-keys alerts --acknowledge idle --key ATgKlpEa
  mcp-keys --json alerts --dead-letters | jq -r '.letters[].reason'")]
pub(crate) struct Alerts {
    /// Only those whose reason still stands
    #[arg(long)]
    pub(crate) open: bool,

    /// Only those about this key
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<String>,

    /// Only those of this rule
    #[arg(long, value_name = "RULE")]
    pub(crate) rule: Option<AlertRule>,

    /// Note that you have seen to the alert of this rule about the key, instead of listing
    #[arg(long, value_name = "RULE", requires = "key", conflicts_with_all = ["open", "rule"])]
    pub(crate) acknowledge: Option<AlertRule>,

    /// The messages of webhooks that were given up, instead of alerts
    #[arg(long, conflicts_with_all = ["open", "key", "rule", "acknowledge"])]
    pub(crate) dead_letters: bool,

    #[command(flatten)]
    pub(crate) acting: super::Acting,
}
