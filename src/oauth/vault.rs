//! What is kept, and by whose rights: the one file that speaks to the manager.
//!
//! 1. Consent is given in the name of the person, by the key that they signed in with, if they did:
//!    the manager refuses what reaches further than either.
//! 2. The connection is made in the name of its owner, as they are at that time.

use zeroize::Zeroizing;

use super::consent::Offer;
use super::request::Asked;
use super::server::Server;
use super::sign_in::Person;
use crate::error::{Error, ErrorKind};
use crate::key::{
    Access, ClientId, CodeId, Owner, OwnerId, Scope, ScopeSet, ServerName, ServerSet, Servers,
};
use crate::manager::{
    ConnectionTokens, Consented, KeyManager, NewConnection, Principal, RefusedRenewal,
    RegisteredClient, Renewal, TakenCode,
};

#[derive(Clone, Copy, Debug)]
pub(super) struct Vault<'a>(&'a KeyManager);

/// What an owner may do at present; nothing is known of some owners, who are bounded by nothing.
#[derive(Debug)]
pub(super) struct Rights(Option<Owner>);

impl Rights {
    pub(super) fn opens(&self, server: &ServerName) -> bool {
        let known = self.0.as_ref();
        known.is_none_or(|owner| owner.servers.contains(server))
    }

    pub(super) fn grants(&self, scope: &Scope) -> bool {
        let known = self.0.as_ref();
        known.is_none_or(|owner| owner.scopes.grants(scope))
    }

    /// The most that a program may do that is connected on the owner's behalf.
    pub(super) fn most_for_connections(&self) -> Access {
        let known = self.0.as_ref();
        known.map_or(Access::ReadOnly, Owner::most_for_connections)
    }
}

/// What became of a code that was presented.
#[derive(Debug)]
pub(super) enum Taken {
    Fresh(CodeId, Box<Consented>),
    Reused,
    Unknown,
}

impl<'a> Vault<'a> {
    pub(super) fn new(manager: &'a KeyManager) -> Self {
        Self(manager)
    }

    /// # Errors
    ///
    /// `Forbidden`, if the owner is suspended, or has to be known and is not; `Unavailable`.
    pub(super) async fn rights(&self, owner: &OwnerId) -> Result<Rights, Error> {
        let _: Principal = self.0.principal_of(owner).await?;
        Ok(Rights(self.0.owner(owner).await?))
    }

    pub(super) async fn client(&self, id: &ClientId) -> Result<Option<RegisteredClient>, Error> {
        self.0.client(id).await
    }

    /// Keeps a program that registers, if there are fewer than so many.
    ///
    /// # Errors
    ///
    /// `Conflict`, if there are not; `Unavailable`.
    pub(super) async fn register(
        &self,
        client: &RegisteredClient,
        most: usize,
    ) -> Result<(), Error> {
        if self.0.count_clients(most).await? >= most {
            let message = "too many programs are registered";
            return Err(Error::new(ErrorKind::Conflict, message));
        }
        self.0.put_client(client).await
    }

    /// Keeps a program that was used for longer. It is none the worse if that fails.
    pub(super) async fn client_was_used(&self, server: &Server, id: &ClientId) {
        let Some(registrar) = &server.registrar else {
            return;
        };
        let Ok(Some(mut client)) = self.0.client(id).await else {
            return;
        };
        let now = server.clock().now().wall;
        let until = now.saturating_add(registrar.settings.used);
        // Once a day will do.
        if until.saturating_since(client.expires_at) < registrar.settings.used / 90 {
            return;
        }
        client.expires_at = until;
        if let Err(error) = self.0.put_client(&client).await {
            tracing::warn!(%error, client = id.as_str(), "the use of a program was not noted");
        }
    }

    /// Keeps what a person consents to; returns the code for it.
    pub(super) async fn consent(
        &self,
        server: &Server,
        asked: &Asked,
        person: &Person,
        offer: &Offer,
        access: Access,
    ) -> Result<Zeroizing<String>, Error> {
        let now = server.clock().now().wall;
        let scopes = offer.scopes.iter().cloned().map(Into::into);
        let lifetimes = server.lifetimes;
        let mut new = NewConnection::new(person.owner().clone(), asked.client.id().clone())
            .servers(Servers::Only(ServerSet::from_iter([asked
                .place
                .server
                .clone()])))
            .scopes(scopes.collect::<ScopeSet>())
            .resource(asked.place.url.as_str())
            .lifetimes(lifetimes.access, lifetimes.refresh);
        if let Some(name) = asked.client.name() {
            new = new.client_name(name);
        }
        if access == Access::Full {
            new = new.full_access();
        }
        if let Some(longest) = lifetimes.longest {
            new = new.ends_at(now.saturating_add(longest));
        }
        let mut consented = Consented::new(new, &asked.back.redirect_uri, &asked.challenge);
        consented.asked_for_full = asked.wanted.full_access;
        let mut principal = self.0.principal_of(person.owner()).await?;
        if let Some(key) = person.key() {
            principal = principal.by_key(key);
        }
        let (code, id) = self.0.make_code();
        self.0
            .acting_as(principal)
            .put_code(&id, &consented)
            .await?;
        Ok(code)
    }

    /// Takes a code that somebody presents: from then on nobody else can.
    pub(super) async fn take(&self, code: &str) -> Result<Taken, Error> {
        let Ok(id) = CodeId::of(code) else {
            return Ok(Taken::Unknown);
        };
        Ok(match self.0.take_code(&id).await? {
            TakenCode::Fresh(consented) => Taken::Fresh(id, consented),
            TakenCode::Reused => Taken::Reused,
            TakenCode::Unknown => Taken::Unknown,
        })
    }

    /// Makes the connection that was consented to.
    pub(super) async fn connect(
        &self,
        id: &CodeId,
        consented: Consented,
    ) -> Result<ConnectionTokens, Error> {
        let principal: Principal = self.0.principal_of(consented.owner()).await?;
        let new = consented.into_connection(id);
        self.0.acting_as(principal).connect(new).await
    }

    /// The next tokens of a connection, for a resource if one is named.
    pub(super) async fn renew(
        &self,
        client: &ClientId,
        token: &str,
        resource: Option<&str>,
    ) -> Result<Result<Box<ConnectionTokens>, RefusedRenewal>, Error> {
        let renewal = match resource {
            None => self.0.renew(client, token).await?,
            Some(resource) => self.0.renew_for(client, token, resource).await?,
        };
        Ok(match renewal {
            Renewal::Tokens(tokens) => Ok(tokens),
            Renewal::Refused(refused) => Err(refused),
        })
    }

    /// Ends what a token stands for, if it is the client's. Returns whether it was.
    pub(super) async fn give_back(&self, client: &ClientId, token: &str) -> Result<bool, Error> {
        self.0.drop_token(client, token).await
    }
}
