//! Alerts and habits as rows.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Unreadable, corrupt, row, to_json};
use crate::alert::{Acknowledged, Alert, AlertRequest, AlertState, KeyHabits};
use crate::clock::Timestamp;
use crate::error::Error;

row! {
    /// A row of `api_key_alerts`.
    pub(in crate::store) struct AlertRow {
        key_id: String,
        rule: String,
        acknowledged_at: Option<i64>,
        acknowledged_by: Option<String>,
        body: String,
    }
}

impl AlertRow {
    pub(in crate::store) fn into_alert(self) -> Result<Alert, Error> {
        let mut alert: Alert = read(&self.body, || {
            format!(
                "the alert {:?} of the key {:?} cannot be read",
                self.rule, self.key_id
            )
        })?;
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

/// From where to where a list of alerts is read, in the order of `(is_open, raised_at)` from the highest
/// to the lowest, and then of key and rule from the lowest on.
pub(in crate::store) struct AlertStart {
    /// The lowest value of `is_open`.
    pub(in crate::store) lowest: bool,
    pub(in crate::store) is_open: bool,
    pub(in crate::store) raised_at: i64,
    pub(in crate::store) key: String,
    pub(in crate::store) rule: &'static str,
}

impl AlertStart {
    pub(in crate::store) fn of(request: &AlertRequest) -> Self {
        let lowest = request.state == Some(AlertState::Open);
        let highest = request.state != Some(AlertState::Resolved);
        match request.after {
            // All that are resolved come after a place among the open ones.
            Some(place) if highest || place.state == AlertState::Resolved => Self {
                lowest,
                is_open: place.state == AlertState::Open,
                raised_at: place.raised_at.as_millis(),
                key: place.key.to_string(),
                rule: place.rule.as_str(),
            },
            _ => Self {
                lowest,
                is_open: highest,
                raised_at: i64::MAX,
                key: String::new(),
                rule: "",
            },
        }
    }
}

row! {
    /// A row of `api_key_habits`: what is usual for a key.
    pub(in crate::store) struct HabitsRow {
        key_id: String,
        body: String,
    }
}

impl HabitsRow {
    pub(in crate::store) fn into_habits(self) -> Result<KeyHabits, Error> {
        read(&self.body, || {
            format!("what is usual for the key {:?} cannot be read", self.key_id)
        })
    }
}

fn read<T: DeserializeOwned>(body: &str, otherwise: impl Fn() -> String) -> Result<T, Error> {
    serde_json::from_str(body)
        .map_err(|error| corrupt(otherwise()).with_source(Unreadable::from(&error)))
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
