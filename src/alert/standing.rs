//! The alerts that are open, or were a while ago, and how many are told.

use std::collections::HashMap;
use std::net::IpAddr;

use super::{Alert, AlertRule, AlertSettings, AlertState};
use crate::clock::Timestamp;
use crate::key::KeyId;

/// What is to be done about alerts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    /// To tell, and to write down.
    Raised(Alert),
    /// To tell, and to write down.
    Resolved(Alert),
    /// Only to write down.
    Changed(Alert),
    /// To tell: so many alerts were not told in the minute that is over.
    HeldBack(u64),
}

/// What a rule has to say of a key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Finding {
    pub(super) key: KeyId,
    pub(super) rule: AlertRule,
    pub(super) value: u64,
    pub(super) threshold: u64,
    pub(super) address: Option<IpAddr>,
}

/// How many minutes something may come late.
const LATE: i64 = 5;

#[derive(Debug)]
struct Entry {
    alert: Alert,
    /// Whether it was told, so that its end has to be told too.
    is_told: bool,
}

#[derive(Debug)]
pub(super) struct Standing {
    entries: HashMap<(KeyId, AlertRule), Entry>,
    open: usize,
    minute: i64,
    raised: u32,
    resolved: u32,
    held_back: u64,
    notices: Vec<Notice>,
}

impl Standing {
    pub(super) fn new() -> Self {
        Self {
            entries: HashMap::new(),
            open: 0,
            minute: i64::MIN,
            raised: 0,
            resolved: 0,
            held_back: 0,
            notices: Vec::new(),
        }
    }

    /// Takes over what was open before a restart, or resolved a while ago.
    pub(super) fn remember(&mut self, alerts: Vec<Alert>, most: usize) {
        for alert in alerts.into_iter().take(most) {
            let is_open = alert.is_open();
            let entry = Entry {
                is_told: true,
                alert,
            };
            let name = (entry.alert.key, entry.alert.rule);
            if self.entries.insert(name, entry).is_none() {
                self.open += usize::from(is_open);
            }
        }
    }

    pub(super) fn open(&self) -> usize {
        self.open
    }

    pub(super) fn is_open(&self, key: KeyId, rule: AlertRule) -> bool {
        let entry = self.entries.get(&(key, rule));
        entry.is_some_and(|entry| entry.alert.is_open())
    }

    /// Who has an open alert of this rule.
    pub(super) fn of_rule(&self, rule: AlertRule) -> Vec<KeyId> {
        let open = self.entries.values().map(|entry| &entry.alert);
        open.filter(|alert| alert.rule == rule && alert.is_open())
            .map(|alert| alert.key)
            .collect()
    }

    /// The reason of an alert still stands, if there is one.
    pub(super) fn goes_on(&mut self, key: KeyId, rule: AlertRule, now: Timestamp) {
        if let Some(entry) = self.entries.get_mut(&(key, rule))
            && entry.alert.is_open()
        {
            entry.alert.seen_at = entry.alert.seen_at.max(now);
        }
    }

    /// Raises an alert, unless it stands already or did a moment ago. Returns whether there was room.
    pub(super) fn raise(&mut self, finding: &Finding, settings: &AlertSettings, now: Timestamp) {
        let name = (finding.key, finding.rule);
        if let Some(Entry { alert, .. }) = self.entries.get_mut(&name) {
            if alert.is_open() {
                alert.seen_at = alert.seen_at.max(now);
                return;
            }
            let since = alert.resolved_at.map(|end| now.saturating_since(end));
            if since.is_some_and(|since| since < settings.cool_down) {
                return;
            }
        }
        self.turn_minute(now);
        if self.open >= settings.open {
            self.held_back += 1;
            return;
        }
        if self.entries.len() >= settings.open.saturating_mul(2) {
            // Rather a cool-down too short than more than there is room for.
            self.entries.retain(|_, entry| entry.alert.is_open());
        }
        let mut alert = Alert::new(
            finding.key,
            finding.rule,
            now,
            finding.value,
            finding.threshold,
        );
        alert.address = finding.address;
        let is_told = self.raised < settings.told_per_minute;
        if is_told {
            self.raised += 1;
            self.notices.push(Notice::Raised(alert.clone()));
        } else {
            self.held_back += 1;
            self.notices.push(Notice::Changed(alert.clone()));
        }
        self.open += 1;
        self.entries.insert(name, Entry { alert, is_told });
    }

    /// The reason of an alert is gone.
    pub(super) fn resolve(
        &mut self,
        key: KeyId,
        rule: AlertRule,
        settings: &AlertSettings,
        now: Timestamp,
    ) {
        self.turn_minute(now);
        let Some(entry) = self.entries.get_mut(&(key, rule)) else {
            return;
        };
        if !entry.alert.is_open() {
            return;
        }
        entry.alert.state = AlertState::Resolved;
        entry.alert.resolved_at = Some(now);
        self.open = self.open.saturating_sub(1);
        let alert = entry.alert.clone();
        if entry.is_told && self.resolved < settings.told_per_minute {
            self.resolved += 1;
            self.notices.push(Notice::Resolved(alert));
        } else {
            self.notices.push(Notice::Changed(alert));
        }
    }

    /// Resolves what was not seen for long enough, and forgets what was resolved long ago.
    pub(super) fn settle(&mut self, settings: &AlertSettings, now: Timestamp) {
        let settled: Vec<_> = self
            .entries
            .values()
            .map(|entry| &entry.alert)
            .filter(|alert| alert.is_open() && !alert.rule.stands_until_told())
            .filter(|alert| now.saturating_since(alert.seen_at) >= settings.settling(alert.rule))
            .map(|alert| (alert.key, alert.rule))
            .collect();
        for (key, rule) in settled {
            self.resolve(key, rule, settings, now);
        }
        self.entries.retain(|_, entry| {
            let end = entry.alert.resolved_at;
            end.is_none_or(|end| now.saturating_since(end) < settings.cool_down)
        });
        self.turn_minute(now);
    }

    /// What is to be done, once.
    pub(super) fn take(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// How many entries there are, those in their cool-down included.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    fn turn_minute(&mut self, now: Timestamp) {
        let minute = now.as_millis().div_euclid(60_000);
        // What comes late belongs to the minute that has begun, unless the clock was set back.
        let is_late = minute <= self.minute && minute > self.minute.saturating_sub(LATE);
        if is_late {
            return;
        }
        self.minute = minute;
        (self.raised, self.resolved) = (0, 0);
        if self.held_back > 0 {
            let count = std::mem::take(&mut self.held_back);
            self.notices.push(Notice::HeldBack(count));
        }
    }
}
