//! Alerts, and what is usual for keys, in memory.

use std::cmp::Reverse;
use std::collections::HashMap;

use async_trait::async_trait;

use super::MemoryStore;
use crate::alert::{Acknowledged, Alert, AlertLedger, AlertRequest, AlertRule, KeyHabits};
use crate::clock::Timestamp;
use crate::error::Error;
use crate::key::KeyId;

#[derive(Default)]
pub(super) struct Alerts {
    alerts: HashMap<(KeyId, AlertRule), Alert>,
    habits: HashMap<KeyId, KeyHabits>,
}

impl Alerts {
    pub(super) fn forget(&mut self, key: KeyId) {
        self.alerts.retain(|(of, _), _| *of != key);
        self.habits.remove(&key);
    }
}

#[async_trait]
impl AlertLedger for MemoryStore {
    async fn put(&self, alerts: &[Alert]) -> Result<(), Error> {
        let state = &mut *self.state();
        for alert in alerts {
            if !state.records.contains_key(&alert.key) {
                continue;
            }
            let mut alert = alert.clone();
            let name = (alert.key, alert.rule);
            let known = state.alerts.alerts.remove(&name);
            alert.acknowledged = known
                .filter(|known| known.raised_at == alert.raised_at)
                .and_then(|known| known.acknowledged);
            state.alerts.alerts.insert(name, alert);
        }
        Ok(())
    }

    async fn read(&self, request: &AlertRequest) -> Result<Vec<Alert>, Error> {
        let state = self.state();
        let alerts = state.alerts.alerts.values();
        let mut found: Vec<_> = alerts.filter(|alert| request.matches(alert)).collect();
        found.sort_by_cached_key(|alert| alert.place().rank());
        Ok(found.into_iter().take(request.most).cloned().collect())
    }

    async fn acknowledge(
        &self,
        key: KeyId,
        rule: AlertRule,
        by: &Acknowledged,
    ) -> Result<bool, Error> {
        let mut state = self.state();
        let alert = state.alerts.alerts.get_mut(&(key, rule));
        Ok(alert
            .map(|alert| alert.acknowledged = Some(by.clone()))
            .is_some())
    }

    async fn put_habits(&self, habits: &[KeyHabits]) -> Result<(), Error> {
        let state = &mut *self.state();
        for new in habits {
            let known = state.alerts.habits.get(&new.key);
            let is_older = known.is_some_and(|known| known.seen_at > new.seen_at);
            if state.records.contains_key(&new.key) && !is_older {
                state.alerts.habits.insert(new.key, new.clone());
            }
        }
        Ok(())
    }

    async fn habits(&self, most: usize) -> Result<Vec<KeyHabits>, Error> {
        let state = self.state();
        let mut habits: Vec<_> = state.alerts.habits.values().cloned().collect();
        habits.sort_by_key(|habits| Reverse(habits.seen_at));
        habits.truncate(most);
        Ok(habits)
    }

    async fn forget_before(&self, time: Timestamp) -> Result<(), Error> {
        let alerts = &mut self.state().alerts;
        let is_over = |alert: &Alert| alert.resolved_at.is_some_and(|end| end < time);
        alerts.alerts.retain(|_, alert| !is_over(alert));
        alerts.habits.retain(|_, habits| habits.seen_at >= time);
        Ok(())
    }
}
