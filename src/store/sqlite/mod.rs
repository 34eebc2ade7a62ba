//! Keys in a SQLite database: one file, no server, for one machine.
//!
//! 1. **What a call has returned from survives a power cut.** The database is in WAL mode with
//!    `synchronous=FULL`; with less, a cut could bring a revoked key back.
//! 2. **Writers queue, readers do not wait.** The writes of one store take turns, those of several
//!    stores and processes wait for each other up to five seconds.
//! 3. **The file is its owner's alone.** A file that the store creates has mode 0600, and so have
//!    the `-wal` and `-shm` files beside it. One that exists keeps the mode it has.
//! 4. **No value reaches a log or an error message**: statements are not logged, and hashes are in
//!    bound parameters only.
//!
//! The file must be on a local disk: WAL does not work over network file systems. Every table is
//! named `api_key…`, so they live well beside those of a program.

mod alerts;
mod connect;
mod documents;
mod fault;
mod letters;
mod list;
mod series;
mod trail;
mod usage;
mod write;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use sqlx::{SqlitePool, query, query_as, query_scalar};
use tokio::sync::Mutex;

use self::fault::failed;
use self::write::Write;
use super::rows::{self, LogRow, Row, change_log, selecting};
use super::{
    AuditPage, ChangeBell, ChangeLog, Document, DocumentPage, KeyFilter, KeyStore, KeyUse, Page,
    PageRequest,
};
use crate::audit::{Act, AuditEntry, AuditFilter};
use crate::error::Error;
use crate::key::{KeyId, KeyRecord, Revision, Subject, SubjectKind};

/// A [`KeyStore`] in a SQLite database. Clones share one pool of connections.
///
/// ```
/// use mcp_api_keys::Timestamp;
/// use mcp_api_keys::audit::{Act, AuditAction};
/// use mcp_api_keys::key::{Credential, CredentialId, KeyId, KeyRecord};
/// use mcp_api_keys::store::{KeyStore, SqliteStore};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("keys.db");
/// # let path = path.display();
/// let store = SqliteStore::connect(&format!("sqlite://{path}")).await?;
///
/// let now = Timestamp::from_millis(1_785_232_800_000);
/// let mut record = KeyRecord::new(KeyId::generate(now), "nightly backup", now);
/// let act = Act::new(AuditAction::Issued, "ada", now);
/// let handle = "ATgKlpEa".parse()?;
/// let secret = Credential::new(CredentialId::FIRST, handle, "mcp_sk_", "a hash", now);
/// record.credentials.push(secret);
///
/// store.insert(&record, &act).await?;
/// let found = store.find_by_handle("ATgKlpEa").await?.ok_or("the key is gone")?;
/// assert_eq!(found.name, "nightly backup");
///
/// store.close().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct SqliteStore {
    pool: SqlitePool,
    /// Held by whoever writes. SQLite would let a second writer poll for its turn, in no order and
    /// on a connection that a reader could use.
    turn: Arc<Mutex<()>>,
}

impl SqliteStore {
    /// Opens the database at `url`, creates the file if there is none, and brings its tables up to
    /// date.
    ///
    /// `sqlite:keys.db` is in the working folder, `sqlite:///var/lib/keys.db` is an absolute path,
    /// and `sqlite::memory:` is a database that lasts as long as the store.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if `url` is no such address or its folder
    /// does not exist, [`Corrupt`](crate::ErrorKind::Corrupt) if the file is no database or a newer
    /// version of this crate has written it, [`Unavailable`](crate::ErrorKind::Unavailable) if it
    /// cannot be opened.
    pub async fn connect(url: &str) -> Result<Self, Error> {
        Ok(Self::new(connect::open(url).await?))
    }

    /// Uses a pool of your own, and brings the store's tables in its database up to date.
    ///
    /// ```
    /// use mcp_api_keys::store::SqliteStore;
    /// use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqliteSynchronous};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("app.db");
    /// let options = SqliteConnectOptions::new()
    ///     .filename(path)
    ///     .create_if_missing(true)
    ///     .journal_mode(SqliteJournalMode::Wal)
    ///     .synchronous(SqliteSynchronous::Full);
    /// let pool = SqlitePool::connect_with(options).await?;
    /// let store = SqliteStore::with_pool(pool.clone()).await?;
    /// # store.close().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if the pool's connections would let a power
    /// cut undo a write: use WAL mode and `synchronous=FULL`. Otherwise as
    /// [`connect`](Self::connect).
    pub async fn with_pool(pool: SqlitePool) -> Result<Self, Error> {
        connect::check_durability(&pool).await?;
        connect::migrate(&pool).await?;
        Ok(Self::new(pool))
    }

    fn new(pool: SqlitePool) -> Self {
        Self {
            pool,
            turn: Arc::default(),
        }
    }

    /// The store's connections, for backups and for tables of your own in the same database.
    pub fn pool(&self) -> &SqlitePool {
        &self.pool
    }

    /// Waits for the calls under way, moves the write-ahead log into the file and closes the pool,
    /// one that was handed in as well. Later calls fail with
    /// [`Unavailable`](crate::ErrorKind::Unavailable).
    ///
    /// # Errors
    ///
    /// [`Unavailable`](crate::ErrorKind::Unavailable) if the log could not be moved. Nothing is lost
    /// then: it is read when the file is opened again. The pool is closed in any case.
    pub async fn close(&self) -> Result<(), Error> {
        if self.pool.is_closed() {
            return Ok(());
        }
        let moved = query("PRAGMA wal_checkpoint(TRUNCATE)")
            .execute(&self.pool)
            .await;
        self.pool.close().await;
        moved.map(drop).map_err(failed)
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").finish_non_exhaustive()
    }
}

#[async_trait]
impl KeyStore for SqliteStore {
    async fn insert(&self, record: &KeyRecord, act: &Act) -> Result<Revision, Error> {
        let mut write = Write::begin(self).await?;
        write.insert(record).await?;
        write.put_names(record).await?;
        write.commit(&record.id.into(), act).await
    }

    async fn get(&self, id: KeyId) -> Result<Option<KeyRecord>, Error> {
        let row: Option<Row> = query_as(selecting!("FROM api_keys k WHERE k.id = ?1"))
            .bind(id.to_string())
            .fetch_optional(&self.pool)
            .await
            .map_err(failed)?;
        row.map(Row::into_record).transpose()
    }

    async fn find_by_handle(&self, handle: &str) -> Result<Option<KeyRecord>, Error> {
        let row: Option<Row> = query_as(selecting!(
            "FROM api_key_handles h JOIN api_keys k ON k.id = h.key_id WHERE h.handle = ?1"
        ))
        .bind(handle)
        .fetch_optional(&self.pool)
        .await
        .map_err(failed)?;
        row.map(|row| row.into_record_of(handle)).transpose()
    }

    async fn replace(
        &self,
        record: &KeyRecord,
        expected: Revision,
        act: &Act,
    ) -> Result<Revision, Error> {
        let mut write = Write::begin(self).await?;
        write.update(record, expected).await?;
        write.forget_names(record.id).await?;
        write.put_names(record).await?;
        write.commit(&record.id.into(), act).await
    }

    async fn amend(&self, record: &KeyRecord) -> Result<(), Error> {
        write::amend(self, record).await
    }

    async fn delete(&self, id: KeyId, act: &Act) -> Result<bool, Error> {
        let mut write = Write::begin(self).await?;
        write.forget_names(id).await?;
        write.forget_use(id).await?;
        series::forget(write.connection(), id, act.at).await?;
        if !write.delete(id).await? {
            return Ok(false);
        }
        write.commit(&id.into(), act).await.map(|_| true)
    }

    async fn list(&self, filter: &KeyFilter, wanted: PageRequest) -> Result<Page, Error> {
        list::list(&self.pool, filter, wanted).await
    }

    async fn audit(&self, filter: &AuditFilter, page: AuditPage) -> Result<Vec<AuditEntry>, Error> {
        trail::read(self, filter, page).await
    }

    async fn revision(&self) -> Result<Revision, Error> {
        let number: i64 = query_scalar("SELECT revision FROM api_key_counter")
            .fetch_one(&self.pool)
            .await
            .map_err(failed)?;
        rows::revision(number)
    }

    async fn changes_since(&self, since: Revision, limit: usize) -> Result<ChangeLog, Error> {
        // One statement, so that counter and log are of one moment. It reads at least one change,
        // which tells whether the log still reaches `since`.
        let rows: Vec<LogRow> = query_as(
            "SELECT n.revision AS newest, c.revision, c.subject, c.stamp
             FROM api_key_counter n
             LEFT JOIN (
                 SELECT revision, subject, stamp FROM api_key_changes
                 WHERE revision > ?1 ORDER BY revision LIMIT ?2) c
             ORDER BY c.revision",
        )
        .bind(i64::try_from(since.as_u64()).unwrap_or(i64::MAX))
        .bind(i64::try_from(limit).unwrap_or(i64::MAX).max(1))
        .fetch_all(&self.pool)
        .await
        .map_err(failed)?;
        change_log(&rows, since, limit)
    }

    fn change_bell(&self) -> Option<Box<dyn ChangeBell>> {
        None
    }

    async fn document(&self, subject: &Subject) -> Result<Option<Document>, Error> {
        documents::read(self, subject).await
    }

    async fn put_document(&self, document: &Document, act: &Act) -> Result<Revision, Error> {
        documents::put(self, document, act).await
    }

    async fn remove_document(
        &self,
        subject: &Subject,
        expected: Revision,
        act: &Act,
    ) -> Result<Revision, Error> {
        documents::remove(self, subject, expected, act).await
    }

    async fn documents(
        &self,
        kind: SubjectKind,
        page: &DocumentPage,
    ) -> Result<Vec<Document>, Error> {
        documents::list(self, kind, page).await
    }

    async fn note_uses(&self, uses: &[KeyUse]) -> Result<(), Error> {
        usage::note(self, uses).await
    }

    async fn uses(&self, keys: &[KeyId]) -> Result<Vec<KeyUse>, Error> {
        usage::read(self, keys).await
    }
}
