//! `plan`: limits that many keys share.

use mcp_api_keys::key::{Plan, Revision};
use mcp_api_keys::{Error, ErrorKind, KeyManager};
use serde::Serialize;
use serde_json::json;

use super::Keys;
use super::args::{PlanCommand, SetPlan};
use super::failure::Failure;
use super::output::{Output, or_dash, quotas, rates, table};

/// How often a change that builds on what it read is tried again.
const ATTEMPTS: usize = 8;

const HEAD: [&str; 4] = ["PLAN", "RATES", "QUOTAS", "KIND"];

pub(super) fn plan(command: &PlanCommand, keys: &Keys, output: Output) -> Result<(), Failure> {
    keys.manage(async |manager| match command {
        PlanCommand::Set(args) => {
            let plan = set(manager, args).await?;
            if output.is_json() {
                output.object(&Shown::of(&plan))
            } else {
                output.text(&format!("The plan {} is set.\n", plan.name))
            }
        }
        PlanCommand::List => {
            let plans = manager.plans().await?;
            if output.is_json() {
                let plans: Vec<_> = plans.iter().map(Shown::of).collect();
                return output.object(&json!({ "plans": plans }));
            }
            output.list(HEAD, plans.iter().map(row).collect(), "There are no plans.")
        }
        PlanCommand::Show(args) => {
            let known = manager.plan(&args.name).await?;
            let plan = known.ok_or_else(unknown)?;
            if output.is_json() {
                output.object(&Shown::of(&plan))
            } else {
                output.text(&table(HEAD, &[row(&plan)]))
            }
        }
        PlanCommand::Remove(args) => {
            manager.remove_plan(&args.name).await?;
            if output.is_json() {
                output.object(&json!({ "name": args.name, "removed": true }))
            } else {
                output.text(&format!("The plan {} is removed.\n", args.name))
            }
        }
    })
}

/// Builds on the plan as it is read, and again if somebody else changed it in between. What is as it
/// is to be is not written again.
async fn set(manager: &KeyManager, args: &SetPlan) -> Result<Plan, Failure> {
    for _ in 0..ATTEMPTS {
        let known = manager.plan(&args.name).await?;
        let plan = args.on(known.clone());
        if known.as_ref() == Some(&plan) {
            return Ok(plan);
        }
        match manager.put_plan(plan).await {
            Err(error) if matches!(error.kind(), ErrorKind::Conflict | ErrorKind::NotFound) => {}
            outcome => return Ok(outcome?),
        }
    }
    let changed = "the plan is being changed by others all the time";
    Err(Error::new(ErrorKind::Conflict, changed).into())
}

impl SetPlan {
    /// The plan with what is named set.
    fn on(&self, known: Option<Plan>) -> Plan {
        let mut plan = known.unwrap_or_else(|| Plan::new(self.name.clone()));
        if self.no_rates || !self.rates.is_empty() {
            plan.limits.clone_from(&self.rates);
        }
        if self.no_quotas || !self.quotas.is_empty() {
            plan.quotas.clone_from(&self.quotas);
        }
        plan
    }
}

/// A plan as programs see it.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    plan: &'a Plan,
    built_in: bool,
}

impl<'a> Shown<'a> {
    fn of(plan: &'a Plan) -> Self {
        Self {
            plan,
            built_in: is_built_in(plan),
        }
    }
}

/// What the store holds has a revision.
fn is_built_in(plan: &Plan) -> bool {
    plan.revision == Revision::default()
}

fn row(plan: &Plan) -> [String; 4] {
    [
        plan.name.to_string(),
        or_dash(rates(&plan.limits)),
        or_dash(quotas(&plan.quotas)),
        if is_built_in(plan) {
            "built in"
        } else {
            "stored"
        }
        .to_owned(),
    ]
}

fn unknown() -> Error {
    Error::new(ErrorKind::NotFound, "there is no such plan")
}
