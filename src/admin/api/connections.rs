//! Connections, and keys that are worth a second look.

use std::time::Duration;

use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;

use super::answer;
use super::asked::LONGEST;
use super::caller::{Caller, finished};
use super::choice::page;
use super::fault::Fault;
use super::keys::{changed, standing};
use super::read::{Asked, Named};
use super::schema::{KeyIdText, OwnerText};
use super::shown::{ShownConnections, ShownKey, ShownRisky, ShownSafety};
use crate::admin::rights::Act;
use crate::key::{KeyId, OwnerId};
use crate::store::KeyFilter;

/// After how long without use a key counts as unused, if nothing is said: 90 days.
const IDLE: Duration = Duration::from_secs(90 * 86_400);

/// Which connections to list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AskedConnections {
    /// Only connections of this owner.
    #[param(value_type = Option<OwnerText>)]
    owner: Option<OwnerId>,
    /// At most this many.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<usize>,
    /// Only connections after this one: the `next` of the page before.
    #[param(value_type = Option<KeyIdText>)]
    after: Option<KeyId>,
}

/// List connections
///
/// The keys that programs use on behalf of owners, and what each may do at present.
#[utoipa::path(
    get, path = "/connections", tag = "connections", operation_id = "listConnections",
    params(AskedConnections),
    responses((status = 200, description = "One page of connections.", body = ShownConnections)),
    extensions(("x-required-scope" = json!("keys:read"))),
)]
pub(super) async fn list(
    caller: Caller,
    Asked(asked): Asked<AskedConnections>,
) -> Result<Response, Fault> {
    let manager = caller.may(Act::SeeConnections).await?;
    let filter = KeyFilter {
        owner: asked.owner,
        connections: Some(true),
        ..KeyFilter::default()
    };
    let found = manager
        .list(&filter, page(asked.limit, asked.after)?)
        .await?;
    let mut connections = Vec::with_capacity(found.keys.len());
    for info in found.keys {
        connections.push(standing(&manager, info).await?);
    }
    let shown = ShownConnections {
        connections,
        next: found.next,
    };
    Ok(answer::json(StatusCode::OK, &shown))
}

/// End a connection
///
/// The key behind it is revoked.
#[utoipa::path(
    post, path = "/connections/{id}/disconnect", tag = "connections", operation_id = "disconnect",
    params(("id" = KeyIdText, Path)),
    responses((status = 200, description = "The key, which is revoked.", body = ShownKey,
        headers(("ETag" = String, description = "The revision, in quotes.")))),
    extensions(("x-required-scope" = json!("keys:write"))),
)]
pub(super) async fn disconnect(caller: Caller, Named(id): Named<KeyId>) -> Result<Response, Fault> {
    let manager = caller.may(Act::Disconnect).await?;
    finished(async move { Ok(changed(manager.disconnect(id).await?)) }).await
}

/// What counts as risky.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AskedSafety {
    /// After how many seconds without use a key counts as unused. 90 days, if nothing is said.
    #[param(minimum = 1, maximum = 3_155_760_000_u64)]
    idle_for: Option<u64>,
    /// Look at this many keys at most.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<usize>,
    /// Only keys after this one: the `next` of the page before.
    #[param(value_type = Option<KeyIdText>)]
    after: Option<KeyId>,
}

/// List keys that are worth a second look
#[utoipa::path(
    get, path = "/safety", tag = "keys", operation_id = "listRiskyKeys",
    params(AskedSafety),
    responses((status = 200, description = "The risky ones of a page of keys.", body = ShownSafety)),
    extensions(("x-required-scope" = json!("keys:read"))),
)]
pub(super) async fn safety(
    caller: Caller,
    Asked(asked): Asked<AskedSafety>,
) -> Result<Response, Fault> {
    let manager = caller.may(Act::SeeRisks).await?;
    let idle = match asked.idle_for {
        Some(seconds @ 1..=LONGEST) => Duration::from_secs(seconds),
        None => IDLE,
        Some(_) => {
            let message = "invalid idle_for: must be 1 to 3,155,760,000 seconds";
            return Err(Fault::malformed(message).in_field("idle_for"));
        }
    };
    let found = manager
        .safety(idle, page(asked.limit, asked.after)?)
        .await?;
    let shown = ShownSafety {
        keys: found.keys.into_iter().map(ShownRisky::from).collect(),
        next: found.next,
    };
    Ok(answer::json(StatusCode::OK, &shown))
}
