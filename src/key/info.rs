//! What may be shown of a key.

use serde::Serialize;

use super::{
    Access, Connection, CredentialId, Handle, KeyId, KeyRecord, KeyStatus, McpRules, Metadata,
    NetworkRules, OwnerId, PlanName, Quota, RateLimit, Revision, ScopeSet, Servers, Signing,
};
use crate::clock::Timestamp;

/// Everything about a key that is no secret: for lists, pages, logs and handlers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct KeyInfo {
    /// The permanent name.
    pub id: KeyId,
    /// The public part of the newest secret.
    pub handle: Handle,
    /// Prefix, handle and an ellipsis.
    pub masked: String,
    /// What people call it.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Whom it belongs to.
    pub owner: Option<OwnerId>,
    /// Whether it works: `active`, `disabled` or `revoked`.
    #[serde(serialize_with = "status_word")]
    pub status: KeyStatus,
    /// Whether an admin has switched it off, so that no member switches it on.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub held: bool,
    /// Which servers or projects it opens.
    pub servers: Servers,
    /// What it may do there.
    pub scopes: ScopeSet,
    /// Whether it may change things or only look at them.
    pub access: Access,
    /// Which tools, prompts and resources of MCP servers it may use.
    pub mcp: McpRules,
    /// Whether its requests must be signed, whatever the layer asks.
    pub signing: Signing,
    /// Where it may be used from.
    pub networks: NetworkRules,
    /// Which plan's limits it has, where it has none of the same name itself.
    pub plan: Option<PlanName>,
    /// How often it may be used.
    pub limits: Vec<RateLimit>,
    /// How much it may use.
    pub quotas: Vec<Quota>,
    /// The program that uses it on its owner's behalf, if it is a connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection: Option<Connection>,
    /// Free-form facts.
    pub metadata: Metadata,
    /// When it was issued.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// From when on it is refused.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, as far as that is stored: some seconds late. Known to lists only, not
    /// to handlers and not in the audit trail.
    pub last_used_at: Option<Timestamp>,
    /// The older secret, while a rotation's grace window keeps it working.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous: Option<PreviousSecret>,
    /// Which write this state is, for "change it only if nobody else has".
    pub revision: Revision,
}

/// What may be shown of a secret that a rotation has replaced but not ended yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PreviousSecret {
    /// Its number within the key.
    pub credential: CredentialId,
    /// Its public part.
    pub handle: Handle,
    /// When it ends; nothing while it waits for the new secret to be presented first. It may have
    /// ended already.
    pub ends_at: Option<Timestamp>,
    /// When it was last presented, as far as that is stored: some seconds late.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Timestamp>,
}

impl KeyInfo {
    /// On how many servers or projects the key is; nothing if on all.
    pub fn server_count(&self) -> Option<usize> {
        match &self.servers {
            Servers::All => None,
            Servers::Only(names) => Some(names.len()),
        }
    }

    /// What may be shown of `record`; nothing if it holds no secret, as no valid record does.
    pub fn of(record: &KeyRecord) -> Option<Self> {
        let newest = record.credentials.last()?;
        Some(Self {
            id: record.id,
            handle: newest.handle.clone(),
            masked: newest.masked(),
            name: record.name.clone(),
            description: record.description.clone(),
            owner: record.owner.clone(),
            status: record.status.clone(),
            held: record.held,
            servers: record.servers.clone(),
            scopes: record.scopes.clone(),
            access: record.access,
            mcp: record.mcp.clone(),
            signing: record.signing,
            networks: record.networks.clone(),
            plan: record.plan.clone(),
            limits: record.limits.clone(),
            quotas: record.quotas.clone(),
            connection: record.connection.clone(),
            metadata: record.metadata.clone(),
            created_at: record.created_at,
            updated_at: record.updated_at,
            expires_at: record.expires_at,
            last_used_at: None,
            previous: match record.credentials.as_slice() {
                [.., old, _] => Some(PreviousSecret {
                    credential: old.id,
                    handle: old.handle.clone(),
                    ends_at: old.ends_at,
                    last_used_at: None,
                }),
                _ => None,
            },
            revision: record.revision,
        })
    }
}

/// What a key is granted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grants<'a> {
    pub(crate) servers: &'a Servers,
    pub(crate) scopes: &'a ScopeSet,
    pub(crate) access: Access,
}

fn status_word<S: serde::Serializer>(status: &KeyStatus, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(status.as_str())
}
