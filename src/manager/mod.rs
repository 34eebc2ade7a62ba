//! The life of a key: issue, import, read, change, rotate, withdraw.
//!
//! 1. A call returns after its change was committed *and* after this node's live state shows it:
//!    the next request here is judged by it. Other nodes follow within their polling interval.
//! 2. Bad input is named by field and changes nothing.
//! 3. The clear text of a key is returned by issuing and rotating, once, and stored nowhere.

mod alerts;
mod bulk;
mod changes;
mod commit;
// Codes and registrations are for the room that speaks OAuth over HTTP.
#[cfg_attr(
    not(feature = "oauth"),
    allow(dead_code, reason = "nobody else uses what it offers to that room")
)]
mod connect;
mod definitions;
mod first;
mod import;
mod new_key;
mod principal;
mod reach;
mod read;
mod rotate;
mod safety;
mod status;
mod usage;
mod validate;

use std::sync::Arc;

pub use self::bulk::Withdrawn;
pub use self::changes::KeyUpdate;
use self::commit::{ATTEMPTS, too_many_changes};
use self::connect::Rounds;
pub use self::connect::{ConnectionTokens, NewConnection, RefusedRenewal, Renewal};
#[cfg_attr(
    not(feature = "oauth"),
    allow(unused_imports, reason = "for the room that speaks OAuth over HTTP")
)]
pub(crate) use self::connect::{Consented, RegisteredClient, TakenCode};
pub use self::import::ImportKey;
pub use self::new_key::NewKey;
pub use self::principal::Principal;
pub use self::read::KeyPage;
pub use self::rotate::Grace;
pub use self::safety::{Risk, RiskyKey, SafetyPage};
use crate::alert::AlertLedger;
use crate::audit::AuditAction;
use crate::clock::Clock;
use crate::error::{Error, ErrorKind};
use crate::event::Events;
use crate::key::{
    ApiKey, Credential, CredentialId, FormatError, KeyFormat, KeyFormats, KeyId, KeyInfo,
    KeyRecord, KeyStatus, OwnerId, PlanName,
};
use crate::live::Live;
use crate::store::{KeyStore, LetterLedger};
use crate::usage::UsageSink;
use crate::verify::Verifier;

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
    policy: OwnerPolicy,
    records: Records,
    events: Events,
    rounds: Rounds,
}

/// Where it is noted what keys do.
#[derive(Clone, Debug)]
pub(crate) struct Records {
    pub(crate) usage: Option<Arc<dyn UsageSink>>,
    pub(crate) alerts: Option<Arc<dyn AlertLedger>>,
    pub(crate) letters: Arc<dyn LetterLedger>,
}

/// What the integrator decided about owners.
#[derive(Clone, Debug, Default)]
pub(crate) struct OwnerPolicy {
    /// Keys are made for known owners only, and work for known owners only.
    pub(crate) known_only: bool,
    /// Members look at their keys and change nothing.
    pub(crate) only_admins_change: bool,
    /// The plan that the keys which members make are on.
    pub(crate) members_plan: Option<PlanName>,
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

impl KeyManager {
    pub(crate) fn new(
        store: Arc<dyn KeyStore>,
        verifier: Arc<Verifier>,
        formats: KeyFormats,
        clock: Arc<dyn Clock>,
        policy: OwnerPolicy,
        records: Records,
        events: Events,
    ) -> Self {
        let office = Office {
            store,
            live: Arc::clone(verifier.live()),
            verifier,
            formats,
            clock,
            policy,
            records,
            events,
            rounds: Rounds::default(),
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
    /// `InvalidInput`, naming the field; `Forbidden`, if the key would reach further than whoever
    /// makes it: nothing is stored then. `Unavailable`, if the store or the hashing pool does not
    /// answer: whether the key was stored is unknown then, but nobody holds it.
    pub async fn issue(&self, new: NewKey) -> Result<IssuedKey, Error> {
        self.check_may_change()?;
        let now = self.office.clock.now().wall;
        let mut record = new.into_record(now)?;
        self.principal.claim(&mut record)?;
        self.check_new_terms(&mut record).await?;
        self.check_names(record.owner.as_ref(), record.plan.as_ref())
            .await?;
        self.check_reach(&record).await?;
        for _ in 0..HANDLES {
            match self.insert_new(&mut record).await {
                // One handle in 2^47 is taken by chance; another try finds a free one.
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                outcome => return outcome,
            }
        }
        Err(Error::new(ErrorKind::Conflict, "no free handle was found"))
    }

    /// Gives a record its first secret and stores it.
    async fn insert_new(&self, record: &mut KeyRecord) -> Result<IssuedKey, Error> {
        let format = self.office.formats.issued();
        let (key, credential) = self
            .make_secret(record.owner.as_ref(), CredentialId::FIRST, format)
            .await?;
        record.credentials = vec![credential];
        self.insert(record).await?;
        issued(key, record)
    }

    /// Changes what `update` names, and nothing else.
    ///
    /// A member may widen a key within their own servers, scopes and access. What bounds the key
    /// alone they may only tighten: its limits and quotas, its expiry, that it must be signed. Its
    /// plan is not theirs to change.
    ///
    /// # Errors
    ///
    /// `InvalidInput`, naming the field; `NotFound`; `Conflict`, if the key is revoked or no longer
    /// of the revision that [`KeyUpdate::only_at`] asks for; `Forbidden`, naming the field, if it would
    /// reach further than whoever changes it may let it: nothing is changed then.
    /// `Unavailable`: whether the change was made is unknown then, and this node reads the key
    /// again before it honours it.
    pub async fn update(&self, id: KeyId, update: KeyUpdate) -> Result<KeyInfo, Error> {
        let now = self.office.clock.now().wall;
        update.validate(now)?;
        let (owner, plan) = update.names();
        self.check_names(owner, plan).await?;
        let record = self.change(id, AuditAction::Updated, |record| {
            update.check_revision(record)?;
            refuse_revoked(record)?;
            update.check_handover(record)?;
            update.apply(record);
            validate::record(record, None)
        });
        shown(&record.await?)
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
