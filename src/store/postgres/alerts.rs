//! Alerts, and what is usual for keys. They take no revision and stand in no trail, and nobody waits
//! for the counter.

use async_trait::async_trait;
use sqlx::{query, query_as};

use super::PostgresStore;
use super::fault::failed;
use super::lease::bounded;
use crate::alert::{Acknowledged, Alert, AlertLedger, AlertRequest, AlertRule, KeyHabits};
use crate::clock::Timestamp;
use crate::error::Error;
use crate::key::KeyId;
use crate::store::rows::{AlertRow, AlertStart, HabitsRow, alerts_json, habits_json};

/// In the order of the index on state and time, so that a page is read without sorting all the rest. Of
/// some keys, by the primary key.
macro_rules! read {
    ($whose:literal) => {
        concat!(
            "SELECT key_id, rule, acknowledged_at, acknowledged_by, body FROM api_key_alerts
             WHERE is_open >= $1 AND (is_open, raised_at) <= ($2, $3)
               AND ((is_open, raised_at) < ($2, $3) OR (key_id, rule) > ($4, $5))
               AND ($6::TEXT IS NULL OR rule = $6)",
            $whose,
            " ORDER BY is_open DESC, raised_at DESC, key_id, rule LIMIT $8"
        )
    };
}

const READ: &str = read!(" AND $7::TEXT[] IS NULL");
const READ_OF_KEYS: &str = read!(" AND key_id = ANY ($7::TEXT[])");

#[async_trait]
impl AlertLedger for PostgresStore {
    async fn put(&self, alerts: &[Alert]) -> Result<(), Error> {
        let rows = alerts_json(alerts)?;
        bounded(async {
            let mut lease = self.lease().await?;
            let put = query(
                "INSERT INTO api_key_alerts AS a (key_id, rule, is_open, raised_at, ended_at, body)
                 SELECT r ->> 0, r ->> 1, (r ->> 2)::BOOLEAN, (r ->> 3)::BIGINT, (r ->> 4)::BIGINT, r ->> 5
                 FROM jsonb_array_elements($1::TEXT::JSONB) AS e (r)
                 WHERE EXISTS (SELECT 1 FROM api_keys k WHERE k.id = r ->> 0)
                 ON CONFLICT (key_id, rule) DO UPDATE SET
                     is_open = excluded.is_open,
                     acknowledged_at = CASE WHEN a.raised_at = excluded.raised_at THEN a.acknowledged_at END,
                     acknowledged_by = CASE WHEN a.raised_at = excluded.raised_at THEN a.acknowledged_by END,
                     raised_at = excluded.raised_at,
                     ended_at = excluded.ended_at,
                     body = excluded.body",
            )
            .bind(rows)
            .execute(lease.connection()?)
            .await;
            lease.judge(put).map(drop)
        })
        .await
    }

    async fn read(&self, request: &AlertRequest) -> Result<Vec<Alert>, Error> {
        let from = AlertStart::of(request);
        let keys = request.keys.as_ref();
        let keys: Option<Vec<String>> =
            keys.map(|keys| keys.iter().map(KeyId::to_string).collect());
        bounded(async {
            let mut lease = self.lease().await?;
            let rows: Vec<AlertRow> = query_as(if keys.is_some() { READ_OF_KEYS } else { READ })
                .bind(from.lowest)
                .bind(from.is_open)
                .bind(from.raised_at)
                .bind(from.key)
                .bind(from.rule)
                .bind(request.rule.map(AlertRule::as_str))
                .bind(keys)
                .bind(i64::try_from(request.most).unwrap_or(i64::MAX))
                .fetch_all(lease.connection()?)
                .await
                .map_err(failed)?;
            rows.into_iter().map(AlertRow::into_alert).collect()
        })
        .await
    }

    async fn acknowledge(
        &self,
        key: KeyId,
        rule: AlertRule,
        by: &Acknowledged,
    ) -> Result<bool, Error> {
        bounded(async {
            let mut lease = self.lease().await?;
            let noted = query(
                "UPDATE api_key_alerts SET acknowledged_at = $3, acknowledged_by = $4
                 WHERE key_id = $1 AND rule = $2",
            )
            .bind(key.to_string())
            .bind(rule.as_str())
            .bind(by.at.as_millis())
            .bind(&by.by)
            .execute(lease.connection()?)
            .await;
            Ok(lease.judge(noted)?.rows_affected() > 0)
        })
        .await
    }

    async fn put_habits(&self, habits: &[KeyHabits]) -> Result<(), Error> {
        let rows = habits_json(habits)?;
        bounded(async {
            let mut lease = self.lease().await?;
            let put = query(
                "INSERT INTO api_key_habits AS h (key_id, seen_at, body)
                 SELECT r ->> 0, (r ->> 1)::BIGINT, r ->> 2
                 FROM jsonb_array_elements($1::TEXT::JSONB) AS e (r)
                 WHERE EXISTS (SELECT 1 FROM api_keys k WHERE k.id = r ->> 0)
                 ON CONFLICT (key_id) DO UPDATE SET seen_at = excluded.seen_at, body = excluded.body
                 WHERE h.seen_at <= excluded.seen_at",
            )
            .bind(rows)
            .execute(lease.connection()?)
            .await;
            lease.judge(put).map(drop)
        })
        .await
    }

    async fn habits(&self, most: usize) -> Result<Vec<KeyHabits>, Error> {
        bounded(async {
            let mut lease = self.lease().await?;
            let rows: Vec<HabitsRow> =
                query_as("SELECT key_id, body FROM api_key_habits ORDER BY seen_at DESC LIMIT $1")
                    .bind(i64::try_from(most).unwrap_or(i64::MAX))
                    .fetch_all(lease.connection()?)
                    .await
                    .map_err(failed)?;
            rows.into_iter().map(HabitsRow::into_habits).collect()
        })
        .await
    }

    async fn forget_before(&self, time: Timestamp) -> Result<(), Error> {
        bounded(async {
            for statement in [
                "DELETE FROM api_key_alerts WHERE NOT is_open AND ended_at < $1",
                "DELETE FROM api_key_habits WHERE seen_at < $1",
            ] {
                let mut lease = self.lease().await?;
                let forgotten = query(statement)
                    .bind(time.as_millis())
                    .execute(lease.connection()?)
                    .await;
                lease.judge(forgotten)?;
            }
            Ok(())
        })
        .await
    }
}
