//! The life of a key: issue, import, read, change, rotate, withdraw.
//!
//! 1. A call returns after its change was committed *and* after this node's live state shows it:
//!    the next request here is judged by it. Other nodes follow within their polling interval.
//! 2. Bad input is named by field and changes nothing.
//! 3. The clear text of a key is returned by issuing and rotating, once, and stored nowhere.

mod changes;
mod import;
mod new_key;
mod principal;
mod rotate;
mod status;
mod validate;

use std::sync::Arc;

pub use self::changes::KeyUpdate;
pub use self::import::ImportKey;
pub use self::new_key::NewKey;
pub use self::principal::Principal;
pub use self::rotate::Grace;
use crate::audit::{Act, AuditAction, AuditEntry, AuditFilter};
use crate::clock::Clock;
use crate::error::{Error, ErrorKind};
use crate::key::{
    ApiKey, Credential, CredentialId, FormatError, KeyFormat, KeyFormats, KeyId, KeyInfo,
    KeyRecord, KeyStatus, OwnerId,
};
use crate::live::Live;
use crate::store::{AuditPage, KeyFilter, KeyStore, PageRequest};
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
pub struct KeyManager {
    office: Arc<Office>,
    principal: Arc<Principal>,
}

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
        let office = Office {
            store,
            live: Arc::clone(verifier.live()),
            verifier,
            formats,
            clock,
        };
        Self {
            office: Arc::new(office),
            principal: Arc::new(Principal::system()),
        }
    }

    /// The same manager in the hands of `principal`, who is noted in the audit trail and whose
    /// rights bound what it does.
    #[must_use]
    pub fn acting_as(&self, principal: Principal) -> Self {
        Self {
            office: Arc::clone(&self.office),
            principal: Arc::new(principal),
        }
    }

    /// Makes a key.
    ///
    /// # Errors
    ///
    /// `InvalidInput`, naming the field: nothing is stored then. `Unavailable`, if the store or the
    /// hashing pool does not answer: whether the key was stored is unknown then, but nobody holds
    /// it.
    pub async fn issue(&self, new: NewKey) -> Result<IssuedKey, Error> {
        let now = self.office.clock.now().wall;
        let mut record = new.into_record(now)?;
        self.principal.claim(&mut record)?;
        self.principal.check_reach(&record)?;
        for _ in 0..HANDLES {
            let (key, credential) = self
                .make_secret(
                    record.owner.as_ref(),
                    CredentialId::FIRST,
                    self.office.formats.issued(),
                )
                .await?;
            record.credentials = vec![credential];
            let act = self.act(AuditAction::Issued, None, Some(&record));
            match self.office.store.insert(&record, &act).await {
                Ok(revision) => {
                    record.revision = revision;
                    self.office.live.changed(&record);
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
        let found = self.office.store.find_by_handle(handle).await?;
        let record = found.ok_or_else(not_found)?;
        self.principal.check_sight(&record)?;
        shown(&record)
    }

    /// Reads one page of the keys that match, in the order of their making.
    ///
    /// # Errors
    ///
    /// `Unavailable`.
    pub async fn list(&self, filter: &KeyFilter, page: PageRequest) -> Result<KeyPage, Error> {
        let page = match self.principal.confined_to() {
            None => self.office.store.list(filter, page).await?,
            Some(owner) if filter.owner.as_ref().is_some_and(|asked| asked != owner) => {
                return Ok(KeyPage {
                    keys: Vec::new(),
                    next: None,
                });
            }
            Some(owner) => {
                let mut own = filter.clone();
                own.owner = Some(owner.clone());
                self.office.store.list(&own, page).await?
            }
        };
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
        let now = self.office.clock.now().wall;
        update.validate(now)?;
        let record = self.change(id, AuditAction::Updated, |record| {
            update.check_revision(record)?;
            refuse_revoked(record)?;
            update.apply(record);
            validate::record(record, None)?;
            self.principal.check_reach(record)
        });
        shown(&record.await?)
    }

    /// Reads one page of the audit trail, newest first.
    ///
    /// # Errors
    ///
    /// `Forbidden` to members, who may only read the trail of a key of their own
    /// ([`AuditFilter::key`]); `Unavailable`.
    pub async fn audit(
        &self,
        filter: &AuditFilter,
        page: AuditPage,
    ) -> Result<Vec<AuditEntry>, Error> {
        if self.principal.confined_to().is_some() {
            let Some(id) = filter.key else {
                return Err(Error::new(
                    ErrorKind::Forbidden,
                    "only admins read the whole trail",
                ));
            };
            self.record(id).await?;
        }
        self.office.store.audit(filter, page).await
    }

    async fn record(&self, id: KeyId) -> Result<KeyRecord, Error> {
        let record = self.office.store.get(id).await?.ok_or_else(not_found)?;
        self.principal.check_sight(&record)?;
        Ok(record)
    }

    /// What the audit trail is to say.
    fn act(
        &self,
        action: AuditAction,
        before: Option<&KeyRecord>,
        after: Option<&KeyRecord>,
    ) -> Act {
        let at = self.office.clock.now().wall;
        let mut act = Act::new(action, self.principal.actor(), at);
        act.source = self.principal.source().map(str::to_owned);
        let shown = |record: Option<&KeyRecord>| record.and_then(KeyInfo::of);
        act.changing(shown(before).as_ref(), shown(after).as_ref())
    }

    /// Reads, changes and writes a key, again if somebody else wrote in between.
    async fn change(
        &self,
        id: KeyId,
        action: AuditAction,
        change: impl Fn(&mut KeyRecord) -> Result<(), Error>,
    ) -> Result<KeyRecord, Error> {
        for _ in 0..ATTEMPTS {
            let before = self.record(id).await?;
            let mut record = before.clone();
            change(&mut record)?;
            if record == before {
                // The change may be another node's that this one has not seen yet.
                self.office.live.changed(&record);
                return Ok(record);
            }
            if let Some(record) = self.commit(&before, record, action).await? {
                return Ok(record);
            }
        }
        Err(too_many_changes())
    }

    /// Writes a changed record and announces it; nothing if somebody else was faster.
    async fn commit(
        &self,
        before: &KeyRecord,
        mut record: KeyRecord,
        action: AuditAction,
    ) -> Result<Option<KeyRecord>, Error> {
        let act = self.act(action, Some(before), Some(&record));
        record.updated_at = act.at;
        match self
            .office
            .store
            .replace(&record, before.revision, &act)
            .await
        {
            Ok(revision) => {
                record.revision = revision;
                self.office.live.changed(&record);
                Ok(Some(record))
            }
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(None),
            Err(error) => {
                // The write may have been committed although the answer was lost.
                self.office.live.distrust(record.id);
                Err(error)
            }
        }
    }

    async fn make_secret(
        &self,
        owner: Option<&OwnerId>,
        id: CredentialId,
        format: &KeyFormat,
    ) -> Result<(ApiKey, Credential), Error> {
        let key = format.generate(owner).map_err(no_such_owner)?;
        let handle = format
            .parse(key.expose_secret().as_bytes())
            .and_then(|parsed| parsed.to_handle())
            .map_err(|error| {
                Error::new(ErrorKind::Corrupt, "a new key is malformed").with_source(error)
            })?;
        let prefix = key.masked_prefix(&handle);
        let now = self.office.clock.now().wall;
        let enrolling = self.office.verifier.enrol(&key, id, (handle, prefix), now);
        let mut credential = enrolling.await?;
        credential.format = Some(format.clone());
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
