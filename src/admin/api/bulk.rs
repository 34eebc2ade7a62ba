//! Many keys at once: import and withdraw.

use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::answer;
use super::asked::{AskedImport, AskedWithdrawal};
use super::caller::{Caller, finished};
use super::fault::{Fault, FaultDetails};
use super::read::{Json, LARGEST_IMPORT, parsed};
use super::schema::{
    AccessWord, GrantText, KeyIdText, McpRulesValue, MetadataValue, NetworkRulesValue, OwnerText,
    PlanText, QuotaValue, RateLimitValue, ServersValue, TimeText,
};
use super::shown::{self, ShownKey};
use crate::admin::rights::Act;
use crate::key::{Handle, KeyId};
use crate::manager::{ImportKey, KeyManager};

/// The most keys of one import.
const MOST: usize = 1_000;

/// A key of another system: what it is to be here, its handle and its hash.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ImportKey)]
#[allow(dead_code, reason = "describes what is read elsewhere")]
pub(super) struct ImportValue {
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// The eight letters or digits that follow the prefix.
    #[schema(example = "ATgKlpEa")]
    handle: String,
    /// `$argon2id$…`, `$2b$…`, or `sha256:` and the digest of the whole key.
    #[schema(example = "sha256:a2ee9e1d381864b2da8b63a22f778178d5caaf8951143b16278825fa14990eec")]
    hash: String,
    /// What stands before the handle.
    #[schema(example = "mcp_sk_")]
    prefix: Option<String>,
    #[schema(max_length = 1000)]
    description: Option<String>,
    #[schema(value_type = Option<OwnerText>)]
    owner: Option<String>,
    active: Option<bool>,
    #[schema(value_type = Option<ServersValue>)]
    servers: Option<Value>,
    #[schema(value_type = Option<Vec<GrantText>>)]
    scopes: Option<Value>,
    #[schema(value_type = Option<AccessWord>)]
    access: Option<Value>,
    #[schema(value_type = Option<McpRulesValue>)]
    mcp: Option<Value>,
    #[schema(value_type = Option<NetworkRulesValue>)]
    networks: Option<Value>,
    #[schema(value_type = Option<PlanText>)]
    plan: Option<String>,
    #[schema(value_type = Option<Vec<RateLimitValue>>)]
    limits: Option<Value>,
    #[schema(value_type = Option<Vec<QuotaValue>>)]
    quotas: Option<Value>,
    #[schema(value_type = Option<MetadataValue>)]
    metadata: Option<Value>,
    /// When the other system made it.
    #[schema(value_type = Option<TimeText>)]
    created_at: Option<String>,
    #[schema(value_type = Option<TimeText>)]
    expires_at: Option<String>,
}

/// What became of each key, in their order.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Imported)]
pub(super) struct ShownImport {
    imported: usize,
    refused: usize,
    results: Vec<ShownImported>,
}

/// What became of one key.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ImportResult)]
pub(super) struct ShownImported {
    /// Its place among the keys that were sent, from 0.
    index: usize,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = KeyIdText, required = false)]
    id: Option<KeyId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    handle: Option<Handle>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    name: Option<String>,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = FaultDetails<'static>, required = false)]
    error: Option<Value>,
}

/// Take over keys of another system by their hashes
///
/// Each key is stored or refused for itself; one that is refused hinders none of the others. For
/// admins. At most 8 MiB.
#[utoipa::path(
    post, path = "/keys/import", tag = "keys", operation_id = "importKeys",
    request_body = AskedImport,
    responses((status = 200, description = "What became of each.", body = ShownImport)),
    extensions(("x-required-scope" = json!("keys:write"))),
)]
pub(super) async fn import(
    caller: Caller,
    Json(asked): Json<AskedImport, LARGEST_IMPORT>,
) -> Result<Response, Fault> {
    let manager = caller.may(Act::ImportKeys).await?;
    if asked.keys.len() > MOST {
        return Err(Fault::invalid("keys", "must be at most 1,000"));
    }
    finished(async move {
        let mut results = Vec::with_capacity(asked.keys.len());
        for (index, text) in asked.keys.iter().enumerate() {
            results.push(imported(&manager, index, text.get()).await);
        }
        let imported = results.iter().filter(|result| result.ok).count();
        let shown = ShownImport {
            imported,
            refused: results.len() - imported,
            results,
        };
        Ok(answer::json(StatusCode::OK, &shown))
    })
    .await
}

async fn imported(manager: &KeyManager, index: usize, text: &str) -> ShownImported {
    let outcome = match parsed::<ImportKey>(text.as_bytes()) {
        Ok(key) => manager.import(key).await.map_err(Fault::from),
        Err(fault) => Err(fault),
    };
    match outcome {
        Ok(info) => ShownImported {
            index,
            ok: true,
            id: Some(info.id),
            handle: Some(info.handle),
            name: Some(info.name),
            error: None,
        },
        Err(fault) => ShownImported {
            index,
            ok: false,
            id: None,
            handle: None,
            name: None,
            error: Some(fault.object()),
        },
    }
}

/// What withdrawing many keys came to.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Withdrawn)]
pub(super) struct ShownWithdrawn {
    /// The keys that are revoked now.
    revoked: Vec<ShownKey>,
    /// Keys for all servers that matched a server: they open others too, and were left as they are.
    spared: Vec<ShownKey>,
    /// Keys that could not be revoked.
    failed: Vec<ShownFailure>,
}

/// A key that could not be revoked, and why.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WithdrawalFailure)]
pub(super) struct ShownFailure {
    #[schema(value_type = KeyIdText)]
    id: KeyId,
    #[schema(value_type = FaultDetails<'static>)]
    error: Value,
}

/// Withdraw many keys for good
///
/// Those that match all of what is named. A member withdraws their own.
#[utoipa::path(
    post, path = "/keys/revoke", tag = "keys", operation_id = "revokeKeys",
    request_body = AskedWithdrawal,
    responses((status = 200, description = "What became of them.", body = ShownWithdrawn)),
    extensions(("x-required-scope" = json!("keys:write"))),
)]
pub(super) async fn revoke(
    caller: Caller,
    Json(asked): Json<AskedWithdrawal>,
) -> Result<Response, Fault> {
    let manager = caller.may(Act::RevokeKeys).await?;
    finished(async move {
        let filter = asked.filter.into_filter();
        let withdrawn = manager.revoke_all(&filter, asked.reason.as_deref()).await?;
        let failed = withdrawn
            .failed
            .into_iter()
            .map(|(id, error)| ShownFailure {
                id,
                error: Fault::from(error).object(),
            });
        let shown = ShownWithdrawn {
            revoked: shown::all(withdrawn.revoked),
            spared: shown::all(withdrawn.spared),
            failed: failed.collect(),
        };
        Ok(answer::json(StatusCode::OK, &shown))
    })
    .await
}
