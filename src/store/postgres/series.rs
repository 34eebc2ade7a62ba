//! What keys were used for. It changes with use: it takes no revision, and nobody waits for the counter.
//!
//! Those who write usage do so one after the other, under a lock that nobody else takes. It takes a few
//! milliseconds every few seconds, and two nodes that write the same series can neither lose what the
//! other one adds nor block each other.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use sqlx::{PgConnection, query, query_as, query_scalar};

use super::PostgresStore;
use super::fault::failed;
use super::lease::{Lease, bounded};
use crate::clock::Timestamp;
use crate::error::Error;
use crate::key::KeyId;
use crate::store::rows::series::{LastRow, StepRow, by_label, latency, stored};
use crate::usage::ledger::{self, Answer, Entry, Spread};
use crate::usage::{
    LastUse, UsageBatch, UsageDimension, UsagePoint, UsageRequest, UsageRetention, UsageSink,
    UsageStep,
};

/// How many rows are removed at once, so that nobody waits long for their turn.
const PRUNED: i64 = 2_000;

const LOCK: &str = "SELECT pg_advisory_xact_lock(1835233384, hashtext(current_schema()))";

#[async_trait]
impl UsageSink for PostgresStore {
    async fn write(&self, batch: &UsageBatch) -> Result<(), Error> {
        bounded(async {
            let mut lease = self.lease().await?;
            begin(&mut lease).await?;
            let written = write(lease.connection()?, batch).await;
            if lease.judge(written)? {
                lease.commit().await?;
            }
            Ok(())
        })
        .await
    }

    async fn read(&self, request: &UsageRequest) -> Result<Vec<UsagePoint>, Error> {
        bounded(async {
            let (first, end) = ledger::numbers_of(request);
            let mut lease = self.lease().await?;
            let rows: Vec<StepRow> = query_as(reading(request.step, request.by))
                .bind(ledger::whose(request))
                .bind(first)
                .bind(end)
                .fetch_all(lease.connection()?)
                .await
                .map_err(failed)?;
            let mut answer = Answer::to(request);
            rows.iter().try_for_each(|row| row.add_to(&mut answer))?;
            Ok(answer.points())
        })
        .await
    }

    async fn last_uses(&self, keys: &[KeyId]) -> Result<Vec<(KeyId, LastUse)>, Error> {
        bounded(async {
            let keys: Vec<String> = keys.iter().map(KeyId::to_string).collect();
            let mut lease = self.lease().await?;
            let rows: Vec<LastRow> = query_as(
                "SELECT key_id, at, address, carrier, credential, server, operation
                 FROM api_usage_last WHERE key_id = ANY ($1)",
            )
            .bind(keys)
            .fetch_all(lease.connection()?)
            .await
            .map_err(failed)?;
            rows.into_iter().map(LastRow::into_use).collect()
        })
        .await
    }

    async fn prune(&self, kept: UsageRetention, now: Timestamp) -> Result<bool, Error> {
        bounded(async {
            let mut lease = self.lease().await?;
            begin(&mut lease).await?;
            let pruned = prune(lease.connection()?, kept, now).await;
            let is_more = lease.judge(pruned)?;
            lease.commit().await?;
            Ok(is_more)
        })
        .await
    }
}

/// Forgets what a key that is deleted was used for.
pub(super) async fn forget(
    connection: &mut PgConnection,
    id: KeyId,
    at: Timestamp,
) -> Result<(), Error> {
    // One statement, and so one moment. It waits for those who are writing usage: they may have seen
    // that the key is there.
    query(LOCK)
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    query(
        "WITH s AS (DELETE FROM api_usage_series WHERE whose = $1 RETURNING id),
              h AS (DELETE FROM api_usage_hours USING s WHERE series = s.id),
              d AS (DELETE FROM api_usage_days USING s WHERE series = s.id),
              l AS (DELETE FROM api_usage_last WHERE key_id = $1)
         INSERT INTO api_usage_gone (key_id, at) VALUES ($1, $2) ON CONFLICT DO NOTHING",
    )
    .bind(id.to_string())
    .bind(at.as_millis())
    .execute(connection)
    .await
    .map_err(failed)?;
    Ok(())
}

async fn begin(lease: &mut Lease) -> Result<(), Error> {
    lease.begin().await?;
    let locked = query(LOCK).execute(lease.connection()?).await;
    lease.judge(locked).map(drop)
}

/// Adds a batch, unless it was taken before.
async fn write(connection: &mut PgConnection, batch: &UsageBatch) -> Result<bool, sqlx::Error> {
    let noted = query(
        "INSERT INTO api_usage_recorders AS r (recorder, number, at) VALUES ($1, $2, $3)
         ON CONFLICT (recorder) DO UPDATE SET number = excluded.number, at = excluded.at
         WHERE r.number < excluded.number",
    )
    .bind(format!("{:032x}", batch.id.recorder))
    .bind(stored(batch.id.number))
    .bind(batch.at.as_millis())
    .execute(&mut *connection)
    .await?;
    if noted.rows_affected() == 0 {
        return Ok(false);
    }
    let gone = "SELECT key_id FROM api_usage_gone WHERE key_id = ANY ($1)";
    let gone: Vec<String> = query_scalar(gone)
        .bind(ledger::keys_of(batch))
        .fetch_all(&mut *connection)
        .await?;
    let gone: HashSet<String> = gone.into_iter().collect();
    let spread = Spread::of(batch, |key| gone.contains(key));
    let ids = series(connection, &spread).await?;
    add(connection, &HOURS, &ids, &spread.hours).await?;
    add(connection, &DAYS, &ids, &spread.days).await?;
    note_last(connection, batch, &gone).await?;
    Ok(true)
}

/// The ids of the series, in their order.
async fn series(connection: &mut PgConnection, spread: &Spread) -> Result<Vec<i64>, sqlx::Error> {
    let texts = |text: fn(&ledger::SeriesName) -> &str| -> Vec<String> {
        let names = spread.series.iter();
        names.map(|name| text(name).to_owned()).collect()
    };
    let credentials: Vec<i64> = spread
        .series
        .iter()
        .map(|name| i64::from(name.credential))
        .collect();
    let columns = [
        texts(|name| &name.whose),
        texts(|name| &name.server),
        texts(|name| &name.operation),
        texts(|name| name.outcome),
        texts(|name| name.status),
        texts(|name| name.carrier),
    ];
    let bound = |statement: &'static str| {
        let statement = query_scalar(statement).bind(&credentials);
        columns.iter().fold(statement, |all, texts| all.bind(texts))
    };
    let _: Option<i64> = bound(
        "INSERT INTO api_usage_series
             (whose, credential, server, operation, outcome, status, carrier)
         SELECT whose, credential, server, operation, outcome, status, carrier
         FROM unnest($1::BIGINT[], $2::TEXT[], $3::TEXT[], $4::TEXT[], $5::TEXT[], $6::TEXT[],
             $7::TEXT[]) AS n (credential, whose, server, operation, outcome, status, carrier)
         ON CONFLICT DO NOTHING",
    )
    .fetch_optional(&mut *connection)
    .await?;
    bound(
        "SELECT s.id
         FROM unnest($1::BIGINT[], $2::TEXT[], $3::TEXT[], $4::TEXT[], $5::TEXT[], $6::TEXT[],
             $7::TEXT[]) WITH ORDINALITY
             AS n (credential, whose, server, operation, outcome, status, carrier, place)
         JOIN api_usage_series s USING
             (credential, whose, server, operation, outcome, status, carrier)
         ORDER BY n.place",
    )
    .fetch_all(connection)
    .await
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
                "SELECT n.place, t.latency
                 FROM unnest($1::BIGINT[], $2::BIGINT[]) WITH ORDINALITY AS n (series, at, place)
                 JOIN ",
                $table,
                " t USING (series, at)"
            ),
            add: concat!(
                "INSERT INTO ",
                $table,
                " AS t (series, at, requests, cost, latency)
                 SELECT * FROM unnest($1::BIGINT[], $2::BIGINT[], $3::BIGINT[], $4::BIGINT[],
                     $5::TEXT[])
                 ON CONFLICT (series, at) DO UPDATE SET
                     requests = t.requests + excluded.requests,
                     cost = t.cost + excluded.cost, latency = excluded.latency"
            ),
            prune: concat!(
                "DELETE FROM ",
                $table,
                // By their places, which nobody changes meanwhile: neither a join nor a limit without an
                // order could then make the server think of reading the whole table.
                " WHERE ctid = ANY (ARRAY(SELECT ctid FROM ",
                $table,
                " WHERE at < $1 ORDER BY at LIMIT $2)) RETURNING series"
            ),
        }
    };
}

const HOURS: Steps = steps!("api_usage_hours");
const DAYS: Steps = steps!("api_usage_days");

/// Adds to the steps. Nobody else does meanwhile, so what is read first is what is added to.
async fn add(
    connection: &mut PgConnection,
    steps: &Steps,
    ids: &[i64],
    entries: &[Entry],
) -> Result<(), sqlx::Error> {
    let unknown = |_| sqlx::Error::Protocol("a series that was just made is not there".to_owned());
    let series: Result<Vec<i64>, _> = entries
        .iter()
        .map(|entry| ids.get(entry.series).copied().ok_or(entry.series))
        .collect();
    let series = series.map_err(unknown)?;
    let times: Vec<i64> = entries.iter().map(|entry| entry.at).collect();
    let known: Vec<(i64, String)> = query_as(steps.latencies)
        .bind(&series)
        .bind(&times)
        .fetch_all(&mut *connection)
        .await?;
    let mut latencies = HashMap::new();
    for (place, text) in known {
        let known = latency(&text).map_err(|error| sqlx::Error::Decode(error.into()))?;
        latencies.insert(place, known);
    }
    let texts: Vec<String> = (1..)
        .zip(entries)
        .map(|(place, entry)| {
            let mut all = latencies.remove(&place).unwrap_or_default();
            all.merge(&entry.sum.latency);
            all.to_text()
        })
        .collect();
    let numbers = |number: fn(&Entry) -> u64| -> Vec<i64> {
        entries.iter().map(|entry| stored(number(entry))).collect()
    };
    query(steps.add)
        .bind(&series)
        .bind(&times)
        .bind(numbers(|entry| entry.sum.requests))
        .bind(numbers(|entry| entry.sum.cost))
        .bind(texts)
        .execute(connection)
        .await
        .map(drop)
}

async fn note_last(
    connection: &mut PgConnection,
    batch: &UsageBatch,
    gone: &HashSet<String>,
) -> Result<(), sqlx::Error> {
    let uses = batch.last_uses.iter();
    let rows: Vec<LastRow> = uses.map(|(key, last)| LastRow::of(*key, last)).collect();
    let rows: Vec<_> = rows
        .iter()
        .map(LastRow::columns)
        .filter(|row| !gone.contains(row.0))
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    let texts = |text: fn(&Columns<'_>) -> String| rows.iter().map(text).collect::<Vec<_>>();
    query(
        "INSERT INTO api_usage_last AS l
             (key_id, at, address, carrier, credential, server, operation)
         SELECT * FROM unnest($1::TEXT[], $2::BIGINT[], $3::TEXT[], $4::TEXT[], $5::BIGINT[],
             $6::TEXT[], $7::TEXT[])
         ON CONFLICT (key_id) DO UPDATE SET at = excluded.at, address = excluded.address,
             carrier = excluded.carrier, credential = excluded.credential,
             server = excluded.server, operation = excluded.operation
         WHERE l.at <= excluded.at",
    )
    .bind(texts(|row| row.0.to_owned()))
    .bind(rows.iter().map(|row| row.1).collect::<Vec<i64>>())
    .bind(texts(|row| row.2.to_owned()))
    .bind(texts(|row| row.3.to_owned()))
    .bind(rows.iter().map(|row| row.4).collect::<Vec<i64>>())
    .bind(texts(|row| row.5.to_owned()))
    .bind(texts(|row| row.6.to_owned()))
    .execute(connection)
    .await
    .map(drop)
}

type Columns<'r> = (&'r str, i64, &'r str, &'r str, i64, &'r str, &'r str);

async fn prune(
    connection: &mut PgConnection,
    kept: UsageRetention,
    now: Timestamp,
) -> Result<bool, sqlx::Error> {
    let mut is_more = false;
    let mut ended = HashSet::new();
    for (delete, step, kept) in [
        (HOURS.prune, UsageStep::Hour, kept.hours),
        (DAYS.prune, UsageStep::Day, kept.days),
    ] {
        let series: Vec<i64> = query_scalar(delete)
            .bind(ledger::number_of(step, now.saturating_sub(kept)))
            .bind(PRUNED)
            .fetch_all(&mut *connection)
            .await?;
        is_more |= i64::try_from(series.len()).unwrap_or(i64::MAX) >= PRUNED;
        ended.extend(series);
    }
    query(
        "DELETE FROM api_usage_series s WHERE id = ANY ($1)
         AND NOT EXISTS (SELECT 1 FROM api_usage_days d WHERE d.series = s.id)
         AND NOT EXISTS (SELECT 1 FROM api_usage_hours h WHERE h.series = s.id)",
    )
    .bind(ended.into_iter().collect::<Vec<i64>>())
    .execute(&mut *connection)
    .await?;
    let before = now.saturating_sub(kept.hours.max(kept.days)).as_millis();
    for statement in [
        "DELETE FROM api_usage_recorders WHERE at < $1",
        "DELETE FROM api_usage_gone WHERE at < $1",
    ] {
        query(statement)
            .bind(before)
            .execute(&mut *connection)
            .await?;
    }
    Ok(is_more)
}

/// The statement that reads steps. Latencies that stand one behind the other are added up when they
/// are read.
fn reading(step: UsageStep, by: Option<UsageDimension>) -> &'static str {
    match step {
        UsageStep::Hour => by_label!(
            by,
            "SELECT t.at, ",
            " AS label, s.outcome, s.status, sum(t.requests)::BIGINT AS requests,
                 sum(t.cost)::BIGINT AS cost, string_agg(t.latency, ' ') AS latency
             FROM api_usage_series s JOIN api_usage_hours t ON t.series = s.id
             WHERE s.whose = ANY ($1) AND t.at >= $2 AND t.at < $3
             GROUP BY t.at, label, s.outcome, s.status"
        ),
        UsageStep::Day => by_label!(
            by,
            "SELECT t.at, ",
            " AS label, s.outcome, s.status, sum(t.requests)::BIGINT AS requests,
                 sum(t.cost)::BIGINT AS cost, string_agg(t.latency, ' ') AS latency
             FROM api_usage_series s JOIN api_usage_days t ON t.series = s.id
             WHERE s.whose = ANY ($1) AND t.at >= $2 AND t.at < $3
             GROUP BY t.at, label, s.outcome, s.status"
        ),
    }
}
