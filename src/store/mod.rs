//! Where keys are kept: the [`KeyStore`] contract and its implementations.
//!
//! A store keeps [`KeyRecord`]s, finds them by id and by handle, and keeps a **change log**: every
//! write takes the next [`Revision`] from one counter, in the same transaction, so the order of
//! revisions is the order of commits. Nodes read the log to learn what others changed.

mod memory;
#[cfg(feature = "sqlite")]
mod sqlite;

use std::fmt;

use async_trait::async_trait;

pub use self::memory::MemoryStore;
#[cfg(feature = "sqlite")]
pub use self::sqlite::SqliteStore;
use crate::audit::{Act, AuditEntry, AuditFilter};
use crate::clock::Timestamp;
use crate::error::Error;
use crate::key::{Handle, KeyId, KeyRecord, OwnerId, Revision, ServerName, StatusKind};

/// A place where keys are kept.
///
/// # Contract
///
/// 1. Every successful [`insert`](Self::insert), [`replace`](Self::replace) and
///    [`delete`](Self::delete) takes the next revision, durably and atomically with its change,
///    and leaves one [`Change`] in the log and one [`AuditEntry`] of its [`Act`] in the trail. A
///    call that fails changes nothing.
/// 2. When a call has returned, every later read through the same store sees its effect, and a
///    crash does not undo it.
/// 3. A handle belongs to at most one key. `insert` and `replace` fail with
///    [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) rather than take another key's handle.
/// 4. `replace` succeeds only if the stored revision is `expected`; otherwise it fails with
///    `Conflict`, or `NotFound` if the key is gone.
/// 5. Records come back as they were written, with [`KeyRecord::revision`] set to the revision of
///    the write. A record that cannot be read back is
///    [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt), never a half-filled one.
/// 6. A store that cannot answer says [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable):
///    never "not found", never an empty list.
///
/// The suite in `testing::store` (feature `testing`) checks all of it.
///
/// # Implementing
///
/// The trait has no default bodies: a wrapper that forgets a method does not compile. See
/// `examples/custom_store.rs`.
#[async_trait]
pub trait KeyStore: fmt::Debug + Send + Sync + 'static {
    /// Adds a key. Returns the revision of the write.
    async fn insert(&self, record: &KeyRecord, act: &Act) -> Result<Revision, Error>;

    /// Reads a key by its id.
    async fn get(&self, id: KeyId) -> Result<Option<KeyRecord>, Error>;

    /// Reads the key that one of whose secrets has this handle.
    async fn find_by_handle(&self, handle: &str) -> Result<Option<KeyRecord>, Error>;

    /// Overwrites a key, if nobody has changed it since `expected`. Returns the new revision.
    async fn replace(
        &self,
        record: &KeyRecord,
        expected: Revision,
        act: &Act,
    ) -> Result<Revision, Error>;

    /// Overwrites what is derived from a key's secrets (hash, tag and verifier of its
    /// credentials), if the key is still of the record's revision.
    ///
    /// What the key is and may do stays the same, so this takes no revision and leaves no change
    /// in the log. `Conflict` if the key has changed, `NotFound` if it is gone.
    async fn amend(&self, record: &KeyRecord) -> Result<(), Error>;

    /// Removes a key for good. Returns whether there was one.
    async fn delete(&self, id: KeyId, act: &Act) -> Result<bool, Error>;

    /// Reads one page of the keys that match, ordered by id.
    async fn list(&self, filter: &KeyFilter, page: PageRequest) -> Result<Page, Error>;

    /// The revision of the last write; zero for a store never written to.
    async fn revision(&self) -> Result<Revision, Error>;

    /// Reads one page of the audit trail, newest first.
    async fn audit(&self, filter: &AuditFilter, page: AuditPage) -> Result<Vec<AuditEntry>, Error>;

    /// Reads up to `limit` changes after `since`, oldest first.
    async fn changes_since(&self, since: Revision, limit: usize) -> Result<ChangeLog, Error>;
}

macro_rules! forward_to_inner {
    ($($pointer:ty),+) => {$(
        #[async_trait]
        impl<T: KeyStore + ?Sized> KeyStore for $pointer {
            async fn insert(&self, record: &KeyRecord, act: &Act) -> Result<Revision, Error> {
                (**self).insert(record, act).await
            }

            async fn get(&self, id: KeyId) -> Result<Option<KeyRecord>, Error> {
                (**self).get(id).await
            }

            async fn find_by_handle(&self, handle: &str) -> Result<Option<KeyRecord>, Error> {
                (**self).find_by_handle(handle).await
            }

            async fn replace(&self, record: &KeyRecord, expected: Revision, act: &Act) -> Result<Revision, Error> {
                (**self).replace(record, expected, act).await
            }

            async fn amend(&self, record: &KeyRecord) -> Result<(), Error> {
                (**self).amend(record).await
            }

            async fn delete(&self, id: KeyId, act: &Act) -> Result<bool, Error> {
                (**self).delete(id, act).await
            }

            async fn list(&self, filter: &KeyFilter, page: PageRequest) -> Result<Page, Error> {
                (**self).list(filter, page).await
            }

            async fn revision(&self) -> Result<Revision, Error> {
                (**self).revision().await
            }

            async fn audit(
                &self,
                filter: &AuditFilter,
                page: AuditPage,
            ) -> Result<Vec<AuditEntry>, Error> {
                (**self).audit(filter, page).await
            }

            async fn changes_since(&self, since: Revision, limit: usize) -> Result<ChangeLog, Error> {
                (**self).changes_since(since, limit).await
            }
        }
    )+};
}

forward_to_inner!(Box<T>, std::sync::Arc<T>);

/// One line of the change log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "stores outside the crate build it"
)]
pub struct Change {
    /// The revision of the write.
    pub revision: Revision,
    /// The key that was inserted, replaced or deleted.
    pub key: KeyId,
}

/// An answer to [`KeyStore::changes_since`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a reader must handle every answer")]
pub enum ChangeLog {
    /// The changes after the given revision, oldest first, at most as many as asked for.
    Changes(Vec<Change>),
    /// The log no longer (or not yet) reaches the given revision: what changed is unknown, so
    /// everything may have. Holds the store's current revision.
    OutOfReach(Revision),
}

/// Which keys to list. The default matches all that are not revoked.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct KeyFilter {
    /// Only keys of this owner.
    pub owner: Option<OwnerId>,
    /// Only keys that name this server; keys for all servers match as well.
    pub server: Option<ServerName>,
    /// Only keys with this status.
    pub status: Option<StatusKind>,
    /// Only keys whose name contains this text, whatever the case of ASCII letters.
    pub name_contains: Option<String>,
    /// Only keys that expire before this time.
    pub expires_before: Option<Timestamp>,
    /// Revoked keys too. Asking for the status implies it.
    pub include_revoked: bool,
}

impl KeyFilter {
    /// Every key, the revoked ones included.
    pub fn all() -> Self {
        Self {
            include_revoked: true,
            ..Self::default()
        }
    }

    /// Whether `record` matches: the definition that every store's queries must agree with.
    pub fn matches(&self, record: &KeyRecord) -> bool {
        let status = record.status.kind();
        let status_fits = match self.status {
            Some(wanted) => status == wanted,
            None => self.include_revoked || status != StatusKind::Revoked,
        };
        status_fits
            && self
                .owner
                .as_ref()
                .is_none_or(|owner| record.owner.as_ref() == Some(owner))
            && self
                .server
                .as_ref()
                .is_none_or(|server| record.servers.contains(server))
            && self.name_contains.as_ref().is_none_or(|part| {
                record
                    .name
                    .to_ascii_lowercase()
                    .contains(&part.to_ascii_lowercase())
            })
            && self
                .expires_before
                .is_none_or(|end| record.expires_at.is_some_and(|at| at < end))
    }
}

/// Which page of a list to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a page is where it starts and how long it is"
)]
pub struct PageRequest {
    /// Start after this key; from the beginning if nothing.
    pub after: Option<KeyId>,
    /// At most this many keys; held within 1 to 1,000.
    pub size: usize,
}

impl PageRequest {
    /// The first page, of `size` keys.
    pub const fn first(size: usize) -> Self {
        Self { after: None, size }
    }

    /// The page of the same size after `key`.
    #[must_use]
    pub const fn after(self, key: KeyId) -> Self {
        Self {
            after: Some(key),
            size: self.size,
        }
    }

    /// The size, held within its bounds.
    pub fn bounded_size(&self) -> usize {
        self.size.clamp(1, 1_000)
    }
}

impl Default for PageRequest {
    fn default() -> Self {
        Self::first(100)
    }
}

/// Which entries of the audit trail to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a page is where it starts and how long it is"
)]
pub struct AuditPage {
    /// Only entries older than the one with this revision; from the newest on if nothing.
    pub before: Option<Revision>,
    /// At most this many entries; held within 1 to 1,000.
    pub size: usize,
}

impl AuditPage {
    /// The newest `size` entries.
    pub const fn newest(size: usize) -> Self {
        Self { before: None, size }
    }

    /// The page of the same size before `revision`.
    #[must_use]
    pub const fn before(self, revision: Revision) -> Self {
        Self {
            before: Some(revision),
            size: self.size,
        }
    }

    /// The size, held within its bounds.
    pub fn bounded_size(&self) -> usize {
        self.size.clamp(1, 1_000)
    }
}

/// One page of a list.
#[derive(Clone, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "stores outside the crate build it"
)]
pub struct Page {
    /// The keys, ordered by id.
    pub records: Vec<KeyRecord>,
    /// Where the next page starts; nothing if this is the last.
    pub next: Option<KeyId>,
}

/// The handles of a record, as the index of a store needs them.
pub(crate) fn handles(record: &KeyRecord) -> impl Iterator<Item = &Handle> {
    record
        .credentials
        .iter()
        .map(|credential| &credential.handle)
}
