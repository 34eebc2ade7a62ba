//! Who is acting, and how far that reaches.
//!
//! 1. An admin manages all keys, a member their own and nobody else's: of another's key a member
//!    learns nothing, not even that it exists.
//! 2. Nobody gives a key more than they have themselves, whether by making, changing or rotating
//!    it.

use crate::context::KeyContext;
use crate::error::{Error, ErrorKind};
use crate::key::{KeyInfo, KeyRecord, Owner, OwnerId, Servers};

/// Who is acting through a [`KeyManager`](super::KeyManager).
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use mcp_api_keys::{ApiKeys, NewKey, Principal, store::MemoryStore};
///
/// let keys = ApiKeys::builder(MemoryStore::new()).build().await?;
/// let ada = keys.manager().acting_as(Principal::member("ada".parse()?));
/// let bob = keys.manager().acting_as(Principal::member("bob".parse()?));
///
/// let key = ada.issue(NewKey::named("laptop")).await?;
/// assert_eq!(key.info().owner, Some("ada".parse()?));
/// assert!(bob.get(key.info().id).await.is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Principal {
    actor: String,
    source: Option<String>,
    role: Role,
    bounds: Option<Bounds>,
}

#[derive(Clone, Debug)]
enum Role {
    Admin,
    Member(OwnerId),
}

/// What a key must stay within.
#[derive(Clone, Debug)]
struct Bounds(Box<KeyInfo>);

impl Principal {
    /// The program itself, with the rights of an admin: the actor of a manager that was told of no
    /// other.
    pub fn system() -> Self {
        Self::admin("system")
    }

    /// Somebody who manages all keys.
    pub fn admin(actor: impl Into<String>) -> Self {
        Self {
            actor: actor.into(),
            source: None,
            role: Role::Admin,
            bounds: None,
        }
    }

    /// Somebody who manages the keys they own.
    pub fn member(owner: OwnerId) -> Self {
        Self {
            actor: owner.as_str().to_owned(),
            source: None,
            role: Role::Member(owner),
            bounds: None,
        }
    }

    /// The same principal, acting from `source`: an address, a host name. It is noted in the audit
    /// trail.
    pub fn from_source(mut self, source: impl Into<String>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The same principal, acting by means of a key: no key they make or change may reach further
    /// than that one in servers, scopes, access, tools, networks, signing or time, and no owner may be
    /// given more servers, scopes or access than it has.
    pub fn by_key(mut self, key: &KeyContext) -> Self {
        self.bounds = Some(Bounds(Box::new(key.key().clone())));
        self
    }

    /// The name that the audit trail shows.
    pub fn actor(&self) -> &str {
        &self.actor
    }

    /// The key that the principal acts by, if they do.
    pub(super) fn key(&self) -> Option<&KeyInfo> {
        self.bounds.as_ref().map(|Bounds(key)| &**key)
    }

    /// Where the principal acts from.
    pub(super) fn source(&self) -> Option<&str> {
        self.source.as_deref()
    }

    /// Whose keys the principal is confined to; nobody's, if they are an admin.
    pub(crate) fn confined_to(&self) -> Option<&OwnerId> {
        match &self.role {
            Role::Admin => None,
            Role::Member(owner) => Some(owner),
        }
    }

    /// Whether the key is any of the principal's business. To a member, another's key is none.
    pub(super) fn check_sight(&self, record: &KeyRecord) -> Result<(), Error> {
        match self.confined_to() {
            Some(owner) if record.owner.as_ref() != Some(owner) => Err(super::not_found()),
            _ => Ok(()),
        }
    }

    /// Refuses members, with these words.
    pub(super) fn check_admin(&self, otherwise: &'static str) -> Result<(), Error> {
        match self.confined_to() {
            None => Ok(()),
            Some(_) => Err(Error::new(ErrorKind::Forbidden, otherwise)),
        }
    }

    /// Refuses what reaches further than the member's own rights. Servers are the exception: a key
    /// for all of them opens those of its owner, whichever they are at the time.
    pub(super) fn check_own_rights(owner: &Owner, record: &KeyRecord) -> Result<(), Error> {
        let within = "must be within your own";
        if !owner.active {
            return Err(Error::new(ErrorKind::Forbidden, "the owner is suspended"));
        }
        if record.servers != Servers::All && !covers(&owner.servers, &record.servers) {
            return Err(forbidden("servers", within));
        }
        if !owner.scopes.covers(&record.scopes) {
            return Err(forbidden("scopes", within));
        }
        if record.access > owner.access && record.connection.is_none() {
            return Err(forbidden("access", "must not be higher than your own"));
        }
        Ok(())
    }

    /// Refuses to give an owner more than the key that is acted by has. What they had before they may
    /// keep.
    pub(super) fn check_gift(&self, before: Option<&Owner>, after: &Owner) -> Result<(), Error> {
        let Some(Bounds(own)) = &self.bounds else {
            return Ok(());
        };
        let within = "must be within those of the key you act by";
        let kept =
            |keeps: fn(&Owner, &Owner) -> bool| before.is_some_and(|before| keeps(before, after));
        if !covers(&own.servers, &after.servers)
            && !kept(|old, new| covers(&old.servers, &new.servers))
        {
            return Err(forbidden("servers", within));
        }
        if !own.scopes.covers(&after.scopes) && !kept(|old, new| old.scopes.covers(&new.scopes)) {
            return Err(forbidden("scopes", within));
        }
        if after.access > own.access && !kept(|old, new| new.access <= old.access) {
            let message = "must not be higher than that of the key you act by";
            return Err(forbidden("access", message));
        }
        Ok(())
    }

    /// Gives a new key to the member who makes it; refuses one that is meant for somebody else.
    pub(super) fn claim(&self, record: &mut KeyRecord) -> Result<(), Error> {
        let Some(owner) = self.confined_to() else {
            return Ok(());
        };
        match &record.owner {
            Some(other) if other != owner => Err(forbidden("owner", "must be yourself")),
            _ => {
                record.owner = Some(owner.clone());
                Ok(())
            }
        }
    }

    /// Refuses a key, as it is to be after the act, that is another's or reaches too far.
    pub(super) fn check_reach(&self, record: &KeyRecord) -> Result<(), Error> {
        if let Some(owner) = self.confined_to()
            && record.owner.as_ref() != Some(owner)
        {
            return Err(forbidden("owner", "must be yourself"));
        }
        self.bounds
            .as_ref()
            .map_or(Ok(()), |bounds| bounds.check(record))
    }
}

impl Bounds {
    fn check(&self, record: &KeyRecord) -> Result<(), Error> {
        let own = &*self.0;
        let within = "must be within those of the key you act by";
        if !covers(&own.servers, &record.servers) {
            return Err(forbidden("servers", within));
        }
        if !own.scopes.covers(&record.scopes) {
            return Err(forbidden("scopes", within));
        }
        if record.access > own.access {
            return Err(forbidden(
                "access",
                "must not be higher than that of the key you act by",
            ));
        }
        if !own.mcp.covers(&record.mcp) {
            return Err(forbidden("mcp", within));
        }
        if record.signing < own.signing {
            return Err(forbidden(
                "signing",
                "must be required, as of the key you act by",
            ));
        }
        if !own.networks.covers(&record.networks) {
            return Err(forbidden("networks", within));
        }
        let outlives = match (own.expires_at, record.expires_at) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(own), Some(end)) => end > own,
        };
        if outlives {
            return Err(forbidden(
                "expires_at",
                "must not be later than that of the key you act by",
            ));
        }
        Ok(())
    }
}

fn covers(own: &Servers, asked: &Servers) -> bool {
    match (own, asked) {
        (Servers::All, _) => true,
        (Servers::Only(_), Servers::All) => false,
        (Servers::Only(own), Servers::Only(asked)) => asked.is_subset(own),
    }
}

pub(super) fn forbidden(field: &'static str, message: &'static str) -> Error {
    Error::new(ErrorKind::Forbidden, message).in_field(field)
}
