//! What keys were used for. It changes with use: it takes no revision and stands in no trail.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use serde_json::{Value, json};
use sqlx::{Row, Sqlite, SqliteConnection, Transaction, query, query_as, query_scalar};

use super::fault::failed;
use super::{SqliteStore, write};
use crate::clock::Timestamp;
use crate::error::Error;
use crate::key::KeyId;
use crate::store::rows::series::{LastRow, StepRow, by_label, latency, stored};
use crate::store::rows::to_json;
use crate::usage::ledger::{self, Answer, Entry, Spread};
use crate::usage::{
    LastUse, UsageBatch, UsageDimension, UsagePoint, UsageRequest, UsageRetention, UsageSink,
    UsageStep,
};

/// How many rows are removed at once, so that nobody waits long for their turn.
const PRUNED: i64 = 2_000;

#[async_trait]
impl UsageSink for SqliteStore {
    async fn write(&self, batch: &UsageBatch) -> Result<(), Error> {
        let _turn = write::turn(self).await?;
        let begun = self.pool.begin_with("BEGIN IMMEDIATE").await;
        let mut transaction = begun.map_err(failed)?;
        if !is_new(&mut transaction, batch).await? {
            return Ok(());
        }
        let gone = gone(&mut transaction, batch).await?;
        let spread = Spread::of(batch, |key| gone.contains(key));
        let ids = series(&mut transaction, &spread).await?;
        add(&mut transaction, &HOURS, &ids, &spread.hours).await?;
        add(&mut transaction, &DAYS, &ids, &spread.days).await?;
        note_last(&mut transaction, batch, &gone).await?;
        transaction.commit().await.map_err(failed)
    }

    async fn read(&self, request: &UsageRequest) -> Result<Vec<UsagePoint>, Error> {
        let (first, end) = ledger::numbers_of(request);
        let rows: Vec<StepRow> = query_as(reading(request.step, request.by))
            .bind(to_json("keys", &ledger::whose(request))?)
            .bind(first)
            .bind(end)
            .fetch_all(&self.pool)
            .await
            .map_err(failed)?;
        let mut answer = Answer::to(request);
        rows.iter().try_for_each(|row| row.add_to(&mut answer))?;
        Ok(answer.points())
    }

    async fn last_uses(&self, keys: &[KeyId]) -> Result<Vec<(KeyId, LastUse)>, Error> {
        let rows: Vec<LastRow> = query_as(
            "SELECT key_id, at, address, carrier, credential, server, operation
             FROM api_usage_last WHERE key_id IN (SELECT value FROM json_each(?1))",
        )
        .bind(to_json("keys", &keys)?)
        .fetch_all(&self.pool)
        .await
        .map_err(failed)?;
        rows.into_iter().map(LastRow::into_use).collect()
    }

    async fn prune(&self, kept: UsageRetention, now: Timestamp) -> Result<bool, Error> {
        let _turn = write::turn(self).await?;
        let begun = self.pool.begin_with("BEGIN IMMEDIATE").await;
        let mut transaction = begun.map_err(failed)?;
        let mut is_more = false;
        let mut ended = HashSet::new();
        for (delete, step, kept) in [
            (HOURS.prune, UsageStep::Hour, kept.hours),
            (DAYS.prune, UsageStep::Day, kept.days),
        ] {
            let series: Vec<i64> = query_scalar(delete)
                .bind(ledger::number_of(step, now.saturating_sub(kept)))
                .bind(PRUNED)
                .fetch_all(&mut *transaction)
                .await
                .map_err(failed)?;
            is_more |= i64::try_from(series.len()).unwrap_or(i64::MAX) >= PRUNED;
            ended.extend(series);
        }
        let ended: Vec<i64> = ended.into_iter().collect();
        let before = now.saturating_sub(kept.hours.max(kept.days)).as_millis();
        query(
            "DELETE FROM api_usage_series WHERE id IN (SELECT value FROM json_each(?1))
             AND NOT EXISTS (SELECT 1 FROM api_usage_days d WHERE d.series = id)
             AND NOT EXISTS (SELECT 1 FROM api_usage_hours h WHERE h.series = id)",
        )
        .bind(to_json("series", &ended)?)
        .execute(&mut *transaction)
        .await
        .map_err(failed)?;
        for statement in [
            "DELETE FROM api_usage_recorders WHERE at < ?1",
            "DELETE FROM api_usage_gone WHERE at < ?1",
        ] {
            query(statement)
                .bind(before)
                .execute(&mut *transaction)
                .await
                .map_err(failed)?;
        }
        transaction.commit().await.map_err(failed)?;
        Ok(is_more)
    }
}

/// Forgets what a key that is deleted was used for.
pub(super) async fn forget(
    connection: &mut SqliteConnection,
    id: KeyId,
    at: Timestamp,
) -> Result<(), Error> {
    let id = id.to_string();
    for delete in [
        "DELETE FROM api_usage_hours
         WHERE series IN (SELECT id FROM api_usage_series WHERE whose = ?1)",
        "DELETE FROM api_usage_days
         WHERE series IN (SELECT id FROM api_usage_series WHERE whose = ?1)",
        "DELETE FROM api_usage_series WHERE whose = ?1",
        "DELETE FROM api_usage_last WHERE key_id = ?1",
        "INSERT OR REPLACE INTO api_usage_gone (key_id, at) VALUES (?1, ?2)",
    ] {
        query(delete)
            .bind(&id)
            .bind(at.as_millis())
            .execute(&mut *connection)
            .await
            .map_err(failed)?;
    }
    Ok(())
}

/// Whether the batch was not taken before. From here on it was.
async fn is_new(
    transaction: &mut Transaction<'static, Sqlite>,
    batch: &UsageBatch,
) -> Result<bool, Error> {
    let noted = query(
        "INSERT INTO api_usage_recorders (recorder, number, at) VALUES (?1, ?2, ?3)
         ON CONFLICT (recorder) DO UPDATE SET number = excluded.number, at = excluded.at
         WHERE number < excluded.number",
    )
    .bind(format!("{:032x}", batch.id.recorder))
    .bind(stored(batch.id.number))
    .bind(batch.at.as_millis())
    .execute(&mut **transaction)
    .await
    .map_err(failed)?;
    Ok(noted.rows_affected() > 0)
}

/// Those of a batch's keys that were deleted.
async fn gone(
    transaction: &mut Transaction<'static, Sqlite>,
    batch: &UsageBatch,
) -> Result<HashSet<String>, Error> {
    let gone: Vec<String> = query_scalar(
        "SELECT key_id FROM api_usage_gone WHERE key_id IN (SELECT value FROM json_each(?1))",
    )
    .bind(to_json("keys", &ledger::keys_of(batch))?)
    .fetch_all(&mut **transaction)
    .await
    .map_err(failed)?;
    Ok(gone.into_iter().collect())
}

/// The ids of the series, in their order.
async fn series(
    transaction: &mut Transaction<'static, Sqlite>,
    spread: &Spread,
) -> Result<Vec<i64>, Error> {
    let names = spread.series.iter().map(|name| {
        json!([
            name.whose,
            name.credential,
            name.server,
            name.operation,
            name.outcome,
            name.status,
            name.carrier
        ])
    });
    let names = to_json("series", &Value::Array(names.collect()))?;
    query(
        "INSERT OR IGNORE INTO api_usage_series
             (whose, credential, server, operation, outcome, status, carrier)
         SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5,
             value ->> 6
         FROM json_each(?1)",
    )
    .bind(&names)
    .execute(&mut **transaction)
    .await
    .map_err(failed)?;
    query_scalar(
        "SELECT s.id FROM json_each(?1) j CROSS JOIN api_usage_series s
         ON s.whose = j.value ->> 0 AND s.credential = j.value ->> 1 AND s.server = j.value ->> 2
             AND s.operation = j.value ->> 3 AND s.outcome = j.value ->> 4
             AND s.status = j.value ->> 5 AND s.carrier = j.value ->> 6
         ORDER BY j.key",
    )
    .bind(&names)
    .fetch_all(&mut **transaction)
    .await
    .map_err(failed)
}

/// The statements on one table of steps.
struct Steps {
    latencies: &'static str,
    add: &'static str,
    prune: &'static str,
}

macro_rules! steps {
    ($table:literal) => {
        Steps {
            latencies: concat!(
                "SELECT j.key, t.latency FROM json_each(?1) j CROSS JOIN ",
                $table,
                " t ON t.series = j.value ->> 0 AND t.at = j.value ->> 1"
            ),
            add: concat!(
                "INSERT INTO ",
                $table,
                " (series, at, requests, cost, latency)
                 SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4
                 FROM json_each(?1) WHERE TRUE
                 ON CONFLICT (series, at) DO UPDATE SET requests = requests + excluded.requests,
                     cost = cost + excluded.cost, latency = excluded.latency"
            ),
            prune: concat!(
                "DELETE FROM ",
                $table,
                " WHERE (series, at) IN (SELECT series, at FROM ",
                $table,
                " WHERE at < ?1 LIMIT ?2) RETURNING series"
            ),
        }
    };
}

const HOURS: Steps = steps!("api_usage_hours");
const DAYS: Steps = steps!("api_usage_days");

/// Adds to the steps. Nobody else writes meanwhile, so what is read first is what is added to.
async fn add(
    transaction: &mut Transaction<'static, Sqlite>,
    steps: &Steps,
    ids: &[i64],
    entries: &[Entry],
) -> Result<(), Error> {
    let places = entries
        .iter()
        .map(|entry| json!([ids.get(entry.series), entry.at]));
    let places = to_json("places", &Value::Array(places.collect()))?;
    let known = query(steps.latencies)
        .bind(places)
        .fetch_all(&mut **transaction)
        .await
        .map_err(failed)?;
    let mut latencies = HashMap::new();
    for row in known {
        let number: i64 = row.try_get(0).map_err(failed)?;
        let text: String = row.try_get(1).map_err(failed)?;
        latencies.insert(number, latency(&text)?);
    }
    let rows = (0..).zip(entries).map(|(number, entry)| {
        let mut all = latencies.remove(&number).unwrap_or_default();
        all.merge(&entry.sum.latency);
        json!([
            ids.get(entry.series),
            entry.at,
            stored(entry.sum.requests),
            stored(entry.sum.cost),
            all.to_text()
        ])
    });
    let rows = to_json("rows", &Value::Array(rows.collect()))?;
    let added = query(steps.add).bind(rows).execute(&mut **transaction);
    added.await.map_err(failed).map(drop)
}

async fn note_last(
    transaction: &mut Transaction<'static, Sqlite>,
    batch: &UsageBatch,
    gone: &HashSet<String>,
) -> Result<(), Error> {
    let rows = batch.last_uses.iter().filter_map(|(key, last)| {
        let row = LastRow::of(*key, last);
        (!gone.contains(row.columns().0)).then(|| json!(row.columns()))
    });
    let rows = to_json("uses", &Value::Array(rows.collect()))?;
    query(
        "INSERT INTO api_usage_last (key_id, at, address, carrier, credential, server, operation)
         SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5,
             value ->> 6
         FROM json_each(?1) WHERE TRUE
         ON CONFLICT (key_id) DO UPDATE SET at = excluded.at, address = excluded.address,
             carrier = excluded.carrier, credential = excluded.credential,
             server = excluded.server, operation = excluded.operation
         WHERE at <= excluded.at",
    )
    .bind(rows)
    .execute(&mut **transaction)
    .await
    .map_err(failed)?;
    Ok(())
}

/// The statement that reads steps. Latencies that stand one behind the other are added up when they
/// are read.
fn reading(step: UsageStep, by: Option<UsageDimension>) -> &'static str {
    match step {
        UsageStep::Hour => by_label!(
            by,
            "SELECT t.at, ",
            " AS label, s.outcome, s.status, sum(t.requests) AS requests,
                 sum(t.cost) AS cost, group_concat(t.latency, ' ') AS latency
             FROM json_each(?1) j CROSS JOIN api_usage_series s ON s.whose = j.value
             CROSS JOIN api_usage_hours t ON t.series = s.id AND t.at >= ?2 AND t.at < ?3
             GROUP BY t.at, label, s.outcome, s.status"
        ),
        UsageStep::Day => by_label!(
            by,
            "SELECT t.at, ",
            " AS label, s.outcome, s.status, sum(t.requests) AS requests,
                 sum(t.cost) AS cost, group_concat(t.latency, ' ') AS latency
             FROM json_each(?1) j CROSS JOIN api_usage_series s ON s.whose = j.value
             CROSS JOIN api_usage_days t ON t.series = s.id AND t.at >= ?2 AND t.at < ?3
             GROUP BY t.at, label, s.outcome, s.status"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However much there is, a series is found by whose it is and read by its steps alone.
    #[tokio::test]
    async fn series_are_read_by_index() {
        let store = SqliteStore::connect("sqlite::memory:").await.unwrap();
        let plan = async |statement: &str| {
            let explain = format!("EXPLAIN QUERY PLAN {statement}");
            let rows = query(sqlx::AssertSqlSafe(explain))
                .bind("[]")
                .bind(0)
                .bind(0)
                .fetch_all(&store.pool)
                .await
                .unwrap();
            let details: Vec<String> = rows.iter().map(|row| row.get("detail")).collect();
            details.join("\n")
        };
        for (step, table) in [(UsageStep::Hour, "hours"), (UsageStep::Day, "days")] {
            for by in [
                None,
                Some(UsageDimension::Secret),
                Some(UsageDimension::Operation),
            ] {
                let plan = plan(reading(step, by)).await;
                assert!(
                    plan.contains("sqlite_autoindex_api_usage_series_1 (whose=?)"),
                    "{plan}"
                );
                assert!(
                    plan.contains("SEARCH t USING PRIMARY KEY (series=? AND at>? AND at<?)"),
                    "{plan}"
                );
            }
            let prune = if table == "hours" {
                HOURS.prune
            } else {
                DAYS.prune
            };
            let plan = plan(prune).await;
            assert!(
                plan.contains(&format!("api_usage_{table}_by_age (at<?)")),
                "{plan}"
            );
        }
    }
}
