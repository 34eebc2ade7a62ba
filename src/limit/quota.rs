//! The quotas of one key on this node: what was taken from the store and is not used up yet.
//!
//! 1. A request takes its cost from all quotas, or from none.
//! 2. It takes from what this node holds already. Only when that is used up is the ledger asked, for
//!    a hundredth of the quota at a time: a write for every hundredth request, not for each.
//! 3. What the ledger gave is noted there before any of it is used, so a quota is never exceeded,
//!    however many nodes use it and whatever crashes. A crash loses what was held: at most a
//!    hundredth of the quota, until its period ends.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::clock::{Moment, Timestamp};
use crate::error::Error;
use crate::key::{KeyId, Quota};
use crate::store::{QuotaAccount, QuotaLedger};

/// A node takes so many units at a time at most.
const MOST_AT_ONCE: u64 = 1_000;

/// How long (in nanoseconds) an empty quota is believed to be empty: others may give back.
const EMPTY_FOR: u64 = 1_000_000_000;

/// After how long without use (in nanoseconds) what is held is given back.
const IDLE: u64 = 30_000_000_000;

/// All quotas of one key.
#[derive(Debug)]
pub(crate) struct QuotaSet {
    rules: Box<[Quota]>,
    held: Mutex<Box<[Held]>>,
    /// Held by whoever asks the ledger: one at a time is enough.
    asking: tokio::sync::Mutex<()>,
}

/// What this node holds of one quota.
#[derive(Clone, Copy, Debug, Default)]
struct Held {
    /// The period that it is of; none before the first request.
    period: Option<(Timestamp, Timestamp)>,
    left: u64,
    /// Until when (in ticks) there is no use in asking.
    empty_until: u64,
    used_at: u64,
}

/// What came of taking a request's cost.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Withdrawal {
    Made,
    /// Not enough is held; [`QuotaSet::replenish`] asks the ledger.
    NotHeld,
    /// The quota is used up until its next period, which begins then.
    Exhausted(Quota, Timestamp),
}

impl QuotaSet {
    /// The quotas of a key that has just come into use.
    pub(crate) fn new(rules: &[Quota]) -> Self {
        Self::build(rules, |_| Held::default())
    }

    /// The quotas of a changed key: what is held under a name stays held.
    pub(crate) fn succeeding(&self, rules: &[Quota]) -> Self {
        let held = self.held();
        Self::build(rules, |rule| {
            let mut known = self.rules.iter().zip(held.iter());
            known
                .find(|(old, _)| old.name() == rule.name() && old.period() == rule.period())
                .map_or_else(Held::default, |(_, held)| Held {
                    // There may be more now.
                    empty_until: 0,
                    ..*held
                })
        })
    }

    fn build(rules: &[Quota], held: impl Fn(&Quota) -> Held) -> Self {
        Self {
            rules: rules.into(),
            held: Mutex::new(rules.iter().map(held).collect()),
            asking: tokio::sync::Mutex::default(),
        }
    }

    /// Whether these are the quotas that `rules` ask for.
    pub(crate) fn implements(&self, rules: &[Quota]) -> bool {
        *self.rules == *rules
    }

    /// Takes `cost` from every quota, or from none.
    pub(crate) fn take(&self, cost: u32, now: Moment) -> Withdrawal {
        if self.rules.is_empty() || cost == 0 {
            return Withdrawal::Made;
        }
        let cost = u64::from(cost);
        let mut held = self.held();
        let mut short = false;
        for (rule, held) in self.rules.iter().zip(held.iter_mut()) {
            let (_, ends) = held.enter(rule, now.wall);
            if held.left >= cost {
                continue;
            }
            if now.ticks < held.empty_until {
                return Withdrawal::Exhausted(rule.clone(), ends);
            }
            short = true;
        }
        if short {
            return Withdrawal::NotHeld;
        }
        for held in held.iter_mut() {
            held.left -= cost;
            held.used_at = now.ticks;
        }
        Withdrawal::Made
    }

    /// Gives back what a request took that was refused after all.
    pub(crate) fn untake(&self, cost: u32) {
        for held in self.held().iter_mut() {
            held.left = held.left.saturating_add(cost.into());
        }
    }

    /// Asks the ledger for more of what is short for a request of this cost.
    pub(crate) async fn replenish(
        &self,
        key: KeyId,
        ledger: &dyn QuotaLedger,
        cost: u32,
        now: Moment,
    ) -> Result<(), Error> {
        let _asking = self.asking.lock().await;
        for (at, rule) in self.rules.iter().enumerate() {
            let Some((account, missing)) = self.shortage(at, rule, key, cost, now) else {
                continue;
            };
            let at_once = (rule.amount() / 100).clamp(1, MOST_AT_ONCE);
            let wanted = missing.max(at_once);
            let given = ledger.take(&account, wanted, rule.amount()).await?;
            if let Some(held) = self.held().get_mut(at) {
                held.left = held.left.saturating_add(given);
                if given < missing {
                    held.empty_until = now.ticks.saturating_add(EMPTY_FOR);
                }
            }
        }
        Ok(())
    }

    /// Of which account how much is missing; nothing if somebody else asked meanwhile.
    fn shortage(
        &self,
        at: usize,
        rule: &Quota,
        key: KeyId,
        cost: u32,
        now: Moment,
    ) -> Option<(QuotaAccount, u64)> {
        let mut held = self.held();
        let held = held.get_mut(at)?;
        let (period, _) = held.enter(rule, now.wall);
        let missing = u64::from(cost).saturating_sub(held.left);
        let account = QuotaAccount {
            key,
            quota: rule.name().to_owned(),
            period,
        };
        (missing > 0 && now.ticks >= held.empty_until).then_some((account, missing))
    }

    /// Gives what is held back to the ledger; with `idle_only`, what was not used for a while.
    /// Returns whether nothing is held any more.
    pub(crate) async fn release(
        &self,
        key: KeyId,
        ledger: &dyn QuotaLedger,
        ticks: u64,
        idle_only: bool,
    ) -> Result<bool, Error> {
        let _asking = self.asking.lock().await;
        for (at, rule) in self.rules.iter().enumerate() {
            let (units, period) = {
                let mut held = self.held();
                let Some(held) = held.get_mut(at) else {
                    continue;
                };
                let in_use = idle_only && ticks < held.used_at.saturating_add(IDLE);
                let Some((period, _)) = held.period.filter(|_| held.left > 0 && !in_use) else {
                    continue;
                };
                (std::mem::take(&mut held.left), period)
            };
            let account = QuotaAccount {
                key,
                quota: rule.name().to_owned(),
                period,
            };
            if let Err(error) = ledger.give_back(&account, units).await {
                if let Some(held) = self.held().get_mut(at) {
                    held.left = held.left.saturating_add(units);
                }
                return Err(error);
            }
        }
        Ok(self.is_empty())
    }

    /// Whether nothing is held, so that forgetting the set loses nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.held().iter().all(|held| held.left == 0)
    }

    fn held(&self) -> MutexGuard<'_, Box<[Held]>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// Begins a new period if the last one is over. A clock that was set back begins none.
    fn enter(&mut self, rule: &Quota, now: Timestamp) -> (Timestamp, Timestamp) {
        match self.period {
            Some(period) if now < period.1 => period,
            _ => {
                let period = rule.period().around(now);
                *self = Self {
                    period: Some(period),
                    used_at: self.used_at,
                    ..Self::default()
                };
                period
            }
        }
    }
}

#[cfg(test)]
mod tests;
