//! A write under way.

use sqlx::{Sqlite, SqliteConnection, Transaction, query, query_scalar};
use tokio::sync::MutexGuard;
use tokio::time::timeout;

use super::fault::{failed, handle_taken};
use super::{SqliteStore, connect, trail};
use crate::audit::Act;
use crate::error::{Error, ErrorKind};
use crate::key::{KeyId, KeyRecord, Revision, Subject};
use crate::store::rows::{self, Columns, json_of, to_json};

/// How many changes are remembered. A reader that missed more must read everything again.
const LOG_LENGTH: u64 = 100_000;

/// Every how many writes older changes are removed.
const PRUNE_EVERY: u64 = 1_000;

/// One write of this process after another, rather than many that find the database locked.
pub(super) async fn turn(store: &SqliteStore) -> Result<MutexGuard<'_, ()>, Error> {
    timeout(connect::PATIENCE, store.turn.lock())
        .await
        .map_err(|late| {
            Error::new(ErrorKind::Unavailable, "too many writes are waiting").with_source(late)
        })
}

/// Overwrites a record within its revision: one statement, no entry in the log.
pub(super) async fn amend(store: &SqliteStore, record: &KeyRecord) -> Result<(), Error> {
    let _turn = turn(store).await?;
    let id = record.id.to_string();
    let amended = query("UPDATE api_keys SET record = ?2 WHERE id = ?1 AND revision = ?3")
        .bind(&id)
        .bind(json_of(record, record.revision)?)
        .bind(rows::number(record.revision))
        .execute(&store.pool)
        .await
        .map_err(failed)?;
    if amended.rows_affected() > 0 {
        return Ok(());
    }
    let exists: Option<i64> = query_scalar("SELECT 1 FROM api_keys WHERE id = ?1")
        .bind(&id)
        .fetch_optional(&store.pool)
        .await
        .map_err(failed)?;
    Err(match exists {
        None => Error::new(ErrorKind::NotFound, "there is no such key"),
        Some(_) => Error::new(ErrorKind::Conflict, "the key has changed since it was read"),
    })
}

/// A transaction that holds the next revision. Dropped, it changes nothing.
pub(super) struct Write<'a> {
    // Declared before the turn, so that its end is under way when the next writer begins.
    transaction: Transaction<'static, Sqlite>,
    revision: Revision,
    _turn: MutexGuard<'a, ()>,
}

impl<'a> Write<'a> {
    pub(super) async fn begin(store: &'a SqliteStore) -> Result<Self, Error> {
        let turn = turn(store).await?;
        // Waits for other processes here. A transaction that only reads at first cannot wait later:
        // what it has read may be out of date by then, so SQLite lets it fail.
        let mut transaction = store
            .pool
            .begin_with("BEGIN IMMEDIATE")
            .await
            .map_err(failed)?;
        let next = "UPDATE api_key_counter SET revision = revision + 1 RETURNING revision";
        let number = query_scalar(next)
            .fetch_one(&mut *transaction)
            .await
            .map_err(failed)?;
        Ok(Self {
            transaction,
            revision: rows::revision(number)?,
            _turn: turn,
        })
    }

    pub(super) async fn insert(&mut self, record: &KeyRecord) -> Result<(), Error> {
        let columns = Columns::of(record);
        let inserted = query(
            "INSERT INTO api_keys
                 (id, revision, name, owner, plan, client, status, all_servers, created_at,
                  expires_at, record)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
             ON CONFLICT DO NOTHING",
        )
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
        .execute(&mut *self.transaction)
        .await
        .map_err(failed)?;
        match inserted.rows_affected() {
            0 => Err(Error::new(
                ErrorKind::Conflict,
                "a key with this id exists already",
            )),
            _ => Ok(()),
        }
    }

    pub(super) async fn update(
        &mut self,
        record: &KeyRecord,
        expected: Revision,
    ) -> Result<(), Error> {
        let columns = Columns::of(record);
        self.expect(&columns.id, expected).await?;
        query(
            "UPDATE api_keys
             SET revision = ?2, name = ?3, owner = ?4, plan = ?5, client = ?6, status = ?7,
                 all_servers = ?8, created_at = ?9, expires_at = ?10, record = ?11
             WHERE id = ?1",
        )
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
        .execute(&mut *self.transaction)
        .await
        .map_err(failed)?;
        Ok(())
    }

    async fn expect(&mut self, id: &str, expected: Revision) -> Result<(), Error> {
        let stored: Option<i64> = query_scalar("SELECT revision FROM api_keys WHERE id = ?1")
            .bind(id)
            .fetch_optional(&mut *self.transaction)
            .await
            .map_err(failed)?;
        match stored.map(rows::revision).transpose()? {
            None => Err(Error::new(ErrorKind::NotFound, "there is no such key")),
            Some(revision) if revision != expected => Err(Error::new(
                ErrorKind::Conflict,
                "the key has changed since it was read",
            )),
            Some(_) => Ok(()),
        }
    }

    pub(super) async fn delete(&mut self, id: KeyId) -> Result<bool, Error> {
        let deleted = query("DELETE FROM api_keys WHERE id = ?1")
            .bind(id.to_string())
            .execute(&mut *self.transaction)
            .await
            .map_err(failed)?;
        Ok(deleted.rows_affected() > 0)
    }

    /// Makes the record findable by its handles and servers.
    pub(super) async fn put_names(&mut self, record: &KeyRecord) -> Result<(), Error> {
        let id = record.id.to_string();
        query("INSERT INTO api_key_handles (handle, key_id) SELECT value, ?1 FROM json_each(?2)")
            .bind(&id)
            .bind(to_json("credentials", &rows::handles_of(record))?)
            .execute(&mut *self.transaction)
            .await
            .map_err(handle_taken)?;
        let servers = rows::servers_of(record);
        if !servers.is_empty() {
            query(
                "INSERT INTO api_key_servers (key_id, server) SELECT ?1, value FROM json_each(?2)",
            )
            .bind(&id)
            .bind(to_json("servers", &servers)?)
            .execute(&mut *self.transaction)
            .await
            .map_err(failed)?;
        }
        Ok(())
    }

    /// Forgets what a key that is deleted was used for.
    pub(super) async fn forget_use(&mut self, id: KeyId) -> Result<(), Error> {
        let id = id.to_string();
        for delete in [
            "DELETE FROM api_key_uses WHERE key_id = ?1",
            "DELETE FROM api_key_quotas WHERE key_id = ?1",
            "DELETE FROM api_key_alerts WHERE key_id = ?1",
            "DELETE FROM api_key_habits WHERE key_id = ?1",
        ] {
            query(delete)
                .bind(&id)
                .execute(&mut *self.transaction)
                .await
                .map_err(failed)?;
        }
        Ok(())
    }

    /// The opposite of [`put_names`](Self::put_names). It does not rely on the cascade, which a
    /// pool that was handed in may have switched off.
    pub(super) async fn forget_names(&mut self, id: KeyId) -> Result<(), Error> {
        let id = id.to_string();
        for delete in [
            "DELETE FROM api_key_handles WHERE key_id = ?1",
            "DELETE FROM api_key_servers WHERE key_id = ?1",
        ] {
            query(delete)
                .bind(&id)
                .execute(&mut *self.transaction)
                .await
                .map_err(failed)?;
        }
        Ok(())
    }

    /// The connection that the write is made on.
    pub(super) fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.transaction
    }

    /// The revision that the write will have.
    pub(super) fn revision(&self) -> Revision {
        self.revision
    }

    pub(super) async fn commit(mut self, subject: &Subject, act: &Act) -> Result<Revision, Error> {
        trail::add(&mut self.transaction, self.revision, subject, act).await?;
        query("INSERT INTO api_key_changes (revision, subject, stamp) VALUES (?1, ?2, random())")
            .bind(rows::number(self.revision))
            .bind(subject.to_string())
            .execute(&mut *self.transaction)
            .await
            .map_err(failed)?;
        if self.revision.as_u64().is_multiple_of(PRUNE_EVERY) {
            let kept_after = self.revision.as_u64().saturating_sub(LOG_LENGTH);
            query("DELETE FROM api_key_changes WHERE revision <= ?1")
                .bind(rows::number(Revision::new(kept_after)))
                .execute(&mut *self.transaction)
                .await
                .map_err(failed)?;
        }
        self.transaction.commit().await.map_err(failed)?;
        Ok(self.revision)
    }
}
