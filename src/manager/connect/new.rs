//! What to say of a connection that is to be made.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::error::Error;
use crate::key::{
    Access, ClientId, CodeId, Connection, Grant, KeyId, KeyInfo, KeyRecord, McpRules, NetworkRules,
    OwnerId, RefreshToken, ScopeSet, Servers,
};
use crate::manager::validate;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// The longest lifetimes: an access token that lives longer is a key, and a program that was not used
/// for a year can ask again.
const LONGEST: (Duration, Duration) = (DAY, DAY.saturating_mul(366));

/// How long the name of a program and of a resource may be.
const CLIENT_NAME: usize = 200;
const RESOURCE: usize = 2_000;

/// A connection to be made: a key that one program uses on behalf of one owner.
///
/// It opens no server until some are [granted](Self::servers), holds no scope until given some, and
/// may only read unless [full access](Self::full_access) is chosen. What is wrong is said by
/// [`KeyManager::connect`](crate::KeyManager::connect), by field.
///
/// ```
/// use std::time::Duration;
///
/// use mcp_api_keys::NewConnection;
/// use mcp_api_keys::key::{ScopeSet, Servers};
///
/// let new = NewConnection::new("ada".parse()?, "https://assistant.example/client".parse()?)
///     .client_name("Assistant")
///     .servers(Servers::only(["files"])?)
///     .scopes(ScopeSet::parse(["files:read"])?)
///     .lifetimes(Duration::from_secs(600), Duration::from_secs(7 * 86_400));
/// # let _ = new;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct NewConnection {
    wishes: Wishes,
    code: Option<CodeId>,
}

impl NewConnection {
    /// A connection of `owner` for the program `client`.
    pub fn new(owner: OwnerId, client: ClientId) -> Self {
        let wishes = Wishes {
            owner,
            client,
            client_name: None,
            name: None,
            servers: Servers::default(),
            scopes: ScopeSet::default(),
            access: Access::ReadOnly,
            resource: None,
            access_ms: millis(HOUR),
            refresh_ms: millis(30 * DAY),
            ends_at: None,
            mcp: McpRules::default(),
            networks: NetworkRules::default(),
        };
        Self { wishes, code: None }
    }

    /// Says what the program calls itself: up to 200 characters. It is shown to people, and nobody
    /// has checked it.
    pub fn client_name(mut self, name: impl Into<String>) -> Self {
        self.wishes.client_name = Some(name.into());
        self
    }

    /// Says what people call the connection: 1 to 200 characters. Default: the program's name, or its
    /// id.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.wishes.name = Some(name.into());
        self
    }

    /// Sets which servers it opens.
    pub fn servers(mut self, servers: Servers) -> Self {
        self.wishes.servers = servers;
        self
    }

    /// Sets its scopes.
    pub fn scopes(mut self, scopes: ScopeSet) -> Self {
        self.wishes.scopes = scopes;
        self
    }

    /// Lets it change things, and not only look at them. That is for admins to choose.
    pub fn full_access(mut self) -> Self {
        self.wishes.access = Access::Full;
        self
    }

    /// Says for which resource its tokens are: the URL of an MCP server, up to 2,000 bytes. A renewal
    /// may [name it](crate::KeyManager::renew_for) and no other.
    pub fn resource(mut self, url: impl Into<String>) -> Self {
        self.wishes.resource = Some(url.into());
        self
    }

    /// Sets how long an access token lives, from one second to a day, and how long a refresh token
    /// does, up to 366 days and no shorter than the former. Default: an hour and 30 days.
    ///
    /// Each renewal begins both anew. So the latter says for how long a connection may be left unused
    /// before it ends.
    pub fn lifetimes(mut self, access: Duration, refresh: Duration) -> Self {
        self.wishes.access_ms = millis(access);
        self.wishes.refresh_ms = millis(refresh);
        self
    }

    /// Ends it at `time`, however often it is renewed. Default: renewals may go on without end.
    pub fn ends_at(mut self, time: Timestamp) -> Self {
        self.wishes.ends_at = Some(time);
        self
    }

    /// Says which authorization code it is made from. From one code one connection is made.
    pub fn from_code(mut self, code: &CodeId) -> Self {
        self.code = Some(*code);
        self
    }

    pub(super) fn into_parts(self) -> (Wishes, Option<CodeId>) {
        (self.wishes, self.code)
    }
}

/// What a connection is to be: stored with an authorization code until that is exchanged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wishes {
    owner: OwnerId,
    client: ClientId,
    client_name: Option<String>,
    name: Option<String>,
    servers: Servers,
    scopes: ScopeSet,
    access: Access,
    resource: Option<String>,
    access_ms: u64,
    refresh_ms: u64,
    ends_at: Option<Timestamp>,
    /// Of the key that its owner consented by.
    #[serde(default, skip_serializing_if = "McpRules::is_unrestricted")]
    mcp: McpRules,
    #[serde(default)]
    networks: NetworkRules,
}

impl Wishes {
    pub(super) fn owner(&self) -> &OwnerId {
        &self.owner
    }

    pub(super) fn client(&self) -> &ClientId {
        &self.client
    }

    pub(super) fn access(&self) -> Access {
        self.access
    }

    pub(super) fn resource(&self) -> Option<&str> {
        self.resource.as_deref()
    }

    pub(super) fn scopes(&self) -> &ScopeSet {
        &self.scopes
    }

    /// The connection that is made from `code` with these.
    pub(super) fn made_from(self, code: &CodeId) -> NewConnection {
        NewConnection {
            wishes: self,
            code: Some(*code),
        }
    }

    pub(super) fn validate(&self) -> Result<(), Error> {
        if let Some(name) = &self.client_name {
            validate::text("client_name", name, CLIENT_NAME)?;
        }
        if let Some(resource) = &self.resource
            && (resource.len() > RESOURCE || resource.chars().any(char::is_control))
        {
            let message = "must be at most 2,000 bytes without control characters";
            return Err(Error::invalid("resource", message));
        }
        let (access, refresh) = self.lifetimes();
        if !(SECOND..=LONGEST.0).contains(&access) || !(access..=LONGEST.1).contains(&refresh) {
            let message = "must be 1 second to 1 day for access tokens, and for refresh tokens no \
                           less than that and at most 366 days";
            return Err(Error::invalid("lifetimes", message));
        }
        Ok(())
    }

    /// Adds what a connection has of the key by which its owner consents: it may be used from no other
    /// networks, uses no other tools and ends no later. What was handed down before stays.
    pub(super) fn hand_down(&mut self, by: &KeyInfo) {
        if self.mcp.is_unrestricted() {
            self.mcp.clone_from(&by.mcp);
        }
        if self.networks.is_empty() {
            self.networks.clone_from(&by.networks);
        }
        self.ends_at = self.ends_at.into_iter().chain(by.expires_at).min();
    }

    /// The record, without secrets and under a new id.
    pub(super) fn record(&self, now: Timestamp) -> Result<KeyRecord, Error> {
        let mut record = KeyRecord::new(KeyId::generate(now), self.called(), now);
        record.owner = Some(self.owner.clone());
        record.servers = self.servers.clone();
        record.scopes = self.scopes.clone();
        record.access = self.access;
        record.mcp = self.mcp.clone();
        record.networks = self.networks.clone();
        let mut connection = Connection::new(self.client.clone());
        connection.name.clone_from(&self.client_name);
        record.connection = Some(connection);
        let end = now.saturating_add(self.lifetimes().1);
        let end = self.ends_at.map_or(end, |last| last.min(end));
        record.expires_at = Some(end);
        Ok(record)
    }

    fn called(&self) -> String {
        let given = self.name.clone();
        given.unwrap_or_else(|| {
            let names = self.client_name.as_deref().map(str::trim);
            let name = names.filter(|name| !name.is_empty());
            let name = name.unwrap_or(self.client.as_str());
            name.chars().take(CLIENT_NAME).collect()
        })
    }

    pub(super) fn grant(&self, token: &RefreshToken) -> Grant {
        Grant::new(token, self.resource.clone(), self.lifetimes(), self.ends_at)
    }

    fn lifetimes(&self) -> (Duration, Duration) {
        let of = Duration::from_millis;
        (of(self.access_ms), of(self.refresh_ms))
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
