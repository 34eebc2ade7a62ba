//! What bodies and queries may say, in the words of the command line.

use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::choice::AskedChoice;
use super::fault::Fault;
use super::read::{nullable, present};
use super::schema::{
    AccessWord, GrantText, McpRulesValue, MetadataValue, NetworkRulesValue, OwnerText, PlanText,
    QuotaValue, RateLimitValue, RoleWord, ServersValue, SigningWord, TimeText,
};
use crate::clock::Timestamp;
use crate::key::{
    Access, McpRules, Metadata, NetworkRules, Owner, OwnerId, Plan, PlanName, Quota, RateLimit,
    Role, ScopeGrant, ScopeSet, Servers, Signing,
};
use crate::manager::{Grace, KeyUpdate, NewKey};

/// The longest duration that may be said, in seconds: a hundred years.
pub(super) const LONGEST: u64 = 3_155_760_000;

/// A key to be made. What is left out, or null, is as little as can be: no server, no scope.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewKey, example = json!({
    "name": "ci-bot", "servers": ["files"], "scopes": ["files:read"], "expires_in": 7_776_000,
}))]
pub(super) struct AskedKey {
    /// What people call it.
    #[schema(min_length = 1, max_length = 200, example = "ci-bot")]
    name: String,
    /// What it is for.
    #[schema(max_length = 1000)]
    description: Option<String>,
    #[schema(value_type = Option<OwnerText>)]
    owner: Option<String>,
    /// Whether it works from the start. It does, if nothing is said.
    active: Option<bool>,
    #[schema(value_type = Option<ServersValue>)]
    servers: Option<Servers>,
    /// What it may do there.
    #[schema(value_type = Option<Vec<GrantText>>)]
    scopes: Option<Vec<ScopeGrant>>,
    #[schema(value_type = Option<AccessWord>)]
    access: Option<Access>,
    #[schema(value_type = Option<McpRulesValue>)]
    mcp: Option<McpRules>,
    #[schema(value_type = Option<SigningWord>)]
    signing: Option<Signing>,
    #[schema(value_type = Option<NetworkRulesValue>)]
    networks: Option<NetworkRules>,
    #[schema(value_type = Option<PlanText>)]
    plan: Option<String>,
    /// How often it may be used: at most 16, of different names.
    #[schema(value_type = Option<Vec<RateLimitValue>>, max_items = 16)]
    limits: Option<Vec<RateLimit>>,
    /// How much it may use: at most 16, of different names.
    #[schema(value_type = Option<Vec<QuotaValue>>, max_items = 16)]
    quotas: Option<Vec<Quota>>,
    /// Makes it a connection of its owner's: the program that uses it.
    #[schema(min_length = 1, max_length = 512)]
    client: Option<String>,
    #[schema(value_type = Option<MetadataValue>)]
    metadata: Option<Metadata>,
    /// From when on it is refused.
    #[schema(value_type = Option<TimeText>)]
    expires_at: Option<Timestamp>,
    /// After how many seconds it is refused, instead of `expires_at`.
    #[schema(minimum = 1, maximum = 3_155_760_000_u64)]
    expires_in: Option<u64>,
}

impl AskedKey {
    pub(super) fn into_new(self) -> Result<NewKey, Fault> {
        let mut new = NewKey::named(self.name).scopes(self.scopes.unwrap_or_default());
        if let Some(text) = self.description {
            new = new.description(text);
        }
        if let Some(owner) = self.owner {
            new = new.owner(owner);
        }
        if self.active == Some(false) {
            new = new.inactive();
        }
        new = match self.servers.unwrap_or_default() {
            Servers::All => new.all_servers(),
            Servers::Only(names) => names
                .iter()
                .fold(new, |new, name| new.server(name.as_str())),
        };
        if self.access == Some(Access::ReadOnly) {
            new = new.read_only();
        }
        if self.signing == Some(Signing::Required) {
            new = new.signed_only();
        }
        new = new.mcp(self.mcp.unwrap_or_default());
        let networks = self.networks.unwrap_or_default();
        new = networks
            .allow()
            .iter()
            .copied()
            .fold(new, NewKey::allow_from);
        new = networks.deny().iter().copied().fold(new, NewKey::deny_from);
        if let Some(plan) = self.plan {
            new = new.plan(plan);
        }
        new = self.limits.into_iter().flatten().fold(new, NewKey::rate);
        new = self.quotas.into_iter().flatten().fold(new, NewKey::quota);
        if let Some(client) = self.client {
            new = new.connection(client);
        }
        let facts = self.metadata.into_iter().flatten();
        new = facts.fold(new, |new, (key, value)| new.metadata(key, value));
        match (self.expires_at, self.expires_in) {
            (None, None) => Ok(new),
            (Some(time), None) => Ok(new.expires_at(time)),
            (None, Some(seconds)) => Ok(new.expires_in(duration("expires_in", seconds)?)),
            (Some(_), Some(_)) => Err(Fault::invalid(
                "expires_in",
                "must not be given beside expires_at",
            )),
        }
    }
}

/// A number of seconds as a duration, if it is one that can be meant.
pub(super) fn duration(field: &str, seconds: u64) -> Result<Duration, Fault> {
    if (1..=LONGEST).contains(&seconds) {
        return Ok(Duration::from_secs(seconds));
    }
    Err(Fault::invalid(field, "must be 1 to 3,155,760,000 seconds"))
}

/// A change of a key: what is named is set, everything else stays. `null` removes what can be
/// removed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = KeyUpdate)]
pub(super) struct AskedUpdate {
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, required = false, min_length = 1, max_length = 200)]
    name: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<String>, max_length = 1000)]
    description: Option<Option<String>>,
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<OwnerText>)]
    owner: Option<Option<OwnerId>>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = ServersValue, required = false)]
    servers: Option<Servers>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Vec<GrantText>, required = false)]
    scopes: Option<ScopeSet>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = AccessWord, required = false)]
    access: Option<Access>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = McpRulesValue, required = false)]
    mcp: Option<McpRules>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = SigningWord, required = false)]
    signing: Option<Signing>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = NetworkRulesValue, required = false)]
    networks: Option<NetworkRules>,
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<PlanText>)]
    plan: Option<Option<PlanName>>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Vec<RateLimitValue>, required = false, max_items = 16)]
    limits: Option<Vec<RateLimit>>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Vec<QuotaValue>, required = false, max_items = 16)]
    quotas: Option<Vec<Quota>>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = MetadataValue, required = false)]
    metadata: Option<Metadata>,
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<TimeText>)]
    expires_at: Option<Option<Timestamp>>,
}

impl AskedUpdate {
    pub(super) fn into_update(self) -> KeyUpdate {
        fn set<T>(
            update: KeyUpdate,
            value: Option<T>,
            set: impl FnOnce(KeyUpdate, T) -> KeyUpdate,
        ) -> KeyUpdate {
            match value {
                Some(value) => set(update, value),
                None => update,
            }
        }
        let mut update = set(KeyUpdate::new(), self.name, KeyUpdate::name);
        update = set(update, self.description, KeyUpdate::description);
        update = set(update, self.owner, KeyUpdate::owner);
        update = set(update, self.servers, KeyUpdate::servers);
        update = set(update, self.scopes, KeyUpdate::scopes);
        update = set(update, self.access, KeyUpdate::access);
        update = set(update, self.mcp, KeyUpdate::mcp);
        update = set(update, self.signing, KeyUpdate::signing);
        update = set(update, self.networks, KeyUpdate::networks);
        update = set(update, self.plan, KeyUpdate::plan);
        update = set(update, self.limits, KeyUpdate::limits);
        update = set(update, self.quotas, KeyUpdate::quotas);
        update = set(update, self.metadata, KeyUpdate::metadata);
        set(update, self.expires_at, KeyUpdate::expires_at)
    }
}

/// How long the old secret goes on beside the new one. If nothing is said, not at all.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(as = Rotation)]
pub(super) struct AskedRotation {
    /// So many seconds from now on, at most 366 days.
    #[schema(minimum = 0, maximum = 31_622_400)]
    grace: Option<u64>,
    /// So many seconds from when the new secret is first presented, instead of `grace`.
    #[schema(minimum = 0, maximum = 31_622_400)]
    grace_from_first_use: Option<u64>,
}

impl AskedRotation {
    pub(super) fn grace(&self) -> Result<Grace, Fault> {
        match (self.grace, self.grace_from_first_use) {
            (None | Some(0), None) => Ok(Grace::None),
            (Some(seconds), None) => Ok(Grace::For(Duration::from_secs(seconds))),
            (None, Some(seconds)) => Ok(Grace::FromFirstUse(Duration::from_secs(seconds))),
            (Some(_), Some(_)) => Err(Fault::invalid(
                "grace_from_first_use",
                "must not be given beside grace",
            )),
        }
    }
}

/// Why a key is withdrawn.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(as = Revocation)]
pub(super) struct AskedRevocation {
    #[schema(max_length = 500, example = "left the team")]
    pub(super) reason: Option<String>,
}

/// Which keys to withdraw, and why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = BulkRevocation)]
pub(super) struct AskedWithdrawal {
    pub(super) filter: AskedChoice,
    #[schema(max_length = 500, example = "left the company")]
    pub(super) reason: Option<String>,
}

/// Keys of another system, at most 1,000, each as `mcp-keys import` reads it from a line.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Import)]
pub(super) struct AskedImport {
    #[schema(value_type = Vec<super::bulk::ImportValue>, max_items = 1000)]
    pub(super) keys: Vec<Box<RawValue>>,
}

/// What an owner may do. What is left out is as little as can be, for an admin everything.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = OwnerDefinition)]
pub(super) struct AskedOwner {
    #[schema(value_type = RoleWord)]
    role: Role,
    /// Whether their keys work at all. They do, if nothing is said.
    active: Option<bool>,
    #[schema(value_type = Option<ServersValue>)]
    servers: Option<Servers>,
    #[schema(value_type = Option<Vec<GrantText>>)]
    scopes: Option<ScopeSet>,
    #[schema(value_type = Option<AccessWord>)]
    access: Option<Access>,
}

impl AskedOwner {
    pub(super) fn into_owner(self, id: OwnerId) -> Owner {
        let mut owner = match self.role {
            Role::Admin => Owner::admin(id),
            Role::Member => Owner::member(id),
        };
        owner.active = self.active.unwrap_or(true);
        owner.servers = self.servers.unwrap_or(owner.servers);
        owner.scopes = self.scopes.unwrap_or(owner.scopes);
        owner.access = self.access.unwrap_or_default();
        owner
    }
}

/// The limits of a plan.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(as = PlanDefinition)]
pub(super) struct AskedPlan {
    /// How often each of its keys may be used: at most 16, of different names.
    #[schema(value_type = Vec<RateLimitValue>, required = false, max_items = 16)]
    limits: Vec<RateLimit>,
    /// How much each of its keys may use: at most 16, of different names.
    #[schema(value_type = Vec<QuotaValue>, required = false, max_items = 16)]
    quotas: Vec<Quota>,
}

impl AskedPlan {
    pub(super) fn into_plan(self, name: PlanName) -> Plan {
        let mut plan = Plan::new(name);
        plan.limits = self.limits;
        plan.quotas = self.quotas;
        plan
    }
}
