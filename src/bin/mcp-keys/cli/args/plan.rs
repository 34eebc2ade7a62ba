//! `plan` and what follows it.

use clap::{ArgAction, Args, Subcommand};
use mcp_api_keys::RateLimit;
use mcp_api_keys::key::{PlanName, Quota};

use super::Acting;
use crate::cli::values;

#[derive(Debug, Subcommand)]
pub(crate) enum PlanCommand {
    /// Make a plan, or change what is named of one
    Set(SetPlan),
    /// List the plans, those built in included
    #[command(visible_alias = "ls")]
    List,
    /// Show what a plan allows
    Show(ShowPlan),
    /// Remove a plan that no key is on any more
    #[command(after_long_help = REMOVE_HELP)]
    Remove(RemovePlan),
}

const REMOVE_HELP: &str = "\
While a key that is not revoked is on the plan this is refused. A built-in plan (free, standard,
professional) that was changed is as it was before then.

Examples:
  mcp-keys list --plan team
  mcp-keys plan remove team";

#[derive(Debug, Args)]
#[command(after_long_help = "\
A plan that there was not is made. Of one that there is, what is not named stays as it is; --rate
replaces all rates, and --quota all quotas. Its keys have its limits from the next request on, each
counted for the key alone.

Three plans are there from the start: free (10/min), standard (60/min) and professional (300/min).

Examples:
  mcp-keys plan set enterprise --rate 5000/min --quota 10000000/month
  mcp-keys plan set free --quota 1000/day
  mcp-keys plan set enterprise --no-quotas")]
pub(crate) struct SetPlan {
    /// The plan
    #[arg(value_name = "NAME")]
    pub(crate) name: PlanName,

    /// How often each of its keys may be used: 60/min, with a burst 60/min:10, under a name
    /// day=5000/day; may be repeated
    #[arg(
        long = "rate",
        value_name = "RATE",
        action = ArgAction::Append,
        value_parser = values::rate,
        conflicts_with = "no_rates"
    )]
    pub(crate) rates: Vec<RateLimit>,

    /// Remove its rates
    #[arg(long)]
    pub(crate) no_rates: bool,

    /// How much each of its keys may use by the calendar: 1000/day, 100000/month, under a name
    /// tokens=5000/day; may be repeated
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
    pub(crate) acting: Acting,
}

#[derive(Debug, Args)]
pub(crate) struct ShowPlan {
    /// The plan
    #[arg(value_name = "NAME")]
    pub(crate) name: PlanName,
}

#[derive(Debug, Args)]
pub(crate) struct RemovePlan {
    /// The plan
    #[arg(value_name = "NAME")]
    pub(crate) name: PlanName,

    #[command(flatten)]
    pub(crate) acting: Acting,
}

impl PlanCommand {
    /// Who changes something by it.
    pub(super) fn acting(&self) -> Option<&Acting> {
        match self {
            Self::Set(args) => Some(&args.acting),
            Self::Remove(args) => Some(&args.acting),
            Self::List | Self::Show(_) => None,
        }
    }
}
