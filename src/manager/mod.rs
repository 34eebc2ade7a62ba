//! The life of a key: issue, read, change, rotate, withdraw.
//!
//! 1. A call returns after its change was committed *and* after this node's live state shows it:
//!    the next request here is judged by it. Other nodes follow within their polling interval.
//! 2. Bad input is named by field and changes nothing.
//! 3. The clear text of a key is returned by issuing and rotating, once, and stored nowhere.

mod changes;
mod new_key;
mod rotate;
mod validate;

use std::sync::Arc;

pub use self::changes::KeyUpdate;
pub use self::new_key::NewKey;
pub use self::rotate::Grace;
use crate::clock::Clock;
use crate::error::{Error, ErrorKind};
use crate::key::{
    ApiKey, Credential, CredentialId, FormatError, KeyFormats, KeyId, KeyInfo, KeyRecord,
    KeyStatus, OwnerId,
};
use crate::live::Live;
use crate::store::{KeyFilter, KeyStore, PageRequest};
use crate::verify::Verifier;

/// How often a change is tried again when somebody else changed the key at the same time.
const ATTEMPTS: usize = 8;

/// How often a new key is made when its handle turns out to be taken.
const HANDLES: usize = 4;

/// Issues, changes and withdraws keys.
///
/// Made by [`ApiKeys::manager`](crate::ApiKeys::manager); cloning is cheap.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use mcp_api_keys::{ApiKeys, NewKey, RateLimit, store::MemoryStore};
///
/// let keys = ApiKeys::builder(MemoryStore::new()).build().await?;
/// let manager = keys.manager();
///
/// let new = NewKey::named("ci-bot").server("files").scope("files:read")?;
/// let issued = manager.issue(new.rate(RateLimit::per_minute(60))).await?;
/// println!("{}", issued.key().expose_secret()); // the only time it can be read
///
/// let id = issued.info().id;
/// manager.disable(id).await?;
/// manager.enable(id).await?;
/// manager.revoke(id, Some("left the team")).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct KeyManager(Arc<Office>);

#[derive(Debug)]
struct Office {
    store: Arc<dyn KeyStore>,
    live: Arc<Live>,
    verifier: Arc<Verifier>,
    formats: KeyFormats,
    clock: Arc<dyn Clock>,
}

/// A key that was just made, and what is known of it.
#[derive(Debug)]
#[must_use = "the key can never be read again"]
pub struct IssuedKey {
    key: ApiKey,
    info: KeyInfo,
}

impl IssuedKey {
    /// The key itself. This is the only chance to read it.
    pub fn key(&self) -> &ApiKey {
        &self.key
    }

    /// What may be shown of it, now and later.
    pub fn info(&self) -> &KeyInfo {
        &self.info
    }

    /// Both, to be taken apart.
    pub fn into_parts(self) -> (ApiKey, KeyInfo) {
        (self.key, self.info)
    }
}

/// One page of keys.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct KeyPage {
    /// The keys, in the order of their making.
    pub keys: Vec<KeyInfo>,
    /// Where the next page starts; nothing if this is the last.
    pub next: Option<KeyId>,
}

impl KeyManager {
    pub(crate) fn new(
        store: Arc<dyn KeyStore>,
        verifier: Arc<Verifier>,
        formats: KeyFormats,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self(Arc::new(Office {
            store,
            live: Arc::clone(verifier.live()),
            verifier,
            formats,
            clock,
        }))
    }

    /// Makes a key.
    ///
    /// # Errors
    ///
    /// `InvalidInput`, naming the field: nothing is stored then. `Unavailable`, if the store or the
    /// hashing pool does not answer: whether the key was stored is unknown then, but nobody holds
    /// it.
    pub async fn issue(&self, new: NewKey) -> Result<IssuedKey, Error> {
        let now = self.0.clock.now().wall;
        let mut record = new.into_record(now)?;
        for _ in 0..HANDLES {
            let (key, credential) = self
                .make_secret(record.owner.as_ref(), CredentialId::FIRST)
                .await?;
            record.credentials = vec![credential];
            match self.0.store.insert(&record).await {
                Ok(revision) => {
                    record.revision = revision;
                    self.0.live.changed(&record);
                    return issued(key, &record);
                }
                // One handle in 2^47 is taken by chance; another try finds a free one.
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                Err(error) => return Err(error),
            }
        }
        Err(Error::new(ErrorKind::Conflict, "no free handle was found"))
    }

    /// Reads a key.
    ///
    /// # Errors
    ///
    /// `NotFound`, if there is none; `Unavailable`.
    pub async fn get(&self, id: KeyId) -> Result<KeyInfo, Error> {
        shown(&self.record(id).await?)
    }

    /// Reads the key with this handle.
    ///
    /// # Errors
    ///
    /// `NotFound`, if there is none; `Unavailable`.
    pub async fn get_by_handle(&self, handle: &str) -> Result<KeyInfo, Error> {
        let record = self.0.store.find_by_handle(handle).await?;
        shown(&record.ok_or_else(not_found)?)
    }

    /// Reads one page of the keys that match, in the order of their making.
    ///
    /// # Errors
    ///
    /// `Unavailable`.
    pub async fn list(&self, filter: &KeyFilter, page: PageRequest) -> Result<KeyPage, Error> {
        let page = self.0.store.list(filter, page).await?;
        Ok(KeyPage {
            keys: page.records.iter().map(shown).collect::<Result<_, _>>()?,
            next: page.next,
        })
    }

    /// Changes what `update` names, and nothing else.
    ///
    /// # Errors
    ///
    /// `InvalidInput`, naming the field; `NotFound`; `Conflict`, if the key is revoked or no longer
    /// of the revision that [`KeyUpdate::only_at`] asks for: nothing is changed then.
    /// `Unavailable`: whether the change was made is unknown then, and this node reads the key
    /// again before it honours it.
    pub async fn update(&self, id: KeyId, update: KeyUpdate) -> Result<KeyInfo, Error> {
        let now = self.0.clock.now().wall;
        update.validate(now)?;
        let record = self.change(id, |record| {
            update.check_revision(record)?;
            refuse_revoked(record)?;
            update.apply(record);
            validate::record(record, None)
        });
        shown(&record.await?)
    }

    /// Switches a key on. A key that is on stays on.
    ///
    /// # Errors
    ///
    /// `NotFound`; `Conflict`, if the key is revoked; `Unavailable`.
    pub async fn enable(&self, id: KeyId) -> Result<KeyInfo, Error> {
        self.set_status(id, KeyStatus::Active).await
    }

    /// Switches a key off. A key that is off stays off.
    ///
    /// # Errors
    ///
    /// `NotFound`; `Conflict`, if the key is revoked; `Unavailable`.
    pub async fn disable(&self, id: KeyId) -> Result<KeyInfo, Error> {
        self.set_status(id, KeyStatus::Disabled).await
    }

    /// Withdraws a key for good. The record is kept, with the reason. A key that was revoked
    /// before keeps the first time and reason.
    ///
    /// # Errors
    ///
    /// `InvalidInput`, if the reason is longer than 500 characters; `NotFound`; `Unavailable`.
    pub async fn revoke(&self, id: KeyId, reason: Option<&str>) -> Result<KeyInfo, Error> {
        validate::reason(reason)?;
        let at = self.0.clock.now().wall;
        let record = self.change(id, |record| {
            if !matches!(record.status, KeyStatus::Revoked { .. }) {
                let reason = reason.map(str::to_owned);
                record.status = KeyStatus::Revoked { at, reason };
            }
            Ok(())
        });
        shown(&record.await?)
    }

    /// Removes a key and its record for good. Returns whether there was one.
    ///
    /// # Errors
    ///
    /// `Unavailable`.
    pub async fn delete(&self, id: KeyId) -> Result<bool, Error> {
        match self.0.store.delete(id).await {
            Ok(existed) => {
                self.0.live.deleted(id);
                Ok(existed)
            }
            Err(error) => {
                self.0.live.distrust(id);
                Err(error)
            }
        }
    }

    async fn set_status(&self, id: KeyId, status: KeyStatus) -> Result<KeyInfo, Error> {
        let record = self.change(id, |record| {
            refuse_revoked(record)?;
            record.status = status.clone();
            Ok(())
        });
        shown(&record.await?)
    }

    async fn record(&self, id: KeyId) -> Result<KeyRecord, Error> {
        self.0.store.get(id).await?.ok_or_else(not_found)
    }

    /// Reads, changes and writes a key, again if somebody else wrote in between.
    async fn change(
        &self,
        id: KeyId,
        change: impl Fn(&mut KeyRecord) -> Result<(), Error>,
    ) -> Result<KeyRecord, Error> {
        for _ in 0..ATTEMPTS {
            let before = self.record(id).await?;
            let mut record = before.clone();
            change(&mut record)?;
            if record == before {
                // The change may be another node's that this one has not seen yet.
                self.0.live.changed(&record);
                return Ok(record);
            }
            if let Some(record) = self.commit(record).await? {
                return Ok(record);
            }
        }
        Err(too_many_changes())
    }

    /// Writes a changed record and announces it; nothing if somebody else was faster.
    async fn commit(&self, mut record: KeyRecord) -> Result<Option<KeyRecord>, Error> {
        record.updated_at = self.0.clock.now().wall;
        match self.0.store.replace(&record, record.revision).await {
            Ok(revision) => {
                record.revision = revision;
                self.0.live.changed(&record);
                Ok(Some(record))
            }
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(None),
            Err(error) => {
                // The write may have been committed although the answer was lost.
                self.0.live.distrust(record.id);
                Err(error)
            }
        }
    }

    async fn make_secret(
        &self,
        owner: Option<&OwnerId>,
        id: CredentialId,
    ) -> Result<(ApiKey, Credential), Error> {
        let format = self.0.formats.issued();
        let key = format.generate(owner).map_err(no_such_owner)?;
        let handle = format
            .parse(key.expose_secret().as_bytes())
            .and_then(|parsed| parsed.to_handle())
            .map_err(|error| {
                Error::new(ErrorKind::Corrupt, "a new key is malformed").with_source(error)
            })?;
        let prefix = key.masked_prefix(&handle);
        let now = self.0.clock.now().wall;
        let credential = self
            .0
            .verifier
            .enrol(&key, id, (handle, prefix), now)
            .await?;
        Ok((key, credential))
    }
}

fn refuse_revoked(record: &KeyRecord) -> Result<(), Error> {
    match record.status {
        KeyStatus::Revoked { .. } => Err(Error::new(
            ErrorKind::Conflict,
            "the key is revoked, which cannot be undone",
        )),
        _ => Ok(()),
    }
}

fn shown(record: &KeyRecord) -> Result<KeyInfo, Error> {
    KeyInfo::of(record)
        .ok_or_else(|| Error::new(ErrorKind::Corrupt, "the stored key holds no secret"))
}

fn issued(key: ApiKey, record: &KeyRecord) -> Result<IssuedKey, Error> {
    Ok(IssuedKey {
        key,
        info: shown(record)?,
    })
}

fn no_such_owner(error: FormatError) -> Error {
    Error::invalid("owner", error.to_string()).with_source(error)
}

fn not_found() -> Error {
    Error::new(ErrorKind::NotFound, "there is no such key")
}

fn too_many_changes() -> Error {
    Error::new(
        ErrorKind::Conflict,
        "the key is being changed by others all the time",
    )
}
