//! Alerts, and what is usual for keys. They take no revision and stand in no trail.

use async_trait::async_trait;
use sqlx::{query, query_as};

use super::fault::failed;
use super::{SqliteStore, write};
use crate::alert::{Acknowledged, Alert, AlertLedger, AlertRequest, AlertRule, KeyHabits};
use crate::clock::Timestamp;
use crate::error::Error;
use crate::key::KeyId;
use crate::store::rows::{AlertRow, AlertStart, HabitsRow, alerts_json, habits_json, to_json};

/// In the order of the index on state and time, so that a page is read without sorting all the rest. Of
/// some keys, by the primary key.
macro_rules! read {
    ($whose:literal) => {
        concat!(
            "SELECT key_id, rule, acknowledged_at, acknowledged_by, body FROM api_key_alerts
             WHERE is_open >= ?1 AND (is_open, raised_at) <= (?2, ?3)
               AND ((is_open, raised_at) < (?2, ?3) OR (key_id, rule) > (?4, ?5))
               AND (?6 IS NULL OR rule = ?6)",
            $whose,
            " ORDER BY is_open DESC, raised_at DESC, key_id, rule LIMIT ?7"
        )
    };
}

const READ: &str = read!(" AND ?8 IS NULL");
const READ_OF_KEYS: &str = read!(" AND key_id IN (SELECT value FROM json_each(?8))");

#[async_trait]
impl AlertLedger for SqliteStore {
    async fn put(&self, alerts: &[Alert]) -> Result<(), Error> {
        let rows = alerts_json(alerts)?;
        let _turn = write::turn(self).await?;
        query(
            "INSERT INTO api_key_alerts AS a (key_id, rule, is_open, raised_at, ended_at, body)
             SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5
             FROM json_each(?1)
             WHERE EXISTS (SELECT 1 FROM api_keys k WHERE k.id = value ->> 0)
             ON CONFLICT (key_id, rule) DO UPDATE SET
                 is_open = excluded.is_open,
                 acknowledged_at = iif(a.raised_at = excluded.raised_at, a.acknowledged_at, NULL),
                 acknowledged_by = iif(a.raised_at = excluded.raised_at, a.acknowledged_by, NULL),
                 raised_at = excluded.raised_at,
                 ended_at = excluded.ended_at,
                 body = excluded.body",
        )
        .bind(rows)
        .execute(&self.pool)
        .await
        .map_err(failed)?;
        Ok(())
    }

    async fn read(&self, request: &AlertRequest) -> Result<Vec<Alert>, Error> {
        let from = AlertStart::of(request);
        let keys = request.keys.as_ref();
        let keys = keys.map(|keys| to_json("keys", keys)).transpose()?;
        let rows: Vec<AlertRow> = query_as(if keys.is_some() { READ_OF_KEYS } else { READ })
            .bind(from.lowest)
            .bind(from.is_open)
            .bind(from.raised_at)
            .bind(from.key)
            .bind(from.rule)
            .bind(request.rule.map(AlertRule::as_str))
            .bind(i64::try_from(request.most).unwrap_or(i64::MAX))
            .bind(keys)
            .fetch_all(&self.pool)
            .await
            .map_err(failed)?;
        rows.into_iter().map(AlertRow::into_alert).collect()
    }

    async fn acknowledge(
        &self,
        key: KeyId,
        rule: AlertRule,
        by: &Acknowledged,
    ) -> Result<bool, Error> {
        let _turn = write::turn(self).await?;
        let noted = query(
            "UPDATE api_key_alerts SET acknowledged_at = ?3, acknowledged_by = ?4
             WHERE key_id = ?1 AND rule = ?2",
        )
        .bind(key.to_string())
        .bind(rule.as_str())
        .bind(by.at.as_millis())
        .bind(&by.by)
        .execute(&self.pool)
        .await
        .map_err(failed)?;
        Ok(noted.rows_affected() > 0)
    }

    async fn put_habits(&self, habits: &[KeyHabits]) -> Result<(), Error> {
        let rows = habits_json(habits)?;
        let _turn = write::turn(self).await?;
        query(
            "INSERT INTO api_key_habits (key_id, seen_at, body)
             SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?1)
             WHERE EXISTS (SELECT 1 FROM api_keys k WHERE k.id = value ->> 0)
             ON CONFLICT (key_id) DO UPDATE SET seen_at = excluded.seen_at, body = excluded.body
             WHERE seen_at <= excluded.seen_at",
        )
        .bind(rows)
        .execute(&self.pool)
        .await
        .map_err(failed)?;
        Ok(())
    }

    async fn habits(&self, most: usize) -> Result<Vec<KeyHabits>, Error> {
        let rows: Vec<HabitsRow> =
            query_as("SELECT key_id, body FROM api_key_habits ORDER BY seen_at DESC LIMIT ?1")
                .bind(i64::try_from(most).unwrap_or(i64::MAX))
                .fetch_all(&self.pool)
                .await
                .map_err(failed)?;
        rows.into_iter().map(HabitsRow::into_habits).collect()
    }

    async fn forget_before(&self, time: Timestamp) -> Result<(), Error> {
        let _turn = write::turn(self).await?;
        for statement in [
            "DELETE FROM api_key_alerts WHERE is_open = 0 AND ended_at < ?1",
            "DELETE FROM api_key_habits WHERE seen_at < ?1",
        ] {
            query(statement)
                .bind(time.as_millis())
                .execute(&self.pool)
                .await
                .map_err(failed)?;
        }
        Ok(())
    }
}
