//! What to say of a key that is to be made.

use std::str::FromStr;
use std::time::Duration;

use super::validate;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::key::{
    Access, Connection, InvalidText, KeyId, KeyRecord, KeyStatus, McpRules, Metadata, Network,
    NetworkRules, ParseScopeError, Quota, RateLimit, ScopeGrant, ScopeSet, Servers, Signing,
};

/// A key to be made.
///
/// Everything but the name is optional. A key opens no server until some are named
/// ([`server`](Self::server)) or all are granted ([`all_servers`](Self::all_servers)), and holds no
/// scope until given one. What is wrong is said by
/// [`KeyManager::issue`](super::KeyManager::issue), by field.
#[derive(Clone, Debug)]
#[must_use]
pub struct NewKey {
    name: String,
    description: Option<String>,
    owner: Option<String>,
    active: bool,
    servers: Option<Vec<String>>,
    scopes: Vec<ScopeGrant>,
    access: Access,
    mcp: McpRules,
    signing: Signing,
    allow: Vec<Network>,
    deny: Vec<Network>,
    plan: Option<String>,
    limits: Vec<RateLimit>,
    quotas: Vec<Quota>,
    client: Option<String>,
    metadata: Metadata,
    expiry: Expiry,
}

#[derive(Clone, Copy, Debug)]
enum Expiry {
    Never,
    At(Timestamp),
    In(Duration),
}

impl NewKey {
    /// A key that people call `name`: 1 to 200 characters.
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            description: None,
            owner: None,
            active: true,
            servers: Some(Vec::new()),
            scopes: Vec::new(),
            access: Access::Full,
            mcp: McpRules::default(),
            signing: Signing::ByLayer,
            allow: Vec::new(),
            deny: Vec::new(),
            plan: None,
            limits: Vec::new(),
            quotas: Vec::new(),
            client: None,
            metadata: Metadata::new(),
            expiry: Expiry::Never,
        }
    }

    /// Says what it is for: up to 1,000 characters.
    pub fn description(mut self, text: impl Into<String>) -> Self {
        self.description = Some(text.into());
        self
    }

    /// Says whom it belongs to: 1 to 128 bytes.
    pub fn owner(mut self, owner: impl Into<String>) -> Self {
        self.owner = Some(owner.into());
        self
    }

    /// Makes it switched off; [`KeyManager::enable`](super::KeyManager::enable) switches it on.
    pub fn inactive(mut self) -> Self {
        self.active = false;
        self
    }

    /// Opens a server (or project), beside those named already.
    pub fn server(mut self, name: impl Into<String>) -> Self {
        if let Some(names) = &mut self.servers {
            names.push(name.into());
        }
        self
    }

    /// Opens every server, those that are added later included.
    pub fn all_servers(mut self) -> Self {
        self.servers = None;
        self
    }

    /// Grants a scope: `files:read`, `files:*` or `*`.
    ///
    /// # Errors
    ///
    /// If `grant` is none of these.
    pub fn scope(mut self, grant: &str) -> Result<Self, ParseScopeError> {
        self.scopes.push(grant.parse()?);
        Ok(self)
    }

    /// Grants scopes that were read already.
    pub fn scopes(mut self, grants: impl IntoIterator<Item = ScopeGrant>) -> Self {
        self.scopes.extend(grants);
        self
    }

    /// Lets it only look at things, whatever its scopes say.
    pub fn read_only(mut self) -> Self {
        self.access = Access::ReadOnly;
        self
    }

    /// Sets which tools, prompts and resources of MCP servers it may use. An
    /// [`McpLayer`](crate::layer::McpLayer) holds it to them.
    pub fn mcp(mut self, rules: McpRules) -> Self {
        self.mcp = rules;
        self
    }

    /// Requires its requests to be [signed](crate::signing), whatever the layer asks.
    pub fn signed_only(mut self) -> Self {
        self.signing = Signing::Required;
        self
    }

    /// Lets it be used from `network`, and from nowhere else that is not allowed as well.
    pub fn allow_from(mut self, network: Network) -> Self {
        self.allow.push(network);
        self
    }

    /// Keeps it from being used from `network`, even where it is allowed.
    pub fn deny_from(mut self, network: Network) -> Self {
        self.deny.push(network);
        self
    }

    /// Adds a rate limit. Limits of one key have different names.
    pub fn rate(mut self, limit: RateLimit) -> Self {
        self.limits.push(limit);
        self
    }

    /// Puts it on a plan: it has the plan's limits, but for those that it has of the same name.
    pub fn plan(mut self, name: impl Into<String>) -> Self {
        self.plan = Some(name.into());
        self
    }

    /// Adds a quota. Quotas of one key have different names.
    pub fn quota(mut self, quota: Quota) -> Self {
        self.quotas.push(quota);
        self
    }

    /// Makes it a [`Connection`]: a key for the program `client`, which uses it on the owner's
    /// behalf. It needs an owner, and does no more than the owner's role lets connections do.
    pub fn connection(mut self, client: impl Into<String>) -> Self {
        self.client = Some(client.into());
        self
    }

    /// Notes a free-form fact; all of them together at most 16 KiB.
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.insert(key.into(), value.into());
        self
    }

    /// Refuses it from `time` on.
    pub fn expires_at(mut self, time: impl Into<Timestamp>) -> Self {
        self.expiry = Expiry::At(time.into());
        self
    }

    /// Refuses it once `duration` has passed since it was issued.
    pub fn expires_in(mut self, duration: Duration) -> Self {
        self.expiry = Expiry::In(duration);
        self
    }

    pub(super) fn into_record(self, now: Timestamp) -> Result<KeyRecord, Error> {
        let mut record = KeyRecord::new(KeyId::generate(now), self.name, now);
        record.description = self.description;
        record.owner = parsed("owner", self.owner)?;
        record.servers = match self.servers {
            None => Servers::All,
            Some(names) => Servers::only(names)
                .map_err(|error| Error::invalid("servers", error.expectation()))?,
        };
        if !self.active {
            record.status = KeyStatus::Disabled;
        }
        record.scopes = self.scopes.into_iter().collect::<ScopeSet>();
        record.access = self.access;
        record.mcp = self.mcp;
        record.signing = self.signing;
        record.networks = NetworkRules::new(self.allow, self.deny);
        record.plan = parsed("plan", self.plan)?;
        record.limits = self.limits;
        record.quotas = self.quotas;
        record.connection = parsed("client", self.client)?.map(Connection::new);
        record.metadata = self.metadata;
        record.expires_at = match self.expiry {
            Expiry::Never => None,
            Expiry::At(time) => Some(time),
            Expiry::In(duration) => Some(now.saturating_add(duration)),
        };
        validate::record(&record, Some(now))?;
        Ok(record)
    }
}

fn parsed<T: FromStr<Err = InvalidText>>(
    field: &'static str,
    text: Option<String>,
) -> Result<Option<T>, Error> {
    let parsed = text.map(|text| text.parse()).transpose();
    parsed.map_err(|error: InvalidText| Error::invalid(field, error.expectation()))
}
