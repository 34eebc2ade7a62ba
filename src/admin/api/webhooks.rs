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
use crate::error::{Error, ErrorKind};

/// How many dead letters to list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AskedLetters {
    /// At most this many.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<usize>,
}

/// The messages that this process gave up, the latest first.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = DeadLetterList)]
pub(super) struct ShownLetters {
    /// How the webhooks fare, in the order in which they were set up. Their URLs are shown to nobody.
    webhooks: Vec<ShownWebhook>,
    letters: Vec<ShownLetter>,
    /// How many are held: the last thousand of each webhook.
    held: usize,
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
/// Messages of webhooks that were given up, the latest first, as far as the process that answers holds
/// them: those of one that ends are gone, and the trail and the list of alerts have what they told. For
/// admins.
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
    let _ = caller.may(Act::SeeDeadLetters).await?;
    if !caller.is_admin().await? {
        let message = "only admins see what is posted";
        return Err(Error::new(ErrorKind::Forbidden, message).into());
    }
    let shown = shown(&office, size(asked.limit)?);
    Ok(answer::json(StatusCode::OK, &shown))
}

#[cfg(feature = "webhooks")]
fn shown(office: &Office, most: usize) -> ShownLetters {
    let stats = office.keys.webhook_stats().into_iter();
    let webhooks = stats.map(|stats| ShownWebhook {
        delivered: stats.delivered,
        failed: stats.failed,
        dead: stats.dead,
        missed: stats.missed,
        waiting: stats.waiting,
    });
    let mut letters = office.keys.dead_letters();
    letters.sort_by_key(|letter| std::cmp::Reverse(letter.at));
    let held = letters.len();
    let letters = letters.into_iter().take(most).map(|letter| ShownLetter {
        event: serde_json::to_value(&*letter.event).unwrap_or_default(),
        attempts: letter.attempts,
        reason: letter.reason,
        at: letter.at,
    });
    ShownLetters {
        webhooks: webhooks.collect(),
        letters: letters.collect(),
        held,
    }
}

/// Without webhooks there is nothing that could not be posted.
#[cfg(not(feature = "webhooks"))]
fn shown(_: &Office, _: usize) -> ShownLetters {
    ShownLetters::default()
}
