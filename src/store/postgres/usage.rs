//! When secrets were used, and what was taken of quotas. Both change with use: they take no
//! revision, and nobody waits for the counter.
//!
//! Each is one statement. If another writer is in its way (a deadlock, a key deleted at that moment, a
//! role whose transactions are serializable), it is tried once more, in a transaction that waits.

use async_trait::async_trait;
use sqlx::postgres::PgArguments;
use sqlx::query::QueryScalar;
use sqlx::{Postgres, query, query_as, query_scalar};

use super::PostgresStore;
use super::fault::{failed, may_be_repeated};
use super::lease::bounded;
use crate::error::Error;
use crate::key::KeyId;
use crate::store::rows::{TakenRow, UseRow, units};
use crate::store::{KeyUse, QuotaAccount, QuotaLedger, Taken};

/// Notes a batch in one statement. Rows are locked in the order of their keys, so two nodes that note
/// the same keys wait for each other and do not block each other.
pub(super) async fn note(store: &PostgresStore, uses: &[KeyUse]) -> Result<(), Error> {
    if uses.is_empty() {
        return Ok(());
    }
    let keys: Vec<String> = uses.iter().map(|one| one.key.to_string()).collect();
    let credentials: Vec<i64> = uses
        .iter()
        .map(|one| i64::from(one.credential.as_u32()))
        .collect();
    let times: Vec<i64> = uses.iter().map(|one| one.at.as_millis()).collect();
    let bound = |statement: &'static str| {
        let statement = query(statement).bind(&keys);
        statement.bind(&credentials).bind(&times)
    };
    let mut lease = store.lease().await?;
    let noted = bound(NOTE).execute(lease.connection()?).await;
    if !noted.as_ref().is_err_and(may_be_repeated) {
        return lease.judge(noted).map(drop);
    }
    lease.begin().await?;
    let noted = bound(NOTE_OF_HELD).execute(lease.connection()?).await;
    lease.judge(noted)?;
    lease.commit().await
}

/// The statement that notes uses, with which keys there are.
macro_rules! noting {
    ($keys:literal) => {
        concat!(
            "WITH k AS (SELECT id FROM api_keys WHERE id = ANY ($1::TEXT[]) ",
            $keys,
            "), n AS (
                 SELECT key_id, credential, max(at) AS at
                 FROM unnest($1::TEXT[], $2::BIGINT[], $3::BIGINT[]) AS u (key_id, credential, at)
                 GROUP BY key_id, credential)
             INSERT INTO api_key_uses AS u (key_id, credential, at)
             SELECT k.id, n.credential, n.at FROM n JOIN k ON k.id = n.key_id
             ORDER BY k.id, n.credential
             ON CONFLICT (key_id, credential) DO UPDATE SET at = excluded.at
             WHERE u.at < excluded.at"
        )
    };
}

const NOTE: &str = noting!("");

/// The same, with keys that nobody can delete meanwhile. That writes to each of their rows, so it is
/// not done without need.
const NOTE_OF_HELD: &str = noting!("ORDER BY id FOR KEY SHARE");

pub(super) async fn read(store: &PostgresStore, keys: &[KeyId]) -> Result<Vec<KeyUse>, Error> {
    let keys: Vec<String> = keys.iter().map(KeyId::to_string).collect();
    let mut lease = store.lease().await?;
    let rows: Vec<UseRow> =
        query_as("SELECT key_id, credential, at FROM api_key_uses WHERE key_id = ANY ($1)")
            .bind(keys)
            .fetch_all(lease.connection()?)
            .await
            .map_err(failed)?;
    rows.into_iter().map(UseRow::into_use).collect()
}

/// The row is locked before it is looked at; an older period counts for nothing.
fn take(
    account: &QuotaAccount,
    wanted: u64,
    limit: u64,
) -> QueryScalar<'_, Postgres, i64, PgArguments> {
    query_scalar(
        "INSERT INTO api_key_quotas AS q (key_id, name, period, taken, granted)
         SELECT $1, $2, $3, least($4, $5), least($4, $5)
         WHERE EXISTS (SELECT 1 FROM api_keys WHERE id = $1)
         ON CONFLICT (key_id, name) DO UPDATE SET
             period = greatest(q.period, excluded.period),
             granted = CASE WHEN q.period < excluded.period THEN least($4, $5)
                 ELSE least($4, greatest($5 - q.taken, 0)) END,
             taken = CASE WHEN q.period < excluded.period THEN least($4, $5)
                 ELSE q.taken + least($4, greatest($5 - q.taken, 0)) END
         RETURNING granted",
    )
    .bind(account.key.to_string())
    .bind(&account.quota)
    .bind(account.period.as_millis())
    .bind(i64::try_from(wanted).unwrap_or(i64::MAX))
    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
}

#[async_trait]
impl QuotaLedger for PostgresStore {
    async fn take(&self, account: &QuotaAccount, wanted: u64, limit: u64) -> Result<u64, Error> {
        bounded(async {
            let mut lease = self.lease().await?;
            let granted = take(account, wanted, limit)
                .fetch_optional(lease.connection()?)
                .await;
            let granted = if granted.as_ref().is_err_and(may_be_repeated) {
                lease.begin().await?;
                let granted = take(account, wanted, limit)
                    .fetch_optional(lease.connection()?)
                    .await;
                let granted = lease.judge(granted)?;
                lease.commit().await?;
                granted
            } else {
                lease.judge(granted)?
            };
            granted.map_or(Ok(0), units)
        })
        .await
    }

    async fn give_back(&self, account: &QuotaAccount, units: u64) -> Result<(), Error> {
        bounded(async {
            let mut lease = self.lease().await?;
            let given = query(
                "UPDATE api_key_quotas SET taken = greatest(0, taken - $4)
                 WHERE key_id = $1 AND name = $2 AND period = $3",
            )
            .bind(account.key.to_string())
            .bind(&account.quota)
            .bind(account.period.as_millis())
            .bind(i64::try_from(units).unwrap_or(i64::MAX))
            .execute(lease.connection()?)
            .await;
            lease.judge(given).map(drop)
        })
        .await
    }

    async fn taken(&self, key: KeyId) -> Result<Vec<Taken>, Error> {
        bounded(async {
            let mut lease = self.lease().await?;
            let rows: Vec<TakenRow> =
                query_as("SELECT name, period, taken FROM api_key_quotas WHERE key_id = $1")
                    .bind(key.to_string())
                    .fetch_all(lease.connection()?)
                    .await
                    .map_err(failed)?;
            rows.into_iter().map(|row| row.into_taken(key)).collect()
        })
        .await
    }
}
