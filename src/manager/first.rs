//! Keys that are there before anybody asks: a server's default key, and the first admin's.
//!
//! Each is made under an id of its own, so that of many processes which start at once one makes it
//! and the others find it made.

use super::{HANDLES, IssuedKey, KeyManager, NewKey};
use crate::error::{Error, ErrorKind};
use crate::key::{KeyId, Owner, OwnerId, Role};

impl KeyManager {
    /// Makes the default key of a server, with full access to it, unless there is one already.
    /// Whoever gets the key is the only one who ever sees it.
    ///
    /// A default key that was revoked stays revoked; one that was deleted is made anew.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use mcp_api_keys::{ApiKeys, store::MemoryStore};
    ///
    /// let keys = ApiKeys::builder(MemoryStore::new()).build().await?;
    /// if let Some(issued) = keys.manager().ensure_default_key("files").await? {
    ///     println!("the key of files is {}", issued.key().expose_secret());
    /// }
    /// assert!(keys.manager().ensure_default_key("files").await?.is_none());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// `InvalidInput`, if `server` is no valid name; `Forbidden` to members; `Unavailable`.
    pub async fn ensure_default_key(&self, server: &str) -> Result<Option<IssuedKey>, Error> {
        self.principal
            .check_admin("only admins make default keys")?;
        let new = NewKey::named(format!("default key of {server}"))
            .server(server)
            .scopes(["*".parse().map_err(|error| of_scopes(&error))?]);
        self.ensure(&format!("default-key:{server}"), new).await
    }

    /// Makes the first admin, `owner`, and a key of theirs that may do everything, unless that was
    /// done before, for whomever. Whoever gets the key is the only one who ever sees it.
    ///
    /// # Errors
    ///
    /// `Forbidden` to members; `Conflict`, if `owner` is known already and no admin; `Unavailable`.
    pub async fn bootstrap(&self, owner: OwnerId) -> Result<Option<IssuedKey>, Error> {
        self.principal.check_admin("only admins make admins")?;
        let id = KeyId::of_the_one(FIRST_ADMIN);
        if self.office.store.get(id).await?.is_some() {
            return Ok(None);
        }
        match self.owner(&owner).await? {
            Some(known) if known.role == Role::Admin && known.active => {}
            Some(_) => {
                return Err(Error::new(
                    ErrorKind::Conflict,
                    "this owner is known already and no active admin",
                ));
            }
            None => match self.put_owner(Owner::admin(owner.clone())).await {
                // Somebody else is doing the same.
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                outcome => {
                    outcome?;
                }
            },
        }
        let new = NewKey::named("first admin")
            .owner(owner.as_str())
            .all_servers()
            .scopes(["*".parse().map_err(|error| of_scopes(&error))?]);
        self.ensure(FIRST_ADMIN, new).await
    }

    /// Makes the one key for `purpose`, unless it is there.
    async fn ensure(&self, purpose: &str, new: NewKey) -> Result<Option<IssuedKey>, Error> {
        let mut record = new.into_record(self.office.clock.now().wall)?;
        record.id = KeyId::of_the_one(purpose);
        self.check_reach(&record).await?;
        for _ in 0..HANDLES {
            if self.office.store.get(record.id).await?.is_some() {
                return Ok(None);
            }
            match self.insert_new(&mut record).await {
                // Somebody else was faster, or the handle is taken by chance: look again.
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                outcome => return outcome.map(Some),
            }
        }
        Err(Error::new(ErrorKind::Conflict, "no free handle was found"))
    }
}

const FIRST_ADMIN: &str = "first-admin";

fn of_scopes(error: &crate::key::ParseScopeError) -> Error {
    Error::invalid("scopes", error.to_string())
}
