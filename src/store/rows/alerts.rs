//! Alerts and habits as rows.

use serde_json::Value;
use sqlx::FromRow;

use super::{Unreadable, corrupt, to_json};
use crate::alert::{Acknowledged, Alert, KeyHabits};
use crate::clock::Timestamp;
use crate::error::Error;

/// A row of `api_key_alerts`.
#[derive(FromRow)]
pub(in crate::store) struct AlertRow {
    acknowledged_at: Option<i64>,
    acknowledged_by: Option<String>,
    body: String,
}

impl AlertRow {
    pub(in crate::store) fn into_alert(self) -> Result<Alert, Error> {
        let mut alert: Alert = read(&self.body, "an alert cannot be read")?;
        alert.acknowledged = self
            .acknowledged_at
            .zip(self.acknowledged_by)
            .map(|(at, by)| Acknowledged {
                by,
                at: Timestamp::from_millis(at),
            });
        Ok(alert)
    }
}

/// What is usual for a key, as it is stored.
pub(in crate::store) fn into_habits(body: &str) -> Result<KeyHabits, Error> {
    read(body, "what is usual for a key cannot be read")
}

fn read<T: serde::de::DeserializeOwned>(body: &str, otherwise: &'static str) -> Result<T, Error> {
    serde_json::from_str(body)
        .map_err(|error| corrupt(otherwise).with_source(Unreadable::from(&error)))
}

/// Alerts as a list of lists, in the order of keys and rules: key, rule, whether it is open, when it was
/// raised, when it ended, and all of it.
pub(in crate::store) fn alerts_json(alerts: &[Alert]) -> Result<String, Error> {
    let mut alerts: Vec<_> = alerts.iter().collect();
    alerts.sort_by_key(|alert| (alert.key, alert.rule.as_str()));
    let row = |alert: &Alert| {
        let body = Alert {
            acknowledged: None,
            ..alert.clone()
        };
        Ok(Value::from(vec![
            alert.key.to_string().into(),
            alert.rule.as_str().into(),
            alert.is_open().into(),
            alert.raised_at.as_millis().into(),
            alert.resolved_at.map(|at| at.as_millis()).into(),
            Value::from(to_json("alert", &body)?),
        ]))
    };
    let rows: Vec<Value> = alerts.into_iter().map(row).collect::<Result<_, Error>>()?;
    to_json("alerts", &rows)
}

/// Habits as a list of lists: key, when it was seen, and all of it.
pub(in crate::store) fn habits_json(habits: &[KeyHabits]) -> Result<String, Error> {
    let mut habits: Vec<_> = habits.iter().collect();
    habits.sort_by_key(|habits| habits.key);
    let row = |habits: &KeyHabits| {
        Ok(Value::from(vec![
            habits.key.to_string().into(),
            habits.seen_at.as_millis().into(),
            Value::from(to_json("habits", habits)?),
        ]))
    };
    let rows: Vec<Value> = habits.into_iter().map(row).collect::<Result<_, Error>>()?;
    to_json("habits", &rows)
}
