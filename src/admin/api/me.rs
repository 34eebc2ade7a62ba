//! What a key may ask about itself, without any scope.
//!
//! Whoever holds a key may end it, and is told who it is. With full access they may give it a new
//! secret, which is no more than they had. What else their owner has is asked with `keys:read`.

use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::answer;
use super::asked::{AskedRevocation, AskedRotation};
use super::caller::{Caller, finished};
use super::choice::AskedKeys;
use super::fault::Fault;
use super::keys::{changed, made};
use super::read::{Asked, MaybeJson};
use super::schema::{
    AccessWord, GrantText, KeyIdText, McpRulesValue, MetadataValue, OwnerText, RateLimitValue,
    ServersValue, TimeText,
};
use super::shown::{self, ShownKey, ShownKeys, ShownOnce};
use crate::admin::rights::{Act, Right};
use crate::context::KeyContext;

/// Who is asking.
#[derive(Debug, Serialize)]
struct ShownMe<'a> {
    #[serde(flatten)]
    key: &'a KeyContext,
    admin: bool,
    may: Vec<&'static str>,
}

/// Who is asking, with the rights of this moment.
#[derive(Debug, ToSchema)]
#[schema(as = Me)]
#[allow(dead_code, reason = "describes what is written elsewhere")]
pub(super) struct MeValue {
    #[schema(value_type = KeyIdText)]
    id: String,
    handle: String,
    name: String,
    #[schema(value_type = Option<OwnerText>)]
    owner: Option<String>,
    #[schema(value_type = ServersValue)]
    servers: Value,
    #[schema(value_type = Vec<GrantText>)]
    scopes: Value,
    access: AccessWord,
    mcp: McpRulesValue,
    limits: Vec<RateLimitValue>,
    metadata: MetadataValue,
    #[schema(value_type = TimeText)]
    created_at: String,
    #[schema(value_type = Option<TimeText>)]
    expires_at: Option<String>,
    /// Where in the request the key stood.
    #[schema(example = "bearer")]
    carrier: String,
    /// Whether it acts on all keys.
    admin: bool,
    /// The scopes of this API that it holds.
    #[schema(example = json!(["keys:read"]))]
    may: Vec<String>,
}

/// Who am I?
///
/// Any key in force may ask.
#[utoipa::path(
    get, path = "/me", tag = "me", operation_id = "whoAmI",
    responses((status = 200, description = "The key that asks.", body = MeValue)),
)]
pub(super) async fn who(caller: Caller) -> Result<Response, Fault> {
    let held = Right::ALL.into_iter();
    let may = held.filter(|right| right.is_held_by(caller.key()));
    let me = ShownMe {
        key: caller.context(),
        admin: caller.is_admin().await?,
        may: may.map(Right::as_str).collect(),
    };
    Ok(answer::json(StatusCode::OK, &me))
}

/// List my keys
///
/// Those of the owner of the key that asks, also for an admin. A key without an owner has none.
#[utoipa::path(
    get, path = "/me/keys", tag = "me", operation_id = "listMyKeys",
    params(AskedKeys),
    responses((status = 200, description = "One page of keys.", body = ShownKeys)),
    extensions(("x-required-scope" = json!("keys:read"))),
)]
pub(super) async fn keys(
    caller: Caller,
    Asked(asked): Asked<AskedKeys>,
) -> Result<Response, Fault> {
    Act::SeeKeys.check(caller.key())?;
    let (mut filter, page) = (asked.filter()?, asked.page()?);
    let own = caller.context().owner();
    let others = filter
        .owner
        .as_ref()
        .is_some_and(|asked| Some(asked) != own);
    let Some(owner) = own.filter(|_| !others) else {
        let none = ShownKeys {
            keys: Vec::new(),
            next: None,
        };
        return Ok(answer::json(StatusCode::OK, &none));
    };
    filter.owner = Some(owner.clone());
    let page = caller.for_itself().await?.list(&filter, page).await?;
    let keys = ShownKeys {
        keys: shown::all(page.keys),
        next: page.next,
    };
    Ok(answer::json(StatusCode::OK, &keys))
}

/// Give myself a new secret
///
/// The new key is shown in this answer and never again. Not by a secret that was replaced already,
/// and not by a read-only key.
#[utoipa::path(
    post, path = "/me/rotate", tag = "me", operation_id = "rotateMe",
    request_body = Option<AskedRotation>,
    responses((status = 200, description = "The key with its new secret.", body = inline(ShownOnce<'static>),
        headers(("ETag" = String, description = "The revision, in quotes.")))),
)]
pub(super) async fn rotate(
    caller: Caller,
    MaybeJson(asked): MaybeJson<AskedRotation>,
) -> Result<Response, Fault> {
    let id = caller.context().key_id();
    caller.check_full_access()?;
    caller.check_newest(id)?;
    let grace = asked.grace()?;
    let manager = caller.for_itself().await?;
    finished(async move { Ok(made(StatusCode::OK, &manager.rotate_with(id, grace).await?)) }).await
}

/// Withdraw myself for good
#[utoipa::path(
    post, path = "/me/revoke", tag = "me", operation_id = "revokeMe",
    request_body = Option<AskedRevocation>,
    responses((status = 200, description = "The key, which is revoked.", body = ShownKey,
        headers(("ETag" = String, description = "The revision, in quotes.")))),
)]
pub(super) async fn revoke(
    caller: Caller,
    MaybeJson(asked): MaybeJson<AskedRevocation>,
) -> Result<Response, Fault> {
    let id = caller.context().key_id();
    let manager = caller.for_itself().await?;
    finished(async move { Ok(changed(manager.revoke(id, asked.reason.as_deref()).await?)) }).await
}
