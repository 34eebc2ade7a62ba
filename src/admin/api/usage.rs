//! What keys were used for.

use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use std::sync::Arc;

use super::Office;
use super::answer;
use super::caller::Caller;
use super::fault::Fault;
use super::read::{Asked, Named};
use super::schema::{KeyIdText, OwnerText, TimeText};
use crate::admin::rights::Act;
use crate::clock::Timestamp;
use crate::key::{KeyId, OwnerId};
use crate::usage::{LastUse, UsageDimension, UsagePoint, UsageQuery, UsageStep};

/// The most steps of one series: more than is ever kept.
const STEPS: usize = 10_000;

const DAY: u64 = 86_400;

/// Which series.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AskedUsage {
    /// Only what this key did.
    #[param(value_type = Option<KeyIdText>)]
    key: Option<KeyId>,
    /// Only what this owner's keys did.
    #[param(value_type = Option<OwnerText>)]
    owner: Option<OwnerId>,
    /// From the step that this time is in. If nothing is said, a day before the end for hours, 30 days
    /// for days.
    #[param(value_type = Option<TimeText>)]
    from: Option<Timestamp>,
    /// Until this time. If nothing is said, now.
    #[param(value_type = Option<TimeText>)]
    until: Option<Timestamp>,
    /// How long the steps are. An hour, if nothing is said.
    #[param(value_type = Option<StepWord>)]
    step: Option<UsageStep>,
    /// What to tell apart.
    #[param(value_type = Option<DimensionWord>)]
    by: Option<UsageDimension>,
}

/// How long a step is.
#[derive(Debug, ToSchema)]
#[schema(as = UsageStep, rename_all = "lowercase")]
#[allow(dead_code, reason = "describes what is read and written elsewhere")]
pub(super) enum StepWord {
    Hour,
    Day,
}

/// What a series may tell apart.
#[derive(Debug, ToSchema)]
#[schema(as = UsageDimension, rename_all = "lowercase")]
#[allow(dead_code, reason = "describes what is read and written elsewhere")]
pub(super) enum DimensionWord {
    Outcome,
    Server,
    Operation,
    Secret,
    Carrier,
    Status,
}

/// A series of usage, a few seconds behind.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UsageSeries)]
pub(super) struct ShownUsage {
    #[schema(value_type = TimeText)]
    from: Timestamp,
    #[schema(value_type = TimeText)]
    until: Timestamp,
    #[schema(value_type = StepWord)]
    step: UsageStep,
    #[schema(value_type = Option<DimensionWord>)]
    by: Option<UsageDimension>,
    /// One for each step and label with a request in it, by time and then by label.
    #[schema(value_type = Vec<PointValue>)]
    points: Vec<UsagePoint>,
}

/// What was counted in one step, under one label.
#[derive(Debug, ToSchema)]
#[schema(as = UsagePoint)]
#[allow(dead_code, reason = "describes what is written elsewhere")]
pub(super) struct PointValue {
    /// When the step begins.
    #[schema(value_type = TimeText)]
    at: String,
    label: Option<String>,
    requests: u64,
    allowed: u64,
    denied: u64,
    client_errors: u64,
    server_errors: u64,
    cancelled: u64,
    cost: u64,
    latency: LatencyValue,
}

/// How long it took until answers began.
#[derive(Debug, ToSchema)]
#[schema(as = Latency)]
#[allow(dead_code, reason = "describes what is written elsewhere")]
pub(super) struct LatencyValue {
    /// How many requests it is about.
    timed: u64,
    p50_ms: Option<f64>,
    p90_ms: Option<f64>,
    p99_ms: Option<f64>,
}

/// When, from where and for what a key was last used.
#[derive(Debug, ToSchema)]
#[schema(as = LastUse)]
#[allow(dead_code, reason = "describes what is written elsewhere")]
pub(super) struct LastUseValue {
    #[schema(value_type = TimeText)]
    at: String,
    address: Option<String>,
    /// Where in the request the key stood.
    carrier: String,
    /// Which of its secrets.
    credential: u32,
    server: Option<String>,
    operation: Option<String>,
}

/// The last use of a key.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = KeyLastUse)]
pub(super) struct ShownLastUse {
    /// Nothing, if the key was not used, or usage is not recorded.
    #[schema(value_type = Option<LastUseValue>)]
    last_use: Option<LastUse>,
}

impl AskedUsage {
    fn query(self, now: Timestamp) -> Result<UsageQuery, Fault> {
        let step = self.step.unwrap_or(UsageStep::Hour);
        let until = self.until.unwrap_or(now);
        let back = Duration::from_secs(match step {
            UsageStep::Hour => DAY,
            UsageStep::Day => 30 * DAY,
        });
        let from = self.from.unwrap_or(until.saturating_sub(back));
        let mut query = UsageQuery::new(from, until, step);
        query.key = self.key;
        query.owner = self.owner;
        query.by = self.by;
        if query.steps().take(STEPS + 1).count() > STEPS {
            let message = "must be at most 10,000 steps before until";
            return Err(Fault::invalid("from", message));
        }
        Ok(query)
    }
}

/// Read a series of usage
///
/// An admin is told of all requests, those without a genuine key included; a member of those of their
/// own keys. There is nothing here where usage is not recorded.
#[utoipa::path(
    get, path = "/usage", tag = "usage", operation_id = "readUsage",
    params(AskedUsage),
    responses((status = 200, description = "The series.", body = ShownUsage)),
    extensions(("x-required-scope" = json!("usage:read"))),
)]
pub(super) async fn series(
    caller: Caller,
    State(office): State<Arc<Office>>,
    Asked(asked): Asked<AskedUsage>,
) -> Result<Response, Fault> {
    let manager = caller.may(Act::SeeUsage).await?;
    let query = asked.query(office.keys.clock().now().wall)?;
    let points = manager.usage(&query).await?;
    let series = ShownUsage {
        from: query.from,
        until: query.until,
        step: query.step,
        by: query.by,
        points,
    };
    Ok(answer::json(StatusCode::OK, &series))
}

/// Read the last use of a key
#[utoipa::path(
    get, path = "/keys/{id}/last-use", tag = "usage", operation_id = "readLastUse",
    params(("id" = KeyIdText, Path)),
    responses((status = 200, description = "The last use, if there was one.", body = ShownLastUse)),
    extensions(("x-required-scope" = json!("usage:read"))),
)]
pub(super) async fn last(caller: Caller, Named(id): Named<KeyId>) -> Result<Response, Fault> {
    let manager = caller.may(Act::SeeUsage).await?;
    let last_use = manager.last_use(id).await?;
    Ok(answer::json(StatusCode::OK, &ShownLastUse { last_use }))
}
