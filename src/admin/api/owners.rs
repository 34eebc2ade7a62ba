//! Owners: who may do what.

use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::answer::{self, tagged};
use super::asked::AskedOwner;
use super::caller::{Caller, finished};
use super::choice::size;
use super::etag::Condition;
use super::fault::Fault;
use super::read::{Asked, Json, Named};
use super::schema::OwnerText;
use super::shown::{ShownOwner, ShownOwners};
use crate::admin::rights::Act;
use crate::error::ErrorKind;
use crate::key::{Owner, OwnerId, Revision};
use crate::manager::KeyManager;
use crate::store::DocumentPage;

/// How often a definition is tried again when somebody else defines the same.
const ATTEMPTS: usize = 8;

/// Which owners to list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AskedOwners {
    /// At most this many.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<usize>,
    /// Only owners after this one: the `next` of the page before.
    #[param(value_type = Option<OwnerText>)]
    after: Option<OwnerId>,
}

/// List owners
///
/// Those that the store knows, by their ids. For admins.
#[utoipa::path(
    get, path = "/owners", tag = "owners", operation_id = "listOwners",
    params(AskedOwners),
    responses((status = 200, description = "One page of owners.", body = ShownOwners)),
    extensions(("x-required-scope" = json!("owners:read"))),
)]
pub(super) async fn list(
    caller: Caller,
    Asked(asked): Asked<AskedOwners>,
) -> Result<Response, Fault> {
    let manager = caller.may(Act::SeeOwners).await?;
    let wanted = size(asked.limit)?;
    let after = asked.after.map(|id| id.as_str().to_owned());
    let page = DocumentPage {
        after,
        size: wanted,
    };
    let owners = manager.owners(&page).await?;
    let last = owners.last().map(|owner| owner.id.clone());
    let next = match last.filter(|_| owners.len() == wanted) {
        Some(last) if is_followed(&manager, &last).await? => Some(last),
        _ => None,
    };
    let shown = ShownOwners {
        owners: owners.into_iter().map(ShownOwner::from).collect(),
        next,
    };
    Ok(answer::json(StatusCode::OK, &shown))
}

async fn is_followed(manager: &KeyManager, last: &OwnerId) -> Result<bool, Fault> {
    let after = Some(last.as_str().to_owned());
    let page = DocumentPage { after, size: 1 };
    Ok(!manager.owners(&page).await?.is_empty())
}

/// Read an owner
///
/// A member reads themselves.
#[utoipa::path(
    get, path = "/owners/{id}", tag = "owners", operation_id = "readOwner",
    params(("id" = OwnerText, Path)),
    responses((status = 200, description = "The owner.", body = ShownOwner,
        headers(("ETag" = String, description = "The revision, in quotes.")))),
    extensions(("x-required-scope" = json!("owners:read"))),
)]
pub(super) async fn read(caller: Caller, Named(id): Named<OwnerId>) -> Result<Response, Fault> {
    let manager = caller.may(Act::SeeOwners).await?;
    let owner = manager.owner(&id).await?;
    let owner = owner.ok_or_else(unknown)?;
    Ok(shown(StatusCode::OK, owner))
}

/// Define an owner
///
/// As a new one, or in place of what was said before. Every key of theirs is within it from the next
/// request on. For admins, and within the bounds of the key that is used.
#[utoipa::path(
    put, path = "/owners/{id}", tag = "owners", operation_id = "defineOwner",
    params(("id" = OwnerText, Path),
        ("If-Match" = super::schema::Tags, Header, description = "Only if it is still of this revision."),
        ("If-None-Match" = super::schema::Star, Header, description = "`*`: only if there is none.")),
    request_body = AskedOwner,
    responses(
        (status = 200, description = "The owner as it is now.", body = ShownOwner,
            headers(("ETag" = String, description = "The revision, in quotes."))),
        (status = 201, description = "The owner, who is new.", body = ShownOwner,
            headers(("ETag" = String, description = "The revision, in quotes."))),
    ),
    extensions(("x-required-scope" = json!("owners:write"))),
)]
pub(super) async fn define(
    caller: Caller,
    Named(id): Named<OwnerId>,
    condition: Condition,
    Json(asked): Json<AskedOwner>,
) -> Result<Response, Fault> {
    let manager = caller.may(Act::DefineOwner).await?;
    finished(async move {
        let mut owner = asked.into_owner(id.clone());
        for _ in 0..ATTEMPTS {
            let known = manager.owner(&id).await?.map(|owner| owner.revision);
            condition.check(known)?;
            owner.revision = known.unwrap_or_default();
            match manager.put_owner(owner.clone()).await {
                Err(error)
                    if is_overtaken(error.kind()) && has_moved(&manager, &id, known).await? => {}
                outcome => return Ok(shown(status(known), outcome?)),
            }
        }
        Err(Fault::conflict(
            "the owner is being changed by others all the time",
        ))
    })
    .await
}

pub(super) fn is_overtaken(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Conflict | ErrorKind::NotFound)
}

async fn has_moved(
    manager: &KeyManager,
    id: &OwnerId,
    before: Option<Revision>,
) -> Result<bool, Fault> {
    let now = manager.owner(id).await?.map(|owner| owner.revision);
    Ok(now != before)
}

pub(super) fn status(before: Option<Revision>) -> StatusCode {
    match before {
        Some(_) => StatusCode::OK,
        None => StatusCode::CREATED,
    }
}

/// Suspend an owner
///
/// None of their keys work until they are resumed.
#[utoipa::path(
    post, path = "/owners/{id}/suspend", tag = "owners", operation_id = "suspendOwner",
    params(("id" = OwnerText, Path)),
    responses((status = 200, description = "The owner, who is suspended.", body = ShownOwner,
        headers(("ETag" = String, description = "The revision, in quotes.")))),
    extensions(("x-required-scope" = json!("owners:write"))),
)]
pub(super) async fn suspend(caller: Caller, Named(id): Named<OwnerId>) -> Result<Response, Fault> {
    let manager = caller.may(Act::SuspendOwner).await?;
    finished(async move { Ok(shown(StatusCode::OK, manager.suspend_owner(&id).await?)) }).await
}

/// Let the keys of a suspended owner work again
#[utoipa::path(
    post, path = "/owners/{id}/resume", tag = "owners", operation_id = "resumeOwner",
    params(("id" = OwnerText, Path)),
    responses((status = 200, description = "The owner, who is active.", body = ShownOwner,
        headers(("ETag" = String, description = "The revision, in quotes.")))),
    extensions(("x-required-scope" = json!("owners:write"))),
)]
pub(super) async fn resume(caller: Caller, Named(id): Named<OwnerId>) -> Result<Response, Fault> {
    let manager = caller.may(Act::SuspendOwner).await?;
    finished(async move { Ok(shown(StatusCode::OK, manager.resume_owner(&id).await?)) }).await
}

/// An owner whom nothing is known of any more.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RemovedOwner)]
pub(super) struct ShownRemoved {
    #[schema(value_type = OwnerText)]
    id: OwnerId,
    removed: bool,
}

/// Remove an owner
///
/// Whom no key belongs to any more that is not revoked.
#[utoipa::path(
    delete, path = "/owners/{id}", tag = "owners", operation_id = "removeOwner",
    params(("id" = OwnerText, Path),
        ("If-Match" = super::schema::Tags, Header, description = "Only if it is of this revision.")),
    responses((status = 200, description = "They are gone.", body = ShownRemoved)),
    extensions(("x-required-scope" = json!("owners:write"))),
)]
pub(super) async fn remove(
    caller: Caller,
    Named(id): Named<OwnerId>,
    condition: Condition,
) -> Result<Response, Fault> {
    let manager = caller.may(Act::RemoveOwner).await?;
    finished(async move {
        if condition.is_set() {
            condition.check(manager.owner(&id).await?.map(|owner| owner.revision))?;
        }
        manager.remove_owner(&id).await?;
        let removed = true;
        Ok(answer::json(StatusCode::OK, &ShownRemoved { id, removed }))
    })
    .await
}

fn shown(status: StatusCode, owner: Owner) -> Response {
    let revision = owner.revision;
    tagged(answer::json(status, &ShownOwner::from(owner)), revision)
}

fn unknown() -> Fault {
    Fault::not_found("there is no such owner")
}
