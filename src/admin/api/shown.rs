//! What answers say, in the words of the command line.

use serde::Serialize;
use utoipa::ToSchema;

use super::schema::{
    AccessWord, ConnectionValue, GrantText, KeyIdText, McpRulesValue, MetadataValue,
    NetworkRulesValue, OwnerText, PlanText, PreviousSecretValue, QuotaStatusValue, QuotaValue,
    RateLimitValue, RiskWord, RoleWord, ServersValue, SigningWord, StatusWord, TimeText,
};
use super::usage::LastUseValue;
use crate::clock::Timestamp;
use crate::key::{
    Access, Connection, Handle, KeyId, KeyInfo, KeyStatus, McpRules, Metadata, NetworkRules, Owner,
    OwnerId, Plan, PlanName, PreviousSecret, Quota, QuotaStatus, RateLimit, Revision, Role,
    ScopeSet, Servers, Signing,
};
use crate::manager::{Risk, RiskyKey};
use crate::usage::LastUse;

/// Everything about a key that is no secret.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Key)]
pub(super) struct ShownKey {
    #[schema(value_type = KeyIdText)]
    id: KeyId,
    /// The public part of the newest secret.
    #[schema(value_type = String, example = "ATgKlpEa")]
    handle: Handle,
    /// Prefix, handle and an ellipsis.
    #[schema(example = "mcp_sk_ATgKlpEa…")]
    masked: String,
    /// What people call it.
    #[schema(example = "ci-bot")]
    name: String,
    /// What it is for.
    description: Option<String>,
    #[schema(value_type = Option<OwnerText>)]
    owner: Option<OwnerId>,
    #[schema(value_type = StatusWord)]
    status: &'static str,
    /// Whether an admin has switched it off, so that no member switches it on.
    held: bool,
    #[schema(value_type = ServersValue)]
    servers: Servers,
    /// On how many servers it is; nothing if on all.
    server_count: Option<usize>,
    /// What it may do there.
    #[schema(value_type = Vec<GrantText>)]
    scopes: ScopeSet,
    #[schema(value_type = AccessWord)]
    access: Access,
    #[schema(value_type = McpRulesValue)]
    mcp: McpRules,
    #[schema(value_type = SigningWord)]
    signing: Signing,
    #[schema(value_type = NetworkRulesValue)]
    networks: NetworkRules,
    /// Which plan's limits it has, where it has none of the same name itself.
    #[schema(value_type = Option<PlanText>)]
    plan: Option<PlanName>,
    /// How often it may be used.
    #[schema(value_type = Vec<RateLimitValue>)]
    limits: Vec<RateLimit>,
    /// How much it may use.
    #[schema(value_type = Vec<QuotaValue>)]
    quotas: Vec<Quota>,
    /// The program that uses it, if it is a connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = ConnectionValue, required = false)]
    connection: Option<Connection>,
    #[schema(value_type = MetadataValue)]
    metadata: Metadata,
    /// When it was issued.
    #[schema(value_type = TimeText)]
    created_at: Timestamp,
    /// When it was last changed.
    #[schema(value_type = TimeText)]
    updated_at: Timestamp,
    /// From when on it is refused.
    #[schema(value_type = Option<TimeText>)]
    expires_at: Option<Timestamp>,
    /// When it was last used; some seconds late.
    #[schema(value_type = Option<TimeText>)]
    last_used_at: Option<Timestamp>,
    /// The older secret, while a rotation's window keeps it working.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = PreviousSecretValue, required = false)]
    previous: Option<PreviousSecret>,
    #[schema(value_type = Option<TimeText>)]
    revoked_at: Option<Timestamp>,
    revoked_reason: Option<String>,
    /// Which write this state is; the entity tag.
    #[schema(value_type = u64)]
    revision: Revision,
}

impl From<KeyInfo> for ShownKey {
    fn from(info: KeyInfo) -> Self {
        let (revoked_at, revoked_reason) = match &info.status {
            KeyStatus::Revoked { at, reason } => (Some(*at), reason.clone()),
            _ => (None, None),
        };
        Self {
            server_count: info.server_count(),
            status: info.status.as_str(),
            held: info.held,
            id: info.id,
            handle: info.handle,
            masked: info.masked,
            name: info.name,
            description: info.description,
            owner: info.owner,
            servers: info.servers,
            scopes: info.scopes,
            access: info.access,
            mcp: info.mcp,
            signing: info.signing,
            networks: info.networks,
            plan: info.plan,
            limits: info.limits,
            quotas: info.quotas,
            connection: info.connection,
            metadata: info.metadata,
            created_at: info.created_at,
            updated_at: info.updated_at,
            expires_at: info.expires_at,
            last_used_at: info.last_used_at,
            previous: info.previous,
            revoked_at,
            revoked_reason,
            revision: info.revision,
        }
    }
}

pub(super) fn all(infos: Vec<KeyInfo>) -> Vec<ShownKey> {
    infos.into_iter().map(ShownKey::from).collect()
}

/// A key that was just made, in clear: the only time that it can be read.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = IssuedKey)]
pub(super) struct ShownOnce<'a> {
    /// The key itself. Keep it; it cannot be read again.
    #[schema(example = "mcp_sk_ATgKlpEaBS64QGLizLFNWgSzNfDmYl2D0UvHLX")]
    pub(super) key: &'a str,
    #[serde(flatten)]
    pub(super) info: ShownKey,
}

/// A key, and what it may do at present.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = KeyStanding)]
pub(super) struct ShownStanding {
    #[serde(flatten)]
    pub(super) key: ShownKey,
    /// Whether its owner's keys work; nothing where the owner is not known.
    pub(super) owner_active: Option<bool>,
    /// What a request with it is judged by; nothing where that cannot be told, as for a revoked key
    /// whose plan is gone.
    pub(super) rights: Option<ShownRights>,
    /// What it has used of its quotas, its plan's included.
    #[schema(value_type = Vec<QuotaStatusValue>)]
    pub(super) quota_status: Vec<QuotaStatus>,
    /// When, from where and for what it was last used, where one key is read by a key that may read
    /// usage and there was a use.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = LastUseValue, required = false)]
    pub(super) last_use: Option<LastUse>,
}

/// What a key may do at present: its record, bounded by its owner, under its plan.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Rights)]
pub(super) struct ShownRights {
    #[schema(value_type = ServersValue)]
    servers: Servers,
    #[schema(value_type = Vec<GrantText>)]
    scopes: ScopeSet,
    #[schema(value_type = AccessWord)]
    access: Access,
    #[schema(value_type = Vec<RateLimitValue>)]
    limits: Vec<RateLimit>,
    #[schema(value_type = Vec<QuotaValue>)]
    quotas: Vec<Quota>,
}

impl From<KeyInfo> for ShownRights {
    fn from(info: KeyInfo) -> Self {
        Self {
            servers: info.servers,
            scopes: info.scopes,
            access: info.access,
            limits: info.limits,
            quotas: info.quotas,
        }
    }
}

/// One page of keys, in the order of their making.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = KeyList)]
pub(super) struct ShownKeys {
    pub(super) keys: Vec<ShownKey>,
    /// Where the next page starts, for `after`; nothing if this is the last.
    #[schema(value_type = Option<KeyIdText>)]
    pub(super) next: Option<KeyId>,
}

/// One page of connections, with what each may do at present.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ConnectionList)]
pub(super) struct ShownConnections {
    pub(super) connections: Vec<ShownStanding>,
    /// Where the next page starts, for `after`; nothing if this is the last.
    #[schema(value_type = Option<KeyIdText>)]
    pub(super) next: Option<KeyId>,
}

/// A key, and what is risky about it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RiskyKey)]
pub(super) struct ShownRisky {
    #[serde(flatten)]
    key: ShownKey,
    #[schema(value_type = Vec<RiskWord>)]
    risks: Vec<Risk>,
}

impl From<RiskyKey> for ShownRisky {
    fn from(risky: RiskyKey) -> Self {
        Self {
            key: risky.key.into(),
            risks: risky.risks,
        }
    }
}

/// Those of one page of the active keys that are risky; perhaps none, though more follow.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SafetyList)]
pub(super) struct ShownSafety {
    pub(super) keys: Vec<ShownRisky>,
    /// Where the next page starts, for `after`; nothing if this is the last.
    #[schema(value_type = Option<KeyIdText>)]
    pub(super) next: Option<KeyId>,
}

/// What was removed for good.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Deleted)]
pub(super) struct ShownDeleted {
    #[schema(value_type = KeyIdText)]
    pub(super) id: KeyId,
    pub(super) deleted: bool,
}

/// What an owner may do. No key of theirs reaches further.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Owner)]
pub(super) struct ShownOwner {
    #[schema(value_type = OwnerText)]
    id: OwnerId,
    #[schema(value_type = RoleWord)]
    role: Role,
    /// Whether their keys work at all.
    active: bool,
    #[schema(value_type = ServersValue)]
    servers: Servers,
    #[schema(value_type = Vec<GrantText>)]
    scopes: ScopeSet,
    #[schema(value_type = AccessWord)]
    access: Access,
    /// Which write this state is; the entity tag.
    #[schema(value_type = u64)]
    revision: Revision,
}

impl From<Owner> for ShownOwner {
    fn from(owner: Owner) -> Self {
        Self {
            id: owner.id,
            role: owner.role,
            active: owner.active,
            servers: owner.servers,
            scopes: owner.scopes,
            access: owner.access,
            revision: owner.revision,
        }
    }
}

/// One page of owners, by their ids.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OwnerList)]
pub(super) struct ShownOwners {
    pub(super) owners: Vec<ShownOwner>,
    /// Where the next page starts, for `after`; nothing if this is the last.
    #[schema(value_type = Option<OwnerText>)]
    pub(super) next: Option<OwnerId>,
}

/// A named set of limits that many keys share.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Plan)]
pub(super) struct ShownPlan {
    #[schema(value_type = PlanText)]
    name: PlanName,
    #[schema(value_type = Vec<RateLimitValue>)]
    limits: Vec<RateLimit>,
    #[schema(value_type = Vec<QuotaValue>)]
    quotas: Vec<Quota>,
    /// Which write this state is; the entity tag. Zero for one that is built in.
    #[schema(value_type = u64)]
    revision: Revision,
    /// Whether it is there without having been stored.
    built_in: bool,
}

impl From<Plan> for ShownPlan {
    fn from(plan: Plan) -> Self {
        Self {
            name: plan.name,
            limits: plan.limits,
            quotas: plan.quotas,
            built_in: plan.revision == Revision::default(),
            revision: plan.revision,
        }
    }
}

/// All plans, by their names.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PlanList)]
pub(super) struct ShownPlans {
    pub(super) plans: Vec<ShownPlan>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{Credential, CredentialId, KeyRecord};

    /// Nothing that may be shown of a key is left out, under whatever name a later version gives it.
    #[test]
    fn a_key_is_shown_as_a_whole() {
        let now = Timestamp::from_millis(1);
        let mut record = KeyRecord::new(KeyId::from_u128(7), "ci", now);
        let credential = |id| {
            let handle: Handle = "ATgKlpEa".parse().unwrap();
            Credential::new(id, handle, "mcp_sk_", "", now)
        };
        record.credentials = vec![
            credential(CredentialId::FIRST),
            credential(CredentialId::FIRST.next()),
        ];
        record.connection = Some(Connection::new("assistant".parse().unwrap()));
        record.status = KeyStatus::Revoked {
            at: now,
            reason: Some("left".to_owned()),
        };
        let info = KeyInfo::of(&record).unwrap();
        let expected = serde_json::to_value(&info).unwrap();
        let shown = serde_json::to_value(ShownKey::from(info)).unwrap();
        for (name, value) in expected.as_object().unwrap() {
            assert_eq!(shown.get(name), Some(value), "{name}");
        }
        assert_eq!(shown["revoked_reason"], "left");
        assert_eq!(shown["server_count"], 0);
    }
}
