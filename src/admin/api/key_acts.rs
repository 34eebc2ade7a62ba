//! Acts on one key: switch it on and off, rotate it, end an old secret, revoke it.
//!
//! A condition in `If-Match` is asked before the act, not together with it: what somebody else does in
//! between is not seen. None of these acts builds on what was read, so nothing is lost by it.

use axum::response::Response;
use http::StatusCode;

use super::asked::{AskedRevocation, AskedRotation};
use super::caller::{Caller, finished};
use super::etag::Condition;
use super::fault::Fault;
use super::keys::{changed, made, met};
use super::read::{MaybeJson, Named};
use super::schema::KeyIdText;
use super::shown::{ShownKey, ShownOnce};
use crate::admin::rights::Act;
use crate::key::KeyId;

/// Switch a key on
///
/// What an admin has switched off, only an admin switches on.
#[utoipa::path(
    post, path = "/keys/{id}/enable", tag = "keys", operation_id = "enableKey",
    params(("id" = KeyIdText, Path),
        ("If-Match" = super::schema::Tags, Header, description = "Only if it is of this revision.")),
    responses((status = 200, description = "The key, which is on.", body = ShownKey,
        headers(("ETag" = String, description = "The revision, in quotes.")))),
    extensions(("x-required-scope" = json!("keys:write"))),
)]
pub(super) async fn enable(
    caller: Caller,
    Named(id): Named<KeyId>,
    condition: Condition,
) -> Result<Response, Fault> {
    let manager = caller.may(Act::SwitchKey).await?;
    finished(async move {
        met(&manager, id, &condition).await?;
        Ok(changed(manager.enable(id).await?))
    })
    .await
}

/// Switch a key off
#[utoipa::path(
    post, path = "/keys/{id}/disable", tag = "keys", operation_id = "disableKey",
    params(("id" = KeyIdText, Path),
        ("If-Match" = super::schema::Tags, Header, description = "Only if it is of this revision.")),
    responses((status = 200, description = "The key, which is off.", body = ShownKey,
        headers(("ETag" = String, description = "The revision, in quotes.")))),
    extensions(("x-required-scope" = json!("keys:write"))),
)]
pub(super) async fn disable(
    caller: Caller,
    Named(id): Named<KeyId>,
    condition: Condition,
) -> Result<Response, Fault> {
    let manager = caller.may(Act::SwitchKey).await?;
    finished(async move {
        met(&manager, id, &condition).await?;
        Ok(changed(manager.disable(id).await?))
    })
    .await
}

/// Give a key a new secret
///
/// The new key is shown in this answer and never again. Id, rights and limits stay.
#[utoipa::path(
    post, path = "/keys/{id}/rotate", tag = "keys", operation_id = "rotateKey",
    params(("id" = KeyIdText, Path),
        ("If-Match" = super::schema::Tags, Header, description = "Only if it is of this revision.")),
    request_body = Option<AskedRotation>,
    responses((status = 200, description = "The key with its new secret.", body = inline(ShownOnce<'static>),
        headers(("ETag" = String, description = "The revision, in quotes.")))),
    extensions(("x-required-scope" = json!("keys:write"))),
)]
pub(super) async fn rotate(
    caller: Caller,
    Named(id): Named<KeyId>,
    condition: Condition,
    MaybeJson(asked): MaybeJson<AskedRotation>,
) -> Result<Response, Fault> {
    let manager = caller.may(Act::RotateKey).await?;
    caller.check_newest(id)?;
    let grace = asked.grace()?;
    finished(async move {
        met(&manager, id, &condition).await?;
        let issued = manager.rotate_with(id, grace).await?;
        Ok(made(StatusCode::OK, &issued))
    })
    .await
}

/// End the old secret of a rotation now
#[utoipa::path(
    post, path = "/keys/{id}/end-grace", tag = "keys", operation_id = "endGrace",
    params(("id" = KeyIdText, Path),
        ("If-Match" = super::schema::Tags, Header, description = "Only if it is of this revision.")),
    responses((status = 200, description = "The key, which has one secret.", body = ShownKey,
        headers(("ETag" = String, description = "The revision, in quotes.")))),
    extensions(("x-required-scope" = json!("keys:write"))),
)]
pub(super) async fn end_grace(
    caller: Caller,
    Named(id): Named<KeyId>,
    condition: Condition,
) -> Result<Response, Fault> {
    let manager = caller.may(Act::EndGrace).await?;
    finished(async move {
        met(&manager, id, &condition).await?;
        Ok(changed(manager.end_grace(id).await?))
    })
    .await
}

/// Withdraw a key for good
///
/// The record is kept, with the reason. A key that was revoked before keeps the first one.
#[utoipa::path(
    post, path = "/keys/{id}/revoke", tag = "keys", operation_id = "revokeKey",
    params(("id" = KeyIdText, Path),
        ("If-Match" = super::schema::Tags, Header, description = "Only if it is of this revision.")),
    request_body = Option<AskedRevocation>,
    responses((status = 200, description = "The key, which is revoked.", body = ShownKey,
        headers(("ETag" = String, description = "The revision, in quotes.")))),
    extensions(("x-required-scope" = json!("keys:write"))),
)]
pub(super) async fn revoke(
    caller: Caller,
    Named(id): Named<KeyId>,
    condition: Condition,
    MaybeJson(asked): MaybeJson<AskedRevocation>,
) -> Result<Response, Fault> {
    let manager = caller.may(Act::RevokeKeys).await?;
    finished(async move {
        met(&manager, id, &condition).await?;
        Ok(changed(manager.revoke(id, asked.reason.as_deref()).await?))
    })
    .await
}
