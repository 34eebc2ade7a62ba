//! When secrets were used, and what was taken of quotas. Both change with use: they take no
//! revision, and an entry in the trail would say nothing.

use async_trait::async_trait;
use serde_json::{Value, json};
use sqlx::{query, query_as};

use super::fault::failed;
use super::{SqliteStore, write};
use crate::error::Error;
use crate::key::KeyId;
use crate::store::rows::{TakenRow, UseRow, to_json};
use crate::store::{KeyUse, QuotaAccount, QuotaLedger, Taken};

pub(super) async fn note(store: &SqliteStore, uses: &[KeyUse]) -> Result<(), Error> {
    if uses.is_empty() {
        return Ok(());
    }
    let rows = uses.iter().map(|one| {
        json!([
            one.key.to_string(),
            one.credential.as_u32(),
            one.at.as_millis()
        ])
    });
    let rows = Value::Array(rows.collect());
    let _turn = write::turn(store).await?;
    query(
        "INSERT INTO api_key_uses (key_id, credential, at)
         SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?1)
         WHERE EXISTS (SELECT 1 FROM api_keys k WHERE k.id = value ->> 0)
         ON CONFLICT (key_id, credential) DO UPDATE SET at = max(at, excluded.at)",
    )
    .bind(to_json("uses", &rows)?)
    .execute(&store.pool)
    .await
    .map_err(failed)?;
    Ok(())
}

pub(super) async fn read(store: &SqliteStore, keys: &[KeyId]) -> Result<Vec<KeyUse>, Error> {
    let rows: Vec<UseRow> = query_as(
        "SELECT key_id, credential, at FROM api_key_uses
         WHERE key_id IN (SELECT value FROM json_each(?1))",
    )
    .bind(to_json("keys", &keys)?)
    .fetch_all(&store.pool)
    .await
    .map_err(failed)?;
    rows.into_iter().map(UseRow::into_use).collect()
}

#[async_trait]
impl QuotaLedger for SqliteStore {
    async fn take(&self, account: &QuotaAccount, wanted: u64, limit: u64) -> Result<u64, Error> {
        let _turn = write::turn(self).await?;
        let mut transaction = self
            .pool
            .begin_with("BEGIN IMMEDIATE")
            .await
            .map_err(failed)?;
        let key = account.key.to_string();
        let of_later = "SELECT name, period, taken FROM api_key_quotas
                        WHERE key_id = ?1 AND name = ?2 AND period >= ?3";
        let row: Option<TakenRow> = query_as(of_later)
            .bind(&key)
            .bind(&account.quota)
            .bind(account.period.as_millis())
            .fetch_optional(&mut *transaction)
            .await
            .map_err(failed)?;
        let (period, taken) = match row {
            Some(row) => (row.period, row.units()?),
            None => (account.period.as_millis(), 0),
        };
        let granted = wanted.min(limit.saturating_sub(taken));
        let stored = query(
            "INSERT INTO api_key_quotas (key_id, name, period, taken)
             SELECT ?1, ?2, ?3, ?4 WHERE EXISTS (SELECT 1 FROM api_keys WHERE id = ?1)
             ON CONFLICT (key_id, name) DO UPDATE SET period = ?3, taken = ?4",
        )
        .bind(&key)
        .bind(&account.quota)
        .bind(period)
        .bind(i64::try_from(taken.saturating_add(granted)).unwrap_or(i64::MAX))
        .execute(&mut *transaction)
        .await
        .map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        Ok(if stored.rows_affected() == 0 {
            0
        } else {
            granted
        })
    }

    async fn give_back(&self, account: &QuotaAccount, units: u64) -> Result<(), Error> {
        let _turn = write::turn(self).await?;
        query(
            "UPDATE api_key_quotas SET taken = max(0, taken - ?4)
             WHERE key_id = ?1 AND name = ?2 AND period = ?3",
        )
        .bind(account.key.to_string())
        .bind(&account.quota)
        .bind(account.period.as_millis())
        .bind(i64::try_from(units).unwrap_or(i64::MAX))
        .execute(&self.pool)
        .await
        .map_err(failed)?;
        Ok(())
    }

    async fn taken(&self, key: KeyId) -> Result<Vec<Taken>, Error> {
        let rows: Vec<TakenRow> =
            query_as("SELECT name, period, taken FROM api_key_quotas WHERE key_id = ?1")
                .bind(key.to_string())
                .fetch_all(&self.pool)
                .await
                .map_err(failed)?;
        rows.into_iter().map(|row| row.into_taken(key)).collect()
    }
}
