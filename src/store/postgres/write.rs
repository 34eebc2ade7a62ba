//! A write under way.
//!
//! Whoever writes first takes the row of the counter and holds it until the commit. So writes, of all
//! programs, happen one after the other: what is read after that is not changed by anybody, and
//! revisions are committed in their order. A write holds the row for four or five round trips to the
//! server and the server's write to its disk; that bounds how many there can be in a second.

use sqlx::postgres::{PgArguments, PgQueryResult};
use sqlx::query::Query;
use sqlx::{PgConnection, Postgres, query, query_scalar};
use tokio::sync::MutexGuard;

use super::PostgresStore;
use super::fault::failed;
use super::lease::Lease;
use super::trail;
use crate::audit::Act;
use crate::error::{Error, ErrorKind};
use crate::key::{KeyId, KeyRecord, Revision, Subject};
use crate::store::rows::{self, Columns, json_of};

/// How many changes are remembered. A reader that missed more must read everything again.
const LOG_LENGTH: u64 = 100_000;

/// Every how many writes older changes are removed.
const PRUNE_EVERY: u64 = 1_000;

/// Overwrites a record within its revision: one statement, no entry in the log.
pub(super) async fn amend(store: &PostgresStore, record: &KeyRecord) -> Result<(), Error> {
    let mut lease = store.lease().await?;
    let id = record.id.to_string();
    let amended = query("UPDATE api_keys SET record = $2 WHERE id = $1 AND revision = $3")
        .bind(&id)
        .bind(json_of(record, record.revision)?)
        .bind(rows::number(record.revision))
        .execute(lease.connection()?)
        .await;
    if lease.judge(amended)?.rows_affected() > 0 {
        return Ok(());
    }
    let exists: Option<i32> = query_scalar("SELECT 1 FROM api_keys WHERE id = $1")
        .bind(&id)
        .fetch_optional(lease.connection()?)
        .await
        .map_err(failed)?;
    Err(match exists {
        None => Error::new(ErrorKind::NotFound, "there is no such key"),
        Some(_) => changed(),
    })
}

/// A transaction that holds the next revision. Dropped, it changes nothing.
pub(super) struct Write<'a> {
    // Declared before the turn, so that its end is under way when the next writer begins.
    lease: Lease,
    revision: Revision,
    store: &'a PostgresStore,
    /// One write of this program after another: those that wait for the counter would otherwise hold
    /// a connection each, and none would be left for lookups.
    _turn: MutexGuard<'a, ()>,
}

impl<'a> Write<'a> {
    pub(super) async fn begin(store: &'a PostgresStore) -> Result<Self, Error> {
        let turn = store.turn.lock().await;
        let mut lease = store.lease().await?;
        lease.begin().await?;
        let next = "UPDATE api_key_counter SET revision = revision + 1 RETURNING revision";
        let number = query_scalar(next).fetch_one(lease.connection()?).await;
        let number = lease.judge(number)?;
        Ok(Self {
            lease,
            revision: rows::revision(number)?,
            store,
            _turn: turn,
        })
    }

    pub(super) async fn insert(&mut self, record: &KeyRecord) -> Result<(), Error> {
        let columns = Columns::of(record);
        let inserted = query(
            "INSERT INTO api_keys
                 (id, revision, name, owner, plan, client, status, all_servers, created_at,
                  expires_at, record)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
             ON CONFLICT DO NOTHING",
        );
        match self.put(inserted, columns, record).await?.rows_affected() {
            0 => Err(Error::new(
                ErrorKind::Conflict,
                "a key with this id exists already",
            )),
            _ => Ok(()),
        }
    }

    /// Overwrites a key, and frees its handles and servers.
    pub(super) async fn update(
        &mut self,
        record: &KeyRecord,
        expected: Revision,
    ) -> Result<(), Error> {
        let columns = Columns::of(record);
        self.expect(&columns.id, expected).await?;
        let updated = query(
            "WITH handles AS (DELETE FROM api_key_handles WHERE key_id = $1),
                  servers AS (DELETE FROM api_key_servers WHERE key_id = $1)
             UPDATE api_keys
             SET revision = $2, name = $3, owner = $4, plan = $5, client = $6, status = $7,
                 all_servers = $8, created_at = $9, expires_at = $10, record = $11
             WHERE id = $1",
        );
        self.put(updated, columns, record).await.map(drop)
    }

    async fn put(
        &mut self,
        statement: Query<'_, Postgres, PgArguments>,
        columns: Columns,
        record: &KeyRecord,
    ) -> Result<PgQueryResult, Error> {
        statement
            .bind(columns.id)
            .bind(rows::number(self.revision))
            .bind(columns.name)
            .bind(columns.owner)
            .bind(columns.plan)
            .bind(columns.client)
            .bind(columns.status)
            .bind(columns.all_servers)
            .bind(columns.created_at)
            .bind(columns.expires_at)
            .bind(json_of(record, self.revision)?)
            .execute(self.connection()?)
            .await
            .map_err(failed)
    }

    async fn expect(&mut self, id: &str, expected: Revision) -> Result<(), Error> {
        let stored: Option<i64> = query_scalar("SELECT revision FROM api_keys WHERE id = $1")
            .bind(id)
            .fetch_optional(self.connection()?)
            .await
            .map_err(failed)?;
        match stored.map(rows::revision).transpose()? {
            None => Err(Error::new(ErrorKind::NotFound, "there is no such key")),
            Some(revision) if revision != expected => Err(changed()),
            Some(_) => Ok(()),
        }
    }

    /// Deletes a key, and with it what refers to it.
    pub(super) async fn delete(&mut self, id: KeyId) -> Result<bool, Error> {
        let deleted = query("DELETE FROM api_keys WHERE id = $1")
            .bind(id.to_string())
            .execute(self.connection()?)
            .await
            .map_err(failed)?;
        Ok(deleted.rows_affected() > 0)
    }

    /// Makes the record findable by its handles and servers.
    pub(super) async fn put_names(&mut self, record: &KeyRecord) -> Result<(), Error> {
        let handles: Vec<_> = rows::handles_of(record).into_iter().collect();
        query(
            "WITH servers AS (
                 INSERT INTO api_key_servers (key_id, server) SELECT $1, unnest($3::TEXT[]))
             INSERT INTO api_key_handles (handle, key_id) SELECT unnest($2::TEXT[]), $1",
        )
        .bind(record.id.to_string())
        .bind(handles)
        .bind(rows::servers_of(record))
        .execute(self.connection()?)
        .await
        .map_err(failed)?;
        Ok(())
    }

    /// The connection that the write is made on.
    pub(super) fn connection(&mut self) -> Result<&mut PgConnection, Error> {
        self.lease.connection()
    }

    /// The revision that the write will have.
    pub(super) fn revision(&self) -> Revision {
        self.revision
    }

    pub(super) async fn commit(mut self, subject: &Subject, act: &Act) -> Result<Revision, Error> {
        let revision = self.revision;
        let channel = self.store.channel.clone();
        trail::add(self.connection()?, revision, subject, act, &channel).await?;
        if revision.as_u64().is_multiple_of(PRUNE_EVERY) {
            let kept_after = revision.as_u64().saturating_sub(LOG_LENGTH);
            query("DELETE FROM api_key_changes WHERE revision <= $1")
                .bind(rows::number(Revision::new(kept_after)))
                .execute(self.connection()?)
                .await
                .map_err(failed)?;
        }
        self.lease.commit().await?;
        Ok(revision)
    }
}

fn changed() -> Error {
    Error::new(ErrorKind::Conflict, "the key has changed since it was read")
}
