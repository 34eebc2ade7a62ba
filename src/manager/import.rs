//! Keys that another system has issued, taken over by their hashes.
//!
//! 1. Nobody needs the keys themselves: whoever holds one goes on using it.
//! 2. The hash is read and bounded here, so that what cannot be verified is never stored.
//! 3. An imported secret has no tag, now or later: nobody knows how random it is.

mod line;

use std::fmt;

use super::{KeyManager, NewKey, shown};
use crate::audit::AuditAction;
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind};
use crate::key::{Credential, CredentialId, Handle, KeyFormats, KeyInfo};
use crate::verify::StoredHash;

/// A key of another system: what it is to be here, its handle and its hash.
///
/// Made by [`NewKey::import`], or read from a line of JSON. The members of the object are `name`,
/// `handle` and `hash`, and if wanted `prefix`, `description`, `owner`, `active`, `servers` (`"all"`
/// or an array of names), `scopes`, `access`, `networks`, `limits`, `metadata`, `created_at` and
/// `expires_at`, each written as in a stored [`KeyRecord`](crate::key::KeyRecord). What is left out
/// is as in a [`NewKey`]: no servers, no scopes. A member of another name is an error.
///
/// ```
/// use mcp_api_keys::ImportKey;
///
/// let key: ImportKey = serde_json::from_str(
///     r#"{"name":"ci-bot","handle":"ATgKlpEa","servers":["files"],"scopes":["*"],
///         "hash":"sha256:a2ee9e1d381864b2da8b63a22f778178d5caaf8951143b16278825fa14990eec"}"#,
/// )?;
/// # let _ = key;
/// let error = serde_json::from_str::<ImportKey>(r#"{"name":"ci-bot","servers":"some"}"#).unwrap_err();
/// assert!(error.to_string().starts_with("invalid servers: "));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct ImportKey {
    new: NewKey,
    handle: String,
    hash: String,
    prefix: Option<String>,
    created_at: Option<Timestamp>,
}

impl NewKey {
    /// Makes it a key that exists already, in another system: with this handle, and with the hash
    /// that is stored there. [`KeyManager::import`] takes it over.
    pub fn import(self, handle: impl Into<String>, hash: impl Into<String>) -> ImportKey {
        ImportKey {
            new: self,
            handle: handle.into(),
            hash: hash.into(),
            prefix: None,
            created_at: None,
        }
    }
}

impl ImportKey {
    /// Says what stands before the handle, so that lists can show the key masked: `mcp_sk_`, or
    /// `ok1-ada-` if keys name their owner.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = Some(prefix.into());
        self
    }

    /// Says when the other system made it. Without this it counts as made when it is imported.
    pub fn created_at(mut self, time: impl Into<Timestamp>) -> Self {
        self.created_at = Some(time.into());
        self
    }

    /// The credential to be stored, if a key of these formats can have it.
    fn credential(&self, formats: &KeyFormats, now: Timestamp) -> Result<Credential, Error> {
        let handle = self.checked_handle()?;
        let longest = formats.longest_key(self.prefix.as_deref()).ok_or_else(|| {
            Error::invalid("prefix", "must be how keys of an accepted format begin")
        })?;
        self.check_hash(longest)?;
        let prefix = self.prefix.as_deref().unwrap_or_default();
        let made_at = self.created_at.unwrap_or(now);
        if made_at > now {
            return Err(Error::invalid("created_at", "must not be in the future"));
        }
        let hash = self.hash.as_str();
        Ok(Credential::new(CredentialId::FIRST, handle, prefix, hash, made_at).imported())
    }

    fn checked_handle(&self) -> Result<Handle, Error> {
        self.handle
            .parse()
            .ok()
            .filter(KeyFormats::give_handle)
            .ok_or_else(|| {
                let message = "must be the 8 letters or digits that follow the key's prefix";
                Error::invalid("handle", message)
            })
    }

    /// The hash is not repeated: it might be a key, in the wrong place.
    fn check_hash(&self, longest: usize) -> Result<(), Error> {
        let hash = StoredHash::parse(&self.hash)
            .map_err(|_| Error::invalid("hash", StoredHash::EXPECTATION))?;
        match hash.longest_key() {
            Some(most) if longest > most => Err(Error::invalid(
                "hash",
                format!(
                    "bcrypt reads {most} bytes of a key, and this one may have up to {longest}; if \
                     it is shorter, say its prefix"
                ),
            )),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for ImportKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImportKey")
            .field("new", &self.new)
            .field("handle", &self.handle)
            .field("prefix", &self.prefix)
            .field("created_at", &self.created_at)
            .finish_non_exhaustive()
    }
}

impl KeyManager {
    /// Takes over a key that another system has issued. Its holder goes on using it.
    ///
    /// The hash is that of the whole key text, prefix included:
    ///
    /// * `$argon2id$…`, a PHC string of at most 64 MiB, 10 passes and 4 lanes, with 32 bytes of
    ///   output;
    /// * `$2a$…`, `$2b$…` or `$2y$…`, bcrypt of a cost from 4 to 14, for keys of at most 72 bytes;
    /// * `sha256:` and the digest, as 64 hexadecimal digits, or in base64 or base64url with or
    ///   without padding.
    ///
    /// bcrypt and SHA-256 are replaced when the key is first verified: by Argon2id, and with a
    /// pepper by a code made with it. If the slow hash has no place at that moment, or the store
    /// fails, the key works all the same, and the next time that a process verifies it without
    /// remembering it will do. An Argon2id hash stays as it is.
    ///
    /// An imported key never has a [tag](crate::key::Tag): a wrong secret for its handle costs what
    /// its hash costs, unless a pepper's code is stored. See
    /// [threats](crate::manual::threats#imported-keys) for what else differs. A rotation ends that:
    /// the new secret is made here.
    ///
    /// The key is accepted if it is written in an accepted format
    /// ([`accept_format`](crate::ApiKeysBuilder::accept_format)). Imported by another process, it
    /// may be refused here for about five seconds more, if it was presented in vain before.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use mcp_api_keys::{ApiKeys, NewKey, store::MemoryStore};
    ///
    /// let keys = ApiKeys::builder(MemoryStore::new()).build().await?;
    /// let gate = keys.layer().server("files").gate().clone();
    ///
    /// // The other system has stored the SHA-256 of mcp_sk_ATgKlpEaBS64QGLizLFNWgSzNfDmYl2D0UvHLX.
    /// let hash = "sha256:a2ee9e1d381864b2da8b63a22f778178d5caaf8951143b16278825fa14990eec";
    /// let key = NewKey::named("ci-bot").server("files").import("ATgKlpEa", hash).prefix("mcp_sk_");
    /// let info = keys.manager().import(key).await?;
    /// assert_eq!(info.masked, "mcp_sk_ATgKlpEa…");
    ///
    /// let key = "mcp_sk_ATgKlpEaBS64QGLizLFNWgSzNfDmYl2D0UvHLX";
    /// let request = http::Request::builder().header("x-api-key", key).body(())?;
    /// let (mut head, ()) = request.into_parts();
    /// assert!(gate.admit(&mut head).await.is_ok());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// `InvalidInput`, naming the field; `Conflict`, if a key with this handle exists; `Forbidden`
    /// to members, who would learn of others' handles, and if the key would reach further than the
    /// one that is acted by: nothing is stored then. `Unavailable`: whether the key was stored is
    /// unknown then, and importing it again tells.
    pub async fn import(&self, key: ImportKey) -> Result<KeyInfo, Error> {
        // That a handle is taken would tell a member of another's key.
        self.principal.check_admin("only admins import keys")?;
        let now = self.office.clock.now().wall;
        let credential = key.credential(&self.office.formats, now)?;
        let mut record = key.new.into_record(now)?;
        record.created_at = credential.created_at;
        record.credentials = vec![credential];
        self.check_names(record.owner.as_ref(), record.plan.as_ref())
            .await?;
        self.check_reach(&record).await?;
        let act = self.act(AuditAction::Imported, None, Some(&record));
        let written = self.office.store.insert(&record, &act).await;
        // The key may have been presented before it was one, and be so remembered. That holds also
        // if it was stored and only the answer got lost.
        self.office.verifier.forget_failures();
        record.revision = written.map_err(|error| match error.kind() {
            ErrorKind::Conflict => handle_is_taken(&key.handle, error),
            _ => error,
        })?;
        self.office.live.changed(&record);
        self.tell(record.id, act);
        shown(&record)
    }
}

fn handle_is_taken(handle: &str, error: Error) -> Error {
    Error::new(
        ErrorKind::Conflict,
        format!("a key with the handle {handle} exists already"),
    )
    .with_source(error)
}
