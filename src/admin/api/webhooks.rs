//! What could not be posted.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::Office;
use super::answer;
use super::caller::Caller;
use super::choice::size;
use super::fault::Fault;
use super::read::Asked;
use super::schema::TimeText;
use crate::admin::rights::Act;

/// How many dead letters to list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AskedLetters {
    /// At most this many.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<usize>,
}

/// The messages that were given up, the latest first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeadLetterList)]
pub(super) struct ShownLetters {
    /// How the webhooks of the process that answers fare, in the order in which they were set up. Their
    /// URLs are shown to nobody.
    webhooks: Vec<ShownWebhook>,
    letters: Vec<ShownLetter>,
    /// How many are held: the last thousand.
    held: usize,
    /// How many had to go, because there were too many.
    dropped: u64,
}

/// What posting has come to in this process.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Webhook)]
struct ShownWebhook {
    /// Messages that were taken.
    delivered: u64,
    /// Attempts that failed.
    failed: u64,
    /// Messages that were given up.
    dead: u64,
    /// Events that were not heard in time to be queued.
    missed: u64,
    /// Of those that were given up, how many are in no list, because the store did not take them for too
    /// long.
    unlisted: u64,
    /// Messages that wait.
    waiting: usize,
}

/// A message that was given up.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeadLetter)]
struct ShownLetter {
    /// The message, as it was to be posted.
    #[schema(value_type = std::collections::BTreeMap<String, Value>)]
    event: Value,
    /// How often it was tried.
    attempts: u32,
    /// Why the last attempt failed, or why there was none.
    #[schema(example = "status 503")]
    reason: String,
    /// When it was given up.
    #[schema(value_type = TimeText)]
    at: crate::clock::Timestamp,
}

/// List dead letters
///
/// Messages of webhooks that were given up by any process, the latest first. For admins.
#[utoipa::path(
    get, path = "/webhooks/dead-letters", tag = "alerts", operation_id = "listDeadLetters",
    params(AskedLetters),
    responses((status = 200, description = "The messages.", body = ShownLetters)),
    extensions(("x-required-scope" = json!("alerts:read"))),
)]
pub(super) async fn dead_letters(
    caller: Caller,
    State(office): State<Arc<Office>>,
    Asked(asked): Asked<AskedLetters>,
) -> Result<Response, Fault> {
    let manager = caller.may(Act::SeeDeadLetters).await?;
    let kept = manager.dead_letters(size(asked.limit)?).await?;
    let letters = kept.letters.into_iter().map(|letter| ShownLetter {
        event: letter.event,
        attempts: letter.attempts,
        reason: letter.reason,
        at: letter.at,
    });
    let shown = ShownLetters {
        webhooks: webhooks(&office),
        letters: letters.collect(),
        held: kept.held,
        dropped: kept.dropped,
    };
    Ok(answer::json(StatusCode::OK, &shown))
}

#[cfg(feature = "webhooks")]
fn webhooks(office: &Office) -> Vec<ShownWebhook> {
    let stats = office.keys.webhook_stats().into_iter();
    let shown = stats.map(|stats| ShownWebhook {
        delivered: stats.delivered,
        failed: stats.failed,
        dead: stats.dead,
        missed: stats.missed,
        unlisted: stats.unlisted,
        waiting: stats.waiting,
    });
    shown.collect()
}

/// Such a process posts nothing.
#[cfg(not(feature = "webhooks"))]
fn webhooks(_: &Office) -> Vec<ShownWebhook> {
    Vec::new()
}
