//! What to change of a key.

use super::validate;
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind};
use crate::key::{
    Access, KeyRecord, McpRules, Metadata, NetworkRules, OwnerId, PlanName, Quota, RateLimit,
    Revision, ScopeSet, Servers, Signing,
};

/// A change of a key: what is named is set, everything else stays.
///
/// ```
/// use mcp_api_keys::KeyUpdate;
/// use mcp_api_keys::key::Servers;
///
/// let update = KeyUpdate::new().name("ci-bot-2").servers(Servers::only(["files", "mail"])?);
/// # let _ = update;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct KeyUpdate {
    only_at: Option<Revision>,
    name: Option<String>,
    description: Option<Option<String>>,
    owner: Option<Option<OwnerId>>,
    servers: Option<Servers>,
    scopes: Option<ScopeSet>,
    access: Option<Access>,
    mcp: Option<McpRules>,
    signing: Option<Signing>,
    networks: Option<NetworkRules>,
    plan: Option<Option<PlanName>>,
    limits: Option<Vec<RateLimit>>,
    quotas: Option<Vec<Quota>>,
    metadata: Option<Metadata>,
    expires_at: Option<Option<Timestamp>>,
}

impl KeyUpdate {
    /// A change of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the change only if the key is still of this revision, as read before.
    pub fn only_at(mut self, revision: Revision) -> Self {
        self.only_at = Some(revision);
        self
    }

    /// Renames it.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets or removes the description.
    pub fn description(mut self, text: Option<String>) -> Self {
        self.description = Some(text);
        self
    }

    /// Sets or removes the owner.
    pub fn owner(mut self, owner: Option<OwnerId>) -> Self {
        self.owner = Some(owner);
        self
    }

    /// Sets which servers it opens.
    pub fn servers(mut self, servers: Servers) -> Self {
        self.servers = Some(servers);
        self
    }

    /// Sets its scopes.
    pub fn scopes(mut self, scopes: ScopeSet) -> Self {
        self.scopes = Some(scopes);
        self
    }

    /// Sets whether it may change things or only look at them.
    pub fn access(mut self, access: Access) -> Self {
        self.access = Some(access);
        self
    }

    /// Sets which tools, prompts and resources of MCP servers it may use.
    pub fn mcp(mut self, rules: McpRules) -> Self {
        self.mcp = Some(rules);
        self
    }

    /// Sets whether its requests must be signed.
    pub fn signing(mut self, signing: Signing) -> Self {
        self.signing = Some(signing);
        self
    }

    /// Sets where it may be used from.
    pub fn networks(mut self, rules: NetworkRules) -> Self {
        self.networks = Some(rules);
        self
    }

    /// Sets its rate limits. What was spent under a name stays spent.
    pub fn limits(mut self, limits: Vec<RateLimit>) -> Self {
        self.limits = Some(limits);
        self
    }

    /// Puts it on a plan, or takes it off its plan.
    pub fn plan(mut self, name: Option<PlanName>) -> Self {
        self.plan = Some(name);
        self
    }

    /// Sets its quotas. What was used under a name stays used.
    pub fn quotas(mut self, quotas: Vec<Quota>) -> Self {
        self.quotas = Some(quotas);
        self
    }

    /// Sets its free-form facts.
    pub fn metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = Some(metadata);
        self
    }

    /// Sets or removes its expiry.
    pub fn expires_at(mut self, time: Option<Timestamp>) -> Self {
        self.expires_at = Some(time);
        self
    }

    /// A time already past is refused only where this change sets it: a key that has expired can
    /// still be renamed.
    pub(super) fn validate(&self, now: Timestamp) -> Result<(), Error> {
        match self.expires_at {
            Some(Some(end)) => validate::expiry(end, now),
            _ => Ok(()),
        }
    }

    pub(super) fn check_revision(&self, record: &KeyRecord) -> Result<(), Error> {
        match self.only_at {
            Some(expected) if expected != record.revision => Err(Error::new(
                ErrorKind::Conflict,
                "the key was changed by somebody else; read it again",
            )),
            _ => Ok(()),
        }
    }

    /// Refuses to hand a connection over: its program acts for whoever consented.
    pub(super) fn check_handover(&self, record: &KeyRecord) -> Result<(), Error> {
        match &self.owner {
            Some(owner) if record.grant.is_some() && *owner != record.owner => {
                let message = "must stay: a connection is its owner's who consented to it";
                Err(Error::invalid("owner", message))
            }
            _ => Ok(()),
        }
    }

    /// Whom and what plan it names, to be looked up before it is made.
    pub(super) fn names(&self) -> (Option<&OwnerId>, Option<&PlanName>) {
        let owner = self.owner.as_ref().and_then(Option::as_ref);
        (owner, self.plan.as_ref().and_then(Option::as_ref))
    }

    pub(super) fn apply(&self, record: &mut KeyRecord) {
        fn set<T: Clone>(place: &mut T, value: &Option<T>) {
            if let Some(value) = value {
                place.clone_from(value);
            }
        }
        set(&mut record.name, &self.name);
        set(&mut record.description, &self.description);
        set(&mut record.owner, &self.owner);
        set(&mut record.servers, &self.servers);
        set(&mut record.scopes, &self.scopes);
        set(&mut record.access, &self.access);
        set(&mut record.mcp, &self.mcp);
        set(&mut record.signing, &self.signing);
        set(&mut record.networks, &self.networks);
        set(&mut record.plan, &self.plan);
        set(&mut record.limits, &self.limits);
        set(&mut record.quotas, &self.quotas);
        set(&mut record.metadata, &self.metadata);
        set(&mut record.expires_at, &self.expires_at);
        if let (Some(grant), Some(end)) = (&mut record.grant, self.expires_at) {
            grant.set_end(end);
        }
    }
}
