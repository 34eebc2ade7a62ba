//! Where keys are kept: the [`KeyStore`] contract and its implementations.
//!
//! A store keeps [`KeyRecord`]s, finds them by id and by handle, and keeps a **change log**: every
//! write takes the next [`Revision`] from one counter, in the same transaction, so the order of
//! revisions is the order of commits. Nodes read the log to learn what others changed.
//!
//! Beside the keys it keeps [`Document`]s (the definitions of owners and plans, and what connections
//! are made from, under the same revisions), when each secret was last used, and how much of each quota was taken. The last two
//! change with use: they take no revision and stand in no trail.

mod bell;
mod filter;
mod ledger;
mod letters;
#[cfg(any(feature = "postgres", feature = "redis"))]
pub(crate) mod line;
mod memory;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod rows;
#[cfg(feature = "sqlite")]
mod sqlite;

use std::fmt;

use async_trait::async_trait;
use serde_json::Value;

pub use self::bell::ChangeBell;
pub use self::filter::{AuditPage, DocumentPage, KeyFilter, Page, PageRequest};
pub use self::ledger::{QuotaAccount, QuotaLedger, Taken};
pub use self::letters::{DeadLetter, DeadLetters, LetterLedger};
pub use self::memory::MemoryStore;
#[cfg(feature = "postgres")]
pub use self::postgres::PostgresStore;
#[cfg(feature = "sqlite")]
pub use self::sqlite::SqliteStore;
use crate::audit::{Act, AuditEntry, AuditFilter};
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind};
use crate::key::{CredentialId, Handle, KeyId, KeyRecord, Revision, Subject, SubjectKind};

/// A place where keys are kept.
///
/// # Contract
///
/// 1. Every successful [`insert`](Self::insert), [`replace`](Self::replace),
///    [`delete`](Self::delete), [`put_document`](Self::put_document) and
///    [`remove_document`](Self::remove_document) takes the next revision, durably and atomically
///    with its change, and leaves one [`Change`] in the log and one [`AuditEntry`] of its [`Act`]
///    in the trail. A call that fails changes nothing.
/// 2. When a call has returned, every later read through the same store sees its effect, and a
///    crash does not undo it.
/// 3. A handle belongs to at most one key. `insert` and `replace` fail with
///    [`ErrorKind::Conflict`] rather than take another key's handle.
/// 4. `replace` succeeds only if the stored revision is `expected`; otherwise it fails with
///    `Conflict`, or `NotFound` if the key is gone.
/// 5. Records come back as they were written, with [`KeyRecord::revision`] set to the revision of
///    the write. A record that cannot be read back is
///    [`ErrorKind::Corrupt`], never a half-filled one.
/// 6. A document that a key names, as its owner or its plan, is not removed: `remove_document`
///    fails with `Conflict` while there is such a key that is not revoked.
/// 7. A store that cannot answer says [`ErrorKind::Unavailable`]:
///    never "not found", never an empty list.
///
/// The suite in `testing::store` (feature `testing`) checks all of it.
///
/// # Implementing
///
/// The trait has no default bodies: a wrapper that forgets a method does not compile. See
/// `examples/custom_store.rs`.
#[async_trait]
pub trait KeyStore: QuotaLedger + fmt::Debug + Send + Sync + 'static {
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

    /// Removes a key for good, with its uses and what it took of its quotas. Returns whether there
    /// was one.
    async fn delete(&self, id: KeyId, act: &Act) -> Result<bool, Error>;

    /// Reads one page of the keys that match, ordered by id.
    async fn list(&self, filter: &KeyFilter, page: PageRequest) -> Result<Page, Error>;

    /// The revision of the last write; zero for a store never written to.
    async fn revision(&self) -> Result<Revision, Error>;

    /// Reads one page of the audit trail, newest first.
    async fn audit(&self, filter: &AuditFilter, page: AuditPage) -> Result<Vec<AuditEntry>, Error>;

    /// Reads up to `limit` changes after `since`, oldest first.
    async fn changes_since(&self, since: Revision, limit: usize) -> Result<ChangeLog, Error>;

    /// Something that rings when others have written, for a node that follows the log; nothing if
    /// the store has no such thing. The node reads the log from time to time in any case.
    fn change_bell(&self) -> Option<Box<dyn ChangeBell>>;

    /// Reads a document. A key is none: there is nothing under its id.
    async fn document(&self, subject: &Subject) -> Result<Option<Document>, Error>;

    /// Writes a document, if the stored one is still of the document's revision; revision zero
    /// means that there must be none. Otherwise `Conflict`, or `NotFound` if it is gone. Returns
    /// the new revision.
    async fn put_document(&self, document: &Document, act: &Act) -> Result<Revision, Error>;

    /// Removes a document, if it is still of the revision `expected`. `Conflict` if not, or if a
    /// key names it; `NotFound` if there is none.
    async fn remove_document(
        &self,
        subject: &Subject,
        expected: Revision,
        act: &Act,
    ) -> Result<Revision, Error>;

    /// Reads one page of the documents of a kind, in the order of their names' bytes.
    async fn documents(
        &self,
        kind: SubjectKind,
        page: &DocumentPage,
    ) -> Result<Vec<Document>, Error>;

    /// Notes when secrets were used. An earlier time than the noted one changes nothing, nor does a
    /// key that is gone.
    async fn note_uses(&self, uses: &[KeyUse]) -> Result<(), Error>;

    /// Reads when the secrets of these keys were last used, in no particular order.
    async fn uses(&self, keys: &[KeyId]) -> Result<Vec<KeyUse>, Error>;
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

            fn change_bell(&self) -> Option<Box<dyn ChangeBell>> {
                (**self).change_bell()
            }

            async fn document(&self, subject: &Subject) -> Result<Option<Document>, Error> {
                (**self).document(subject).await
            }

            async fn put_document(&self, document: &Document, act: &Act) -> Result<Revision, Error> {
                (**self).put_document(document, act).await
            }

            async fn remove_document(&self, subject: &Subject, expected: Revision, act: &Act) -> Result<Revision, Error> {
                (**self).remove_document(subject, expected, act).await
            }

            async fn documents(&self, kind: SubjectKind, page: &DocumentPage) -> Result<Vec<Document>, Error> {
                (**self).documents(kind, page).await
            }

            async fn note_uses(&self, uses: &[KeyUse]) -> Result<(), Error> {
                (**self).note_uses(uses).await
            }

            async fn uses(&self, keys: &[KeyId]) -> Result<Vec<KeyUse>, Error> {
                (**self).uses(keys).await
            }
        }
    )+};
}

forward_to_inner!(Box<T>, std::sync::Arc<T>);

/// One line of the change log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "stores outside the crate build it"
)]
pub struct Change {
    /// The revision of the write.
    pub revision: Revision,
    /// What was written or removed.
    pub subject: Subject,
    /// A number drawn for this write alone. By it a node finds out that the store was restored from
    /// a backup and written to since: the revision is there again, and is another write. Zero in a
    /// store that cannot be restored.
    pub stamp: u64,
}

/// What a store keeps beside the keys: the definition of an owner or a plan, a program that has
/// registered, or what was consented to for an authorization code.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "stores outside the crate build it"
)]
pub struct Document {
    /// What it is about.
    pub subject: Subject,
    /// What it says. It holds no secret.
    pub body: Value,
    /// Which write it is; for one that is about to be written, which one it replaces.
    pub revision: Revision,
}

/// That a secret of a key was presented and accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "stores outside the crate build it"
)]
pub struct KeyUse {
    /// The key.
    pub key: KeyId,
    /// Which of its secrets.
    pub credential: CredentialId,
    /// When, the last time.
    pub at: Timestamp,
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

/// The handles of a record, as the index of a store needs them.
pub(crate) fn handles(record: &KeyRecord) -> impl Iterator<Item = &Handle> {
    record
        .credentials
        .iter()
        .map(|credential| &credential.handle)
}

fn no_document() -> Error {
    Error::new(ErrorKind::NotFound, "there is no such definition")
}

fn document_changed() -> Error {
    conflict("the definition has changed since it was read")
}

fn in_use() -> Error {
    conflict("there are keys that name it; revoke them or change them first")
}

fn conflict(message: &'static str) -> Error {
    Error::new(ErrorKind::Conflict, message)
}
