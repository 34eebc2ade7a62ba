//! Plans: limits that many keys share.

use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::answer::{self, tagged};
use super::asked::AskedPlan;
use super::caller::{Caller, finished};
use super::etag::Condition;
use super::fault::Fault;
use super::owners::{is_overtaken, status};
use super::read::{Json, Named};
use super::schema::PlanText;
use super::shown::{ShownPlan, ShownPlans};
use crate::admin::rights::Act;
use crate::error::Error;
use crate::key::{Plan, PlanName, Revision};
use crate::manager::KeyManager;

/// How often a definition is tried again when somebody else defines the same.
const ATTEMPTS: usize = 8;

/// List plans
///
/// Those that are stored, and those built in that no stored one replaces.
#[utoipa::path(
    get, path = "/plans", tag = "plans", operation_id = "listPlans",
    responses((status = 200, description = "All plans, by their names.", body = ShownPlans)),
    extensions(("x-required-scope" = json!("plans:read"))),
)]
pub(super) async fn list(caller: Caller) -> Result<Response, Fault> {
    let manager = caller.may(Act::SeePlans).await?;
    let plans = manager.plans().await?;
    let plans = plans.into_iter().map(ShownPlan::from).collect();
    Ok(answer::json(StatusCode::OK, &ShownPlans { plans }))
}

/// Read a plan
#[utoipa::path(
    get, path = "/plans/{name}", tag = "plans", operation_id = "readPlan",
    params(("name" = PlanText, Path)),
    responses((status = 200, description = "The plan.", body = ShownPlan,
        headers(("ETag" = String, description = "The revision, in quotes.")))),
    extensions(("x-required-scope" = json!("plans:read"))),
)]
pub(super) async fn read(caller: Caller, Named(name): Named<PlanName>) -> Result<Response, Fault> {
    let manager = caller.may(Act::SeePlans).await?;
    let plan = manager.plan(&name).await?;
    let plan = plan.ok_or_else(|| Fault::not_found("there is no such plan"))?;
    Ok(shown(StatusCode::OK, plan))
}

/// Define a plan
///
/// As a new one, or in place of what was said before. Its keys have its limits from the next request
/// on. For admins.
#[utoipa::path(
    put, path = "/plans/{name}", tag = "plans", operation_id = "definePlan",
    params(("name" = PlanText, Path),
        ("If-Match" = super::schema::Tags, Header, description = "Only if it is still of this revision."),
        ("If-None-Match" = super::schema::Star, Header, description = "`*`: only if none is stored.")),
    request_body = AskedPlan,
    responses(
        (status = 200, description = "The plan as it is now.", body = ShownPlan,
            headers(("ETag" = String, description = "The revision, in quotes."))),
        (status = 201, description = "The plan, which is new, or replaces one that is built in.",
            body = ShownPlan, headers(("ETag" = String, description = "The revision, in quotes."))),
    ),
    extensions(("x-required-scope" = json!("plans:write"))),
)]
pub(super) async fn define(
    caller: Caller,
    Named(name): Named<PlanName>,
    condition: Condition,
    Json(asked): Json<AskedPlan>,
) -> Result<Response, Fault> {
    let manager = caller.may(Act::DefinePlan).await?;
    finished(async move {
        let mut plan = asked.into_plan(name.clone());
        for _ in 0..ATTEMPTS {
            let known = stored(&manager, &name).await?;
            condition.check(known)?;
            plan.revision = known.unwrap_or_default();
            match manager.put_plan(plan.clone()).await {
                Err(error)
                    if is_overtaken(error.kind()) && stored(&manager, &name).await? != known => {}
                outcome => return Ok(shown(status(known), outcome?)),
            }
        }
        Err(Fault::conflict(
            "the plan is being changed by others all the time",
        ))
    })
    .await
}

/// The revision of a plan that is not just built in.
async fn stored(manager: &KeyManager, name: &PlanName) -> Result<Option<Revision>, Error> {
    let plan = manager.plan(name).await?;
    let revision = plan.map(|plan| plan.revision);
    Ok(revision.filter(|revision| *revision != Revision::default()))
}

/// A plan that is no longer stored.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RemovedPlan)]
pub(super) struct ShownRemoved {
    #[schema(value_type = PlanText)]
    name: PlanName,
    removed: bool,
}

/// Remove a plan
///
/// That no key is on any more which is not revoked. One that replaced a built-in plan brings that
/// back.
#[utoipa::path(
    delete, path = "/plans/{name}", tag = "plans", operation_id = "removePlan",
    params(("name" = PlanText, Path),
        ("If-Match" = super::schema::Tags, Header, description = "Only if it is of this revision.")),
    responses((status = 200, description = "It is gone.", body = ShownRemoved)),
    extensions(("x-required-scope" = json!("plans:write"))),
)]
pub(super) async fn remove(
    caller: Caller,
    Named(name): Named<PlanName>,
    condition: Condition,
) -> Result<Response, Fault> {
    let manager = caller.may(Act::RemovePlan).await?;
    finished(async move {
        if condition.is_set() {
            condition.check(stored(&manager, &name).await?)?;
        }
        manager.remove_plan(&name).await?;
        let removed = true;
        Ok(answer::json(
            StatusCode::OK,
            &ShownRemoved { name, removed },
        ))
    })
    .await
}

fn shown(status: StatusCode, plan: Plan) -> Response {
    let revision = plan.revision;
    tagged(answer::json(status, &ShownPlan::from(plan)), revision)
}
