//! Keys in a PostgreSQL database, for many nodes.
//!
//! 1. **What a call has returned from survives a crash of the server**, as far as the server waits for
//!    its disk: one with `synchronous_commit=off` is refused, one with `fsync=off` is warned of.
//! 2. **Writes happen one after the other**, of all nodes: each holds the one row of a counter until
//!    its commit, for four or five round trips and a write to disk. That is some hundred writes in a
//!    second where the server is near. Use and quotas are noted without it, and readers never wait.
//! 3. **A call takes five seconds at most**, and then says `Unavailable`. The server is told to give
//!    up by then too. A connection whose other end is gone is closed, not used again, and so are the
//!    idle ones beside it. A replica is not written to, and its change log is not believed.
//! 4. **Other nodes know of a change within milliseconds.** Each write announces itself with its
//!    commit by NOTIFY, for the whole of the store: the nodes read the change log then. A word that is
//!    lost costs no more than the time until the next poll. The log is read on a connection of its
//!    own, so busy lookups do not stop it.
//! 5. **No value reaches a log or an error message** of this program: statements are not logged, and
//!    of an error's detail, which may quote a row, nothing is kept.
//!
//! PostgreSQL 13 or newer. Every table is named `api_key…`, in the first schema of the search path, so
//! they live well beside those of a program.

mod alerts;
mod bell;
mod connect;
mod documents;
mod fault;
mod lease;
mod letters;
mod list;
mod migrate;
mod series;
mod trail;
mod usage;
mod write;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use sqlx::{PgPool, query_as};
use tokio::sync::Mutex;

use self::bell::bell;
use self::connect::Pools;
use self::fault::failed;
use self::lease::{Lease, bounded};
use self::write::Write;
use super::rows::{Row, selecting};
use super::{
    AuditPage, ChangeBell, ChangeLog, Document, DocumentPage, KeyFilter, KeyStore, KeyUse, Page,
    PageRequest,
};
use crate::audit::{Act, AuditEntry, AuditFilter};
use crate::error::Error;
use crate::key::{KeyId, KeyRecord, Revision, Subject, SubjectKind};

/// A [`KeyStore`] in a PostgreSQL database. Clones share one pool of connections.
///
/// A store holds up to ten connections for its calls, one for the change log, and one more that
/// listens, for each [`ApiKeys`](crate::ApiKeys) over it.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use mcp_api_keys::{ApiKeys, store::PostgresStore};
///
/// let store = PostgresStore::connect("postgres://gate@db.internal/keys?sslmode=verify-full").await?;
/// let keys = ApiKeys::builder(store).build().await?;
/// let layer = keys.layer().server("files");
/// # let _ = layer;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct PostgresStore {
    pool: PgPool,
    /// For the change log alone.
    log: PgPool,
    /// Where writes are announced.
    channel: Arc<str>,
    /// Held by whoever writes.
    turn: Arc<Mutex<()>>,
}

impl PostgresStore {
    /// Opens the database at `url` and brings the store's tables up to date.
    ///
    /// `postgres://USER:PASSWORD@HOST:PORT/DATABASE`, with the parameters that libpq knows. Use
    /// `?sslmode=verify-full` across a network: by default TLS is used if the server offers it, and
    /// nobody checks who the server is. `?options=-csearch_path=keys` puts the tables into a schema
    /// of their own, which has to exist. Passwords are better placed in `PGPASSWORD`.
    ///
    /// A pooler in transaction mode has to keep track of prepared statements (PgBouncer 1.21 with
    /// `max_prepared_statements`) and to accept the startup parameter `options`. Notifications do not
    /// pass through it: the store says so in its log, and changes made elsewhere are found by polling.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if `url` is no such address, its user,
    /// password, database or schema is refused, or the server does not write commits to disk;
    /// [`Corrupt`](crate::ErrorKind::Corrupt) if a newer version of this crate has written to the
    /// database; [`Unavailable`](crate::ErrorKind::Unavailable) if it does not answer.
    pub async fn connect(url: &str) -> Result<Self, Error> {
        connect::open(url).await.map(Self::new)
    }

    /// Uses a pool of your own, and brings the store's tables in its database up to date.
    ///
    /// The store bounds the time of its calls as ever. Bound that of the server's statements and
    /// transactions yourself, with `statement_timeout` and `idle_in_transaction_session_timeout`: a
    /// transaction that a dead program has left open may hold up every write. Two connections
    /// beside the pool, of the same options, are for the change log and for listening.
    ///
    /// ```no_run
    /// use mcp_api_keys::store::PostgresStore;
    /// use sqlx::postgres::PgPoolOptions;
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let pool = PgPoolOptions::new().max_connections(20).connect("postgres:///app").await?;
    /// let store = PostgresStore::with_pool(pool.clone()).await?;
    /// # let _ = store;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    pub async fn with_pool(pool: PgPool) -> Result<Self, Error> {
        connect::prepare(pool).await.map(Self::new)
    }

    fn new(pools: Pools) -> Self {
        Self {
            pool: pools.main,
            log: pools.log,
            channel: pools.channel.into(),
            turn: Arc::default(),
        }
    }

    /// The store's connections, for tables of your own in the same database.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Waits for the calls under way and closes the connections, those of a pool that was handed in
    /// as well. Later calls fail with [`Unavailable`](crate::ErrorKind::Unavailable).
    pub async fn close(&self) {
        self.log.close().await;
        self.pool.close().await;
    }

    async fn lease(&self) -> Result<Lease, Error> {
        Lease::of(&self.pool).await
    }

    /// A connection for the change log. One that does not answer is a sign that others do not either.
    async fn log_lease(&self) -> Result<Lease, Error> {
        Lease::impatient(&self.log, &self.pool).await
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").finish_non_exhaustive()
    }
}

#[async_trait]
impl KeyStore for PostgresStore {
    async fn insert(&self, record: &KeyRecord, act: &Act) -> Result<Revision, Error> {
        bounded(async {
            let mut write = Write::begin(self).await?;
            write.insert(record).await?;
            write.put_names(record).await?;
            write.commit(&record.id.into(), act).await
        })
        .await
    }

    async fn get(&self, id: KeyId) -> Result<Option<KeyRecord>, Error> {
        bounded(async {
            let mut lease = self.lease().await?;
            let row: Option<Row> = query_as(selecting!("FROM api_keys k WHERE k.id = $1"))
                .bind(id.to_string())
                .fetch_optional(lease.connection()?)
                .await
                .map_err(failed)?;
            row.map(Row::into_record).transpose()
        })
        .await
    }

    async fn find_by_handle(&self, handle: &str) -> Result<Option<KeyRecord>, Error> {
        if handle.contains('\0') {
            // No handle holds one.
            return Ok(None);
        }
        bounded(async {
            let mut lease = self.lease().await?;
            let row: Option<Row> = query_as(selecting!(
                "FROM api_key_handles h JOIN api_keys k ON k.id = h.key_id WHERE h.handle = $1"
            ))
            .bind(handle)
            .fetch_optional(lease.connection()?)
            .await
            .map_err(failed)?;
            row.map(|row| row.into_record_of(handle)).transpose()
        })
        .await
    }

    async fn replace(
        &self,
        record: &KeyRecord,
        expected: Revision,
        act: &Act,
    ) -> Result<Revision, Error> {
        bounded(async {
            let mut write = Write::begin(self).await?;
            write.update(record, expected).await?;
            write.put_names(record).await?;
            write.commit(&record.id.into(), act).await
        })
        .await
    }

    async fn amend(&self, record: &KeyRecord) -> Result<(), Error> {
        bounded(write::amend(self, record)).await
    }

    async fn delete(&self, id: KeyId, act: &Act) -> Result<bool, Error> {
        bounded(async {
            let mut write = Write::begin(self).await?;
            if !write.delete(id).await? {
                return Ok(false);
            }
            series::forget(write.connection()?, id, act.at).await?;
            write.commit(&id.into(), act).await.map(|_| true)
        })
        .await
    }

    async fn list(&self, filter: &KeyFilter, wanted: PageRequest) -> Result<Page, Error> {
        bounded(list::list(self, filter, wanted)).await
    }

    async fn audit(&self, filter: &AuditFilter, page: AuditPage) -> Result<Vec<AuditEntry>, Error> {
        bounded(trail::read(self, filter, page)).await
    }

    async fn revision(&self) -> Result<Revision, Error> {
        bounded(list::revision(self)).await
    }

    async fn changes_since(&self, since: Revision, limit: usize) -> Result<ChangeLog, Error> {
        bounded(list::changes_since(self, since, limit)).await
    }

    fn change_bell(&self) -> Option<Box<dyn ChangeBell>> {
        Some(Box::new(bell(self.pool.clone(), self.channel.to_string())))
    }

    async fn document(&self, subject: &Subject) -> Result<Option<Document>, Error> {
        bounded(documents::read(self, subject)).await
    }

    async fn put_document(&self, document: &Document, act: &Act) -> Result<Revision, Error> {
        bounded(documents::put(self, document, act)).await
    }

    async fn remove_document(
        &self,
        subject: &Subject,
        expected: Revision,
        act: &Act,
    ) -> Result<Revision, Error> {
        bounded(documents::remove(self, subject, expected, act)).await
    }

    async fn documents(
        &self,
        kind: SubjectKind,
        page: &DocumentPage,
    ) -> Result<Vec<Document>, Error> {
        bounded(documents::list(self, kind, page)).await
    }

    async fn note_uses(&self, uses: &[KeyUse]) -> Result<(), Error> {
        bounded(usage::note(self, uses)).await
    }

    async fn uses(&self, keys: &[KeyId]) -> Result<Vec<KeyUse>, Error> {
        bounded(usage::read(self, keys)).await
    }
}
