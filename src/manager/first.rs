//! Keys that are there before anybody asks: a server's default key, and the first admin's.
//!
//! Each is made under an id of its own, so that of many processes which start at once one makes it
//! and the others find it made.

use super::{ATTEMPTS, HANDLES, IssuedKey, KeyManager, NewKey, issued};
use crate::audit::AuditAction;
use crate::error::{Error, ErrorKind};
use crate::key::{CredentialId, KeyId, KeyRecord, Owner, OwnerId, Role, ScopeSet};

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
            .scopes(ScopeSet::all().iter().cloned());
        self.ensure(&format!("default-key:{server}"), new).await
    }

    /// Makes the first admin, `owner`, and a key of theirs that may do everything, unless that was
    /// done before, for whomever. Whoever gets the key is the only one who ever sees it.
    ///
    /// # Errors
    ///
    /// `Forbidden` to members; `Conflict`, if `owner` is known already and no active admin, or if
    /// owners are known from a [directory](crate::ApiKeysBuilder::owner_directory) that does not
    /// know this one as such; `Unavailable`.
    pub async fn bootstrap(&self, owner: OwnerId) -> Result<Option<IssuedKey>, Error> {
        self.principal.check_admin("only admins make admins")?;
        let id = KeyId::of_the_one(FIRST_ADMIN);
        if self.office.store.get(id).await?.is_some() {
            return Ok(None);
        }
        let made = self.make_admin(&owner).await?;
        let new = NewKey::named("first admin")
            .owner(owner.as_str())
            .all_servers()
            .scopes(ScopeSet::all().iter().cloned());
        let issued = self.ensure(FIRST_ADMIN, new).await?;
        if issued.is_none() && made {
            // Somebody else made another admin meanwhile. This one has no key yet and is none,
            // unless they are the same, whom the key keeps from being removed.
            match self.remove_owner(&owner).await {
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                outcome => outcome?,
            }
        }
        Ok(issued)
    }

    /// Sees to it that `owner` is an admin. Returns whether they were made one.
    async fn make_admin(&self, owner: &OwnerId) -> Result<bool, Error> {
        let by_directory = self.office.live.resolver().has_directory();
        for _ in 0..ATTEMPTS {
            match self.owner(owner).await? {
                Some(known) if known.role == Role::Admin && known.active => return Ok(false),
                None if !by_directory => match self.put_owner(Owner::admin(owner.clone())).await {
                    // Somebody else is doing the same: look again.
                    Err(error) if error.kind() == ErrorKind::Conflict => {}
                    outcome => return outcome.map(|_| true),
                },
                _ => break,
            }
        }
        let message = "this owner is known already and no active admin, or not in the directory";
        Err(Error::new(ErrorKind::Conflict, message))
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
            let format = self.office.formats.issued();
            let (key, credential) = self
                .make_secret(record.owner.as_ref(), CredentialId::FIRST, format)
                .await?;
            let handle = credential.handle.clone();
            record.credentials = vec![credential];
            match self.insert(&mut record).await {
                Ok(()) => return issued(key, &record).map(Some),
                // Somebody else was faster, or the handle is taken by chance: look again.
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                Err(error) => {
                    // If only the answer got lost, nobody else would ever hold the key.
                    let stored = self.office.store.get(record.id).await;
                    let is_ours =
                        |stored: &KeyRecord| stored.credentials.iter().any(|c| c.handle == handle);
                    return match stored {
                        Ok(Some(stored)) if is_ours(&stored) => {
                            self.office.live.changed(&stored);
                            self.tell(stored.id, self.act(AuditAction::Issued, None, None));
                            issued(key, &stored).map(Some)
                        }
                        _ => Err(error),
                    };
                }
            }
        }
        Err(Error::new(ErrorKind::Conflict, "no free handle was found"))
    }
}

const FIRST_ADMIN: &str = "first-admin";
