//! The rules: what is seen of keys is judged as it comes, and what is no more after a while.
//!
//! A rule has two thresholds. From the upper one on it raises its alert; while the value is above the
//! lower one (half of it, or about that) the alert stands. It is resolved when that was not seen for
//! some minutes, so that what goes up and down about a threshold raises one alert and not many.

use std::net::IpAddr;
use std::time::Duration;

use super::habit::{Counts, Habits};
use super::standing::{Finding, Standing};
use super::{Alert, AlertRule, AlertSettings, KeyHabits, Notice};
use crate::clock::Timestamp;
use crate::key::KeyId;

/// How many requests over a limit make an alert, of those in five minutes.
const LIMITED: u32 = 10;

/// How often it is asked what a key's limits are, and what it used of its quotas.
const ASK_EVERY: Duration = Duration::from_secs(600);

/// How many keys may wait to be asked for.
const QUESTIONS: usize = 64;

/// What a key did since the last time that this was told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Its requests, but for those that a revoked or expired key made.
    pub(crate) requests: u32,
    /// Those of them that were refused or failed, but for those over a limit.
    pub(crate) failed: u32,
    /// Those of them that were over a limit.
    pub(crate) limited: u32,
    /// Requests of the key although it is revoked.
    pub(crate) revoked: u32,
    /// Requests of the key although it has expired.
    pub(crate) expired: u32,
}

/// What the store knows of a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct KeyFacts {
    /// What its tightest rate limit admits in a minute.
    pub(crate) per_minute: Option<u32>,
    /// How much it used of the quota that it used most of, in percent.
    pub(crate) quota_percent: Option<u64>,
}

/// The rules at work.
#[derive(Debug)]
pub(crate) struct Rules {
    settings: AlertSettings,
    habits: Habits,
    standing: Standing,
    questions: Vec<KeyId>,
}

impl Rules {
    pub(crate) fn new(settings: AlertSettings) -> Self {
        Self {
            habits: Habits::new(settings.keys),
            standing: Standing::new(),
            questions: Vec::new(),
            settings,
        }
    }

    pub(crate) fn settings(&self) -> &AlertSettings {
        &self.settings
    }

    /// Takes over what was known before a restart.
    pub(crate) fn remember(&mut self, alerts: Vec<Alert>, habits: &[KeyHabits]) {
        self.standing.remember(alerts, self.settings.open);
        self.habits.remember(habits);
    }

    /// What a key did.
    pub(crate) fn used(&mut self, key: KeyId, tally: Tally, now: Timestamp) {
        for (rule, times) in [
            (AlertRule::RevokedUsed, tally.revoked),
            (AlertRule::ExpiredUsed, tally.expired),
        ] {
            if times > 0 {
                self.presented(key, rule, None, times.into(), now);
            }
        }
        if tally.requests == 0 {
            return;
        }
        let habit = self.habits.of(key, now);
        let counts = Counts {
            requests: tally.requests,
            failed: tally.failed,
            limited: tally.limited,
        };
        habit.add(counts, &self.settings, now);
        let (minute, window) = (habit.this_minute(), habit.window());
        let (spike_from, limit) = (habit.spike_from(&self.settings), habit.limit);
        let is_due = |asked: Timestamp| now.saturating_since(asked) >= ASK_EVERY;
        if self.questions.len() < QUESTIONS && habit.asked.is_none_or(is_due) {
            habit.asked = Some(now);
            self.questions.push(key);
        }
        if let Some(from) = spike_from {
            let middle = (from / 2).max(1);
            self.judge(key, AlertRule::Spike, (minute.requests, from, middle), now);
        }
        let percent = AlertSettings::percent(window.failed, window.requests);
        let (from, enough) = (self.settings.error_percent, self.settings.error_requests);
        if window.requests >= enough {
            self.judge(key, AlertRule::Errors, (percent, from, from / 2), now);
        }
        let from = self.settings.limit_percent;
        let used = match limit {
            _ if window.limited >= LIMITED => 100,
            Some(limit) => AlertSettings::percent(minute.requests, limit),
            None => 0,
        };
        self.judge(key, AlertRule::NearLimit, (used, from, from * 3 / 4), now);
    }

    /// Somebody presented a key that is revoked or has expired.
    pub(crate) fn presented(
        &mut self,
        key: KeyId,
        rule: AlertRule,
        address: Option<IpAddr>,
        times: u64,
        now: Timestamp,
    ) {
        let finding = Finding {
            key,
            rule,
            value: times,
            threshold: 1,
            address,
        };
        self.raise(&finding, now);
    }

    /// A key was used from an address.
    pub(crate) fn seen_from(&mut self, key: KeyId, address: IpAddr, now: Timestamp) {
        if self.habits.of(key, now).is_new_from(address) {
            let rule = AlertRule::NewNetwork;
            self.presented(key, rule, Some(address), 1, now);
        }
    }

    /// Keys of which it is not known how much they may do, once.
    pub(crate) fn questions(&mut self, most: usize) -> Vec<KeyId> {
        let kept = self.questions.len().saturating_sub(most);
        self.questions.split_off(kept)
    }

    /// What the store knows of a key that was asked for.
    pub(crate) fn learned(&mut self, key: KeyId, facts: &KeyFacts, now: Timestamp) {
        if let Some(habit) = self.habits.known(key) {
            habit.limit = facts.per_minute.filter(|limit| *limit > 0);
        }
        let (used, from) = (
            facts.quota_percent.unwrap_or(0),
            u64::from(self.settings.quota_percent),
        );
        let rule = AlertRule::NearQuota;
        if used >= from {
            let finding = Finding {
                key,
                rule,
                value: used,
                threshold: from,
                address: None,
            };
            self.raise(&finding, now);
        } else if used < from * 3 / 4 {
            self.standing.resolve(key, rule, &self.settings, now);
        }
    }

    /// All keys of which a rule that looks at the store holds, with the value; if there are more than
    /// these, `is_all` says so, and nothing is concluded about others.
    pub(crate) fn swept(
        &mut self,
        rule: AlertRule,
        found: &[(KeyId, u64)],
        is_all: bool,
        now: Timestamp,
    ) {
        let threshold = match rule {
            AlertRule::Idle => self.settings.idle_for.as_secs() / 86_400,
            _ => self.settings.expiring_within.as_secs() / 3_600,
        };
        for (key, value) in found {
            let finding = Finding {
                key: *key,
                rule,
                value: *value,
                threshold,
                address: None,
            };
            self.raise(&finding, now);
        }
        if is_all {
            let found: std::collections::HashSet<_> = found.iter().map(|(key, _)| key).collect();
            for key in self.standing.of_rule(rule) {
                if !found.contains(&key) {
                    self.standing.resolve(key, rule, &self.settings, now);
                }
            }
        }
    }

    /// Who has an open alert about a quota, which is not asked for while the key is not used.
    pub(crate) fn near_quota(&self) -> Vec<KeyId> {
        self.standing.of_rule(AlertRule::NearQuota)
    }

    /// Lets time pass. Returns what is to be done, once.
    pub(crate) fn tick(&mut self, now: Timestamp) -> Vec<Notice> {
        self.standing.settle(&self.settings, now);
        self.standing.take()
    }

    /// What is usual for up to `most` keys, if that is news.
    pub(crate) fn take_unsaved(&mut self, most: usize, now: Timestamp) -> Vec<KeyHabits> {
        self.habits.take_unsaved(most, now)
    }

    /// How many alerts are open.
    pub(crate) fn open(&self) -> usize {
        self.standing.open()
    }

    /// How many keys, and how many alerts, are held in memory.
    #[cfg(test)]
    fn held(&self) -> (usize, usize) {
        (self.habits.len(), self.standing.len())
    }

    /// Compares a value with the threshold from which on an alert is raised, and with that above which
    /// it stands.
    fn judge(
        &mut self,
        key: KeyId,
        rule: AlertRule,
        (value, from, stands): (u32, u32, u32),
        now: Timestamp,
    ) {
        if value >= from {
            let finding = Finding {
                key,
                rule,
                value: value.into(),
                threshold: from.into(),
                address: None,
            };
            self.raise(&finding, now);
        } else if value >= stands {
            self.standing.goes_on(key, rule, now);
        } else if let Some(habit) = self.habits.known(key) {
            habit.skipped &= !rule.bit();
        }
    }

    fn raise(&mut self, finding: &Finding, now: Timestamp) {
        let (key, rule) = (finding.key, finding.rule);
        if !self.settings.has(rule) {
            return;
        }
        let is_full = self.standing.open() >= self.settings.open;
        if is_full && !self.standing.is_open(key, rule) {
            // Counted once, and not each time that it is seen.
            if let Some(habit) = self.habits.known(key) {
                if habit.skipped & rule.bit() != 0 {
                    return;
                }
                habit.skipped |= rule.bit();
            }
        }
        self.standing.raise(finding, &self.settings, now);
    }
}

impl AlertSettings {
    fn percent(part: u32, whole: u32) -> u32 {
        let percent = u64::from(part) * 100 / u64::from(whole.max(1));
        u32::try_from(percent).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests;
