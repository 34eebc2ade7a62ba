//! Connections: keys that stand for one program of one owner, and the tokens these keys are used by.
//!
//! 1. An access token is a secret of the connection's key, written and verified as every other. It ends
//!    by itself; a refresh token gets the next one.
//! 2. A connection does no more than was consented to, than its owner's role lets connections do and
//!    than its owner may do at present, at each request. Full access is for admins to choose.
//! 3. Of one refresh token, and of one authorization code, one presentation wins, over all nodes.
//!    Another one, then or later, ends the connection.
//! 4. What is stored of codes and refresh tokens are hashes. They stand in no trail and no list.

mod clients;
mod codes;
mod new;
mod renew;
mod tokens;

pub(crate) use self::clients::RegisteredClient;
pub(super) use self::clients::Rounds;
use self::codes::CodeState;
pub(crate) use self::codes::{Consented, TakenCode};
pub use self::new::NewConnection;
use self::new::Wishes;
pub use self::renew::{RefusedRenewal, Renewal};
pub use self::tokens::ConnectionTokens;
use super::principal::forbidden;
use super::{HANDLES, KeyManager, KeyPage, shown, validate};
use crate::audit::AuditAction;
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind};
use crate::key::{Access, CodeId, CredentialId, KeyId, KeyInfo, KeyRecord, RefreshToken};
use crate::store::{KeyFilter, PageRequest};

impl KeyManager {
    /// Makes a connection, and its first tokens.
    ///
    /// It may be made where [only admins change keys](crate::ApiKeysBuilder::only_admins_change_keys),
    /// too: whoever may use a server may connect a program to it, with the access that their role
    /// has for that.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use mcp_api_keys::key::{Owner, Servers};
    /// use mcp_api_keys::{ApiKeys, NewConnection, store::MemoryStore};
    ///
    /// let keys = ApiKeys::builder(MemoryStore::new()).build().await?;
    /// let ada = Owner::member("ada".parse()?).server("files".parse()?);
    /// keys.manager().put_owner(ada).await?;
    ///
    /// let new = NewConnection::new("ada".parse()?, "https://assistant.example/client".parse()?)
    ///     .client_name("Assistant")
    ///     .servers(Servers::only(["files"])?)
    ///     .resource("https://mcp.example.com/files");
    /// let tokens = keys.manager().connect(new).await?;
    ///
    /// let gate = keys.layer().server("files").gate().clone();
    /// let bearer = format!("Bearer {}", tokens.key().expose_secret());
    /// let request = http::Request::builder().header("authorization", bearer).body(())?;
    /// let (mut head, ()) = request.into_parts();
    /// assert!(gate.admit(&mut head).await.is_ok());
    ///
    /// keys.manager().disconnect(tokens.info().id).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// `InvalidInput`, naming the field; `Forbidden`, if the owner is suspended, if full access is
    /// asked for and the owner is no admin with full access, or if the connection would reach further
    /// than whoever makes it; `Conflict`, if the [code](NewConnection::from_code) has made a
    /// connection before, or was presented twice meanwhile. `Unavailable`: whether the connection was
    /// stored is unknown then, but nobody holds its tokens.
    pub async fn connect(&self, new: NewConnection) -> Result<ConnectionTokens, Error> {
        let now = self.office.clock.now().wall;
        let (mut wishes, code) = new.into_parts();
        let mut record = self.wished(&mut wishes, now).await?;
        if let Some(code) = &code {
            record.id = code.key();
        }
        let refresh = RefreshToken::first(record.id);
        let grant = wishes.grant(&refresh);
        let ends_at = grant.access_end(now);
        record.grant = Some(Box::new(grant));
        for _ in 0..HANDLES {
            let format = self.office.formats.issued();
            let owner = record.owner.as_ref();
            let (key, mut credential) =
                self.make_secret(owner, CredentialId::FIRST, format).await?;
            credential.ends_at = Some(ends_at);
            record.credentials = vec![credential];
            match self.insert_by(&mut record, AuditAction::Connected).await {
                Ok(()) => {
                    self.check_code(code.as_ref(), record.id).await?;
                    return ConnectionTokens::new(key, refresh, &record, ends_at, now);
                }
                // The handle is taken by chance, or the code has made its connection before.
                Err(error) if error.kind() == ErrorKind::Conflict => {
                    if code.is_some() && self.office.store.get(record.id).await?.is_some() {
                        return Err(code_was_used());
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Err(Error::new(ErrorKind::Conflict, "no free handle was found"))
    }

    /// Reads one page of the connections that match, in the order of their making. A member reads
    /// their own.
    ///
    /// # Errors
    ///
    /// `Unavailable`.
    pub async fn connections(
        &self,
        filter: &KeyFilter,
        page: PageRequest,
    ) -> Result<KeyPage, Error> {
        let filter = KeyFilter {
            connections: Some(true),
            ..filter.clone()
        };
        self.list(&filter, page).await
    }

    /// Ends a connection: the key behind it is revoked, and its refresh token is good for nothing.
    /// Members may do so with their own, whoever else changes keys.
    ///
    /// # Errors
    ///
    /// `NotFound`, if there is no such connection; `Unavailable`.
    pub async fn disconnect(&self, id: KeyId) -> Result<KeyInfo, Error> {
        if self.record(id).await?.connection.is_none() {
            return Err(no_connection());
        }
        let actor = self.principal.actor();
        let record = self
            .withdraw(id, "disconnected", AuditAction::Revoked, actor)
            .await?;
        shown(&record.ok_or_else(no_connection)?)
    }

    /// The record of the connection that is wished for, without secrets, if it may be made. What
    /// whoever consents hands down is added to the wishes.
    async fn wished(&self, wishes: &mut Wishes, now: Timestamp) -> Result<KeyRecord, Error> {
        wishes.validate()?;
        if let Some(by) = self.principal.key() {
            wishes.hand_down(by);
        }
        let mut record = wishes.record(now)?;
        validate::record(&record, Some(now))?;
        self.principal.claim(&mut record)?;
        self.check_new_terms(&mut record).await?;
        self.check_names(record.owner.as_ref(), record.plan.as_ref())
            .await?;
        self.check_reach(&record).await?;
        self.check_connects(wishes).await?;
        Ok(record)
    }

    /// Refuses connections of a suspended owner, and full ones of whoever may not choose that.
    async fn check_connects(&self, wishes: &Wishes) -> Result<(), Error> {
        let owner = self.office.live.resolver().owner(wishes.owner()).await?;
        if owner.as_ref().is_some_and(|owner| !owner.active) {
            return Err(Error::new(ErrorKind::Forbidden, "the owner is suspended"));
        }
        let most = owner.map_or(Access::ReadOnly, |owner| owner.most_for_connections());
        if wishes.access() > most {
            let message = "must be read-only: full access is for admins to choose";
            return Err(forbidden("access", message));
        }
        Ok(())
    }

    /// Refuses a connection whose code was presented again while it was being made. Whoever
    /// presented it found no connection to end, so it is ended here.
    async fn check_code(&self, code: Option<&CodeId>, id: KeyId) -> Result<(), Error> {
        let Some(code) = code else { return Ok(()) };
        let state = self.code_state(code).await?;
        if !matches!(state, Some((CodeState::Used { again: true, .. }, _))) {
            return Ok(());
        }
        self.withdraw(id, codes::USED_TWICE, AuditAction::Reused, SYSTEM)
            .await?;
        Err(code_was_used())
    }
}

/// The crate itself, in the trail.
const SYSTEM: &str = "system";

fn code_was_used() -> Error {
    Error::new(
        ErrorKind::Conflict,
        "the authorization code was used before",
    )
}

fn no_connection() -> Error {
    Error::new(ErrorKind::NotFound, "there is no such connection")
}

#[cfg(test)]
mod tests;
