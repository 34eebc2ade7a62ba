//! Keys: list, make, read, change, remove.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use http::header::{HeaderName, LOCATION};
use sha2::{Digest as _, Sha256};

use super::Office;
use super::answer::{self, tagged};
use super::asked::{AskedKey, AskedUpdate};
use super::caller::{Caller, finished};
use super::choice::AskedKeys;
use super::etag::Condition;
use super::fault::Fault;
use super::idempotency::{Answered, Digest, Once};
use super::read::{Asked, Json, Named, Whole, parsed};
use super::shown::{
    self, ShownDeleted, ShownKey, ShownKeys, ShownOnce, ShownRights, ShownStanding,
};
use crate::admin::rights::Act;
use crate::error::{Error, ErrorKind};
use crate::key::{Handle, KeyId, KeyInfo};
use crate::manager::{IssuedKey, KeyManager};

const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// List keys
///
/// In the order of their making, one page at a time. A member is shown their own.
#[utoipa::path(
    get, path = "/keys", tag = "keys", operation_id = "listKeys",
    params(AskedKeys),
    responses((status = 200, description = "One page of keys.", body = ShownKeys)),
    extensions(("x-required-scope" = json!("keys:read"))),
)]
pub(super) async fn list(
    caller: Caller,
    Asked(asked): Asked<AskedKeys>,
) -> Result<Response, Fault> {
    let manager = caller.may(Act::SeeKeys).await?;
    let page = manager.list(&asked.filter()?, asked.page()?).await?;
    let keys = ShownKeys {
        keys: shown::all(page.keys),
        next: page.next,
    };
    Ok(answer::json(StatusCode::OK, &keys))
}

/// Make a key
///
/// The key is shown in this answer and never again. Sent again with the same `Idempotency-Key` and
/// the same body, the answer is the same for ten minutes; up to a day after the first, it is a 409
/// that names the key that was made.
#[utoipa::path(
    post, path = "/keys", tag = "keys", operation_id = "createKey",
    params(("Idempotency-Key" = String, Header, min_length = 1, max_length = 255,
        pattern = "^[!-~]+$", description = "A name for this create, of the caller's choosing.")),
    request_body = AskedKey,
    responses((status = 201, description = "The key was made.", body = inline(ShownOnce<'static>),
        headers(
            ("ETag" = String, description = "The revision, in quotes."),
            ("Location" = String, description = "Where the key is read."),
            ("Idempotency-Replayed" = String,
                description = "`true`, if the key was made by an earlier request."),
        ))),
    extensions(("x-required-scope" = json!("keys:write"))),
)]
pub(super) async fn create(
    caller: Caller,
    State(office): State<Arc<Office>>,
    once: Once,
    Whole(body): Whole,
) -> Result<Response, Fault> {
    let manager = caller.may(Act::MakeKey).await?;
    let asked: AskedKey = parsed(&body)?;
    let new = asked.into_new()?;
    let issue = async move { Ok(manager.issue(new).await?) };
    let Some(name) = once.name(caller.context().key_id()) else {
        let issued = finished(issue).await?;
        return Ok(made(StatusCode::CREATED, &issued));
    };
    let now = office.keys.clock().now().wall;
    let digest = digest(&body);
    let answered = finished(async move { office.made.once(name, digest, now, issue).await });
    let Answered { issued, now } = answered.await?;
    let response = made(StatusCode::CREATED, &issued);
    Ok(if now {
        response
    } else {
        answer::with(response, REPLAYED, "true")
    })
}

fn digest(body: &Bytes) -> Digest {
    Sha256::digest(body).into()
}

/// A key in clear, and where it is read from now on without it.
pub(super) fn made(status: StatusCode, issued: &IssuedKey) -> Response {
    let info = issued.info().clone();
    let (id, revision) = (info.id, info.revision);
    let once = ShownOnce {
        key: issued.key().expose_secret(),
        info: info.into(),
    };
    let response = tagged(answer::in_clear(status, &once), revision);
    if status == StatusCode::CREATED {
        // Relative to `…/keys`, wherever that is nested.
        return answer::with(response, LOCATION, &format!("keys/{id}"));
    }
    response
}

/// Read a key
///
/// And what it may do at present, within its owner's rights and under its plan.
#[utoipa::path(
    get, path = "/keys/{id}", tag = "keys", operation_id = "readKey",
    params(("id" = super::schema::KeyIdText, Path)),
    responses((status = 200, description = "The key.", body = ShownStanding,
        headers(("ETag" = String, description = "The revision, in quotes.")))),
    extensions(("x-required-scope" = json!("keys:read"))),
)]
pub(super) async fn read(caller: Caller, Named(id): Named<KeyId>) -> Result<Response, Fault> {
    let manager = caller.may(Act::SeeKeys).await?;
    let info = manager.get(id).await?;
    whole(&caller, &manager, info).await
}

/// Find a key by its handle
///
/// By the public part of any of its secrets, which logs and masked keys show.
#[utoipa::path(
    get, path = "/keys/by-handle/{handle}", tag = "keys", operation_id = "findKey",
    params(("handle" = String, Path, min_length = 1, max_length = 64, pattern = "^[0-9A-Za-z]+$",
        example = "ATgKlpEa")),
    responses((status = 200, description = "The key.", body = ShownStanding,
        headers(("ETag" = String, description = "The revision, in quotes.")))),
    extensions(("x-required-scope" = json!("keys:read"))),
)]
pub(super) async fn find(caller: Caller, Named(handle): Named<Handle>) -> Result<Response, Fault> {
    let manager = caller.may(Act::SeeKeys).await?;
    let info = manager.get_by_handle(handle.as_str()).await?;
    whole(&caller, &manager, info).await
}

/// All that one key is told of.
async fn whole(caller: &Caller, manager: &KeyManager, info: KeyInfo) -> Result<Response, Fault> {
    let (id, revision) = (info.id, info.revision);
    let mut shown = standing(manager, info).await?;
    if Act::SeeUsage.is_open_to(caller.key()) {
        // The key is shown without it where usage cannot be read.
        shown.last_use = manager.last_use(id).await.ok().flatten();
    }
    Ok(tagged(answer::json(StatusCode::OK, &shown), revision))
}

/// What a key may do at present, as far as that can be told.
pub(super) async fn standing(manager: &KeyManager, info: KeyInfo) -> Result<ShownStanding, Fault> {
    let owner = match &info.owner {
        Some(id) => manager.owner(id).await?,
        None => None,
    };
    let rights = if_it_can_be_told(manager.rights(info.id).await)?;
    let quotas = if_it_can_be_told(manager.quotas(info.id).await)?;
    Ok(ShownStanding {
        key: info.into(),
        owner_active: owner.map(|owner| owner.active),
        rights: rights.map(ShownRights::from),
        quota_status: quotas.unwrap_or_default(),
        last_use: None,
    })
}

fn if_it_can_be_told<T>(outcome: Result<T, Error>) -> Result<Option<T>, Error> {
    match outcome {
        Err(error) if error.kind() == ErrorKind::Corrupt => Ok(None),
        outcome => outcome.map(Some),
    }
}

/// Change a key
///
/// What is named is set, everything else stays.
#[utoipa::path(
    patch, path = "/keys/{id}", tag = "keys", operation_id = "updateKey",
    params(
        ("id" = super::schema::KeyIdText, Path),
        ("If-Match" = super::schema::Tags, Header, description = "Change it only if it is still of this revision."),
    ),
    request_body = AskedUpdate,
    responses((status = 200, description = "The key as it is now.", body = ShownKey,
        headers(("ETag" = String, description = "The revision, in quotes.")))),
    extensions(("x-required-scope" = json!("keys:write"))),
)]
pub(super) async fn update(
    caller: Caller,
    Named(id): Named<KeyId>,
    condition: Condition,
    Json(asked): Json<AskedUpdate>,
) -> Result<Response, Fault> {
    let manager = caller.may(Act::ChangeKey).await?;
    let update = asked.into_update();
    finished(async move {
        if !condition.is_set() {
            return Ok(changed(manager.update(id, update).await?));
        }
        let read = manager.get(id).await?.revision;
        condition.check(Some(read))?;
        match manager.update(id, update.only_at(read)).await {
            Err(error) if error.kind() == ErrorKind::Conflict => {
                // Somebody was faster, or the key is revoked.
                condition.check(Some(manager.get(id).await?.revision))?;
                Err(error.into())
            }
            outcome => Ok(changed(outcome?)),
        }
    })
    .await
}

/// A key as it is after a change.
pub(super) fn changed(info: KeyInfo) -> Response {
    let revision = info.revision;
    tagged(
        answer::json(StatusCode::OK, &ShownKey::from(info)),
        revision,
    )
}

/// Remove a key
///
/// With its record, for good. Its trail stays. Revoking it keeps the record.
#[utoipa::path(
    delete, path = "/keys/{id}", tag = "keys", operation_id = "deleteKey",
    params(
        ("id" = super::schema::KeyIdText, Path),
        ("If-Match" = super::schema::Tags, Header, description = "Remove it only if it is of this revision."),
    ),
    responses((status = 200, description = "It is gone.", body = ShownDeleted)),
    extensions(("x-required-scope" = json!("keys:write"))),
)]
pub(super) async fn delete(
    caller: Caller,
    Named(id): Named<KeyId>,
    condition: Condition,
) -> Result<Response, Fault> {
    let manager = caller.may(Act::DeleteKey).await?;
    finished(async move {
        met(&manager, id, &condition).await?;
        if !manager.delete(id).await? {
            return Err(Fault::not_found("there is no such key"));
        }
        let gone = ShownDeleted { id, deleted: true };
        Ok(answer::json(StatusCode::OK, &gone))
    })
    .await
}

/// Refuses an act on a key that is not of the revision it is asked for.
pub(super) async fn met(
    manager: &KeyManager,
    id: KeyId,
    condition: &Condition,
) -> Result<(), Fault> {
    if condition.is_set() {
        condition.check(Some(manager.get(id).await?.revision))?;
    }
    Ok(())
}
