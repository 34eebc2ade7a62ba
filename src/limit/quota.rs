//! The quotas of one key on this node: what was taken from the store and is not used up yet.
//!
//! 1. A request takes its cost from all quotas, or from none.
//! 2. It takes from what this node holds already. Only when that is used up is the ledger asked, for
//!    a hundredth of the quota at a time: a write for every hundredth request, not for each. One
//!    call is under way at a time, and it asks for everybody who waits.
//! 3. What the ledger gave is noted there before any of it is used, so a quota is never exceeded,
//!    however many nodes use it and whatever crashes. A crash loses what was held: at most a
//!    hundredth of the quota, until its period ends. What was to be given back when the store did
//!    not answer is lost in the same way: it may have been given back.
//! 4. A change of the rules keeps what is held, in one place for the old rules and the new: nothing
//!    is spent twice while requests are judged by both.

mod held;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::timeout;

use self::held::{Held, Holdings};
use crate::clock::{Moment, Timestamp};
use crate::error::{Error, ErrorKind};
use crate::key::{KeyId, Quota};
use crate::store::{QuotaAccount, QuotaLedger};

/// A node takes so many units at a time at most, beside those that requests wait for.
const MOST_AT_ONCE: u64 = 1_000;

/// How long (in nanoseconds) an empty quota is believed to be empty: others may give back.
const EMPTY_FOR: u64 = 1_000_000_000;

/// After how long without use (in nanoseconds) what is held is given back.
const IDLE: u64 = 30_000_000_000;

/// How long to wait for the ledger.
const PATIENCE: Duration = Duration::from_secs(2);

/// All quotas of one key.
#[derive(Clone, Debug)]
pub(crate) struct QuotaSet {
    rules: Arc<[Quota]>,
    purse: Arc<Purse>,
}

/// What this node holds of the quotas of one key, whatever rules are in force.
#[derive(Debug, Default)]
struct Purse {
    held: Mutex<Holdings>,
    /// Held by whoever asks the ledger.
    asking: Arc<tokio::sync::Mutex<()>>,
    /// What the requests cost that wait for the ledger.
    awaited: AtomicU64,
}

/// What came of taking a request's cost.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Withdrawal {
    Made(Receipt),
    /// Not enough is held; [`QuotaSet::replenish`] asks the ledger.
    NotHeld,
    /// The quota is used up until its next period, which begins then.
    Exhausted(Quota, Timestamp),
}

/// Of which periods a request took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Receipt(u64);

impl QuotaSet {
    /// The quotas of a key that has just come into use; nothing if there are none.
    pub(crate) fn of(rules: &[Quota]) -> Option<Arc<Self>> {
        (!rules.is_empty()).then(|| Arc::new(Self::new(rules)))
    }

    fn new(rules: &[Quota]) -> Self {
        let set = Self {
            rules: rules.into(),
            purse: Arc::default(),
        };
        set.make_room(|_| false);
        set
    }

    /// The quotas of a changed key: what is held under a name stays held.
    pub(crate) fn succeeding(&self, rules: &[Quota]) -> Self {
        let set = Self {
            rules: rules.into(),
            purse: Arc::clone(&self.purse),
        };
        // Of a smaller amount perhaps nothing is left: the ledger is to say.
        set.make_room(|rule| {
            let old = self.rules.iter().find(|old| is_same(old, rule));
            old.is_some_and(|old| rule.amount() < old.amount())
        });
        set
    }

    /// Has a place for every rule. What is of none, or of a rule that got `smaller`, goes back.
    fn make_room(&self, smaller: impl Fn(&Quota) -> bool) {
        let mut held = self.held();
        for held in &mut held.of {
            // There may be more now.
            held.empty_until = 0;
            let rule = self.rules.iter().find(|rule| held.is_of(rule));
            if rule.is_none_or(&smaller) {
                held.returning = held
                    .returning
                    .saturating_add(std::mem::take(&mut held.left));
            }
        }
        held.of
            .retain(|held| held.returning > 0 || self.rules.iter().any(|rule| held.is_of(rule)));
        for rule in &*self.rules {
            if held.of.iter().all(|held| !held.is_of(rule)) {
                held.of.push(Held::of(rule));
            }
        }
    }

    /// Whether these are the quotas that `rules` ask for.
    pub(crate) fn implements(&self, rules: &[Quota]) -> bool {
        *self.rules == *rules
    }

    /// Takes `cost` from every quota, or from none.
    pub(crate) fn take(&self, cost: u32, now: Moment) -> Withdrawal {
        if self.rules.is_empty() || cost == 0 {
            return Withdrawal::Made(Receipt(0));
        }
        let cost = u64::from(cost);
        let mut held = self.held();
        let mut short = false;
        for rule in &*self.rules {
            let Some((held, (_, ends))) = held.enter(rule, now.wall) else {
                // The rules have changed meanwhile.
                return Withdrawal::NotHeld;
            };
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
        for held in self.of_rules(&mut held) {
            held.left = held.left.saturating_sub(cost);
            held.used_at = now.ticks;
        }
        Withdrawal::Made(Receipt(held.turn))
    }

    /// Gives back what a request took that was refused after all. If a period has ended meanwhile,
    /// that is lost: it must not be used in the next.
    pub(crate) fn untake(&self, cost: u32, receipt: Receipt) {
        let mut held = self.held();
        if held.turn == receipt.0 {
            for held in self.of_rules(&mut held) {
                held.left = held.left.saturating_add(cost.into());
            }
        }
    }

    /// Asks the ledger for more of what is short for a request of this cost, and calls `noted` when
    /// there may be more. What the ledger gives is kept even if the caller is gone by then.
    pub(crate) async fn replenish(
        &self,
        key: KeyId,
        ledger: &Arc<dyn QuotaLedger>,
        cost: u32,
        now: Moment,
        noted: impl FnOnce() + Send + 'static,
    ) -> Result<(), Error> {
        let _awaited = Awaited::add(&self.purse.awaited, cost.into());
        let asked = async {
            let turn = Arc::clone(&self.purse.asking).lock_owned().await;
            if !self.is_short(cost, now) {
                return Ok(());
            }
            let (set, ledger) = (self.clone(), Arc::clone(ledger));
            let asking = tokio::spawn(async move {
                let asked = set.ask(key, &*ledger, cost, now).await;
                drop(turn);
                noted();
                asked
            });
            asking
                .await
                .map_err(|died| unanswered().with_source(died))?
        };
        timeout(PATIENCE, asked)
            .await
            .map_err(|late| unanswered().with_source(late))?
    }

    /// Only called by whoever holds `asking`.
    async fn ask(
        &self,
        key: KeyId,
        ledger: &dyn QuotaLedger,
        cost: u32,
        now: Moment,
    ) -> Result<(), Error> {
        for rule in &*self.rules {
            let Some((account, left)) = self.shortage(rule, key, cost, now) else {
                continue;
            };
            if let Some(units) = self.owed(rule) {
                // Of an amount that got smaller these may be the last.
                ledger.give_back(&account, units).await?;
            }
            let missing = u64::from(cost).saturating_sub(left);
            let awaited = self.purse.awaited.load(Ordering::Relaxed);
            let at_once = (rule.amount() / 100).clamp(1, MOST_AT_ONCE);
            let wanted = missing.max(at_once).max(awaited.saturating_sub(left));
            let given = ledger.take(&account, wanted, rule.amount()).await?;
            let mut held = self.held();
            let held = held.of.iter_mut().find(|held| held.is_of(rule));
            // What is of a period that has ended meanwhile is of no use any more.
            if let Some(held) = held.filter(|held| held.began() == Some(account.period)) {
                held.left = held.left.saturating_add(given);
                if given < missing {
                    held.empty_until = now.ticks.saturating_add(EMPTY_FOR);
                }
            }
        }
        Ok(())
    }

    /// Of which account there is too little, and how much; nothing if somebody else asked meanwhile.
    fn shortage(
        &self,
        rule: &Quota,
        key: KeyId,
        cost: u32,
        now: Moment,
    ) -> Option<(QuotaAccount, u64)> {
        let mut held = self.held();
        let (held, (began, _)) = held.enter(rule, now.wall)?;
        let short = held.left < u64::from(cost) && now.ticks >= held.empty_until;
        short.then(|| (held.account(key, began), held.left))
    }

    /// What is to be given back of a quota, from now on by the caller.
    fn owed(&self, rule: &Quota) -> Option<u64> {
        let mut held = self.held();
        let held = held.of.iter_mut().find(|held| held.is_of(rule))?;
        Some(std::mem::take(&mut held.returning)).filter(|units| *units > 0)
    }

    fn is_short(&self, cost: u32, now: Moment) -> bool {
        let mut held = self.held();
        self.rules.iter().any(|rule| {
            let entered = held.enter(rule, now.wall);
            entered.is_some_and(|(held, _)| held.left < u64::from(cost))
        })
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
        let Ok(_turn) = timeout(PATIENCE, self.purse.asking.lock()).await else {
            return Err(unanswered());
        };
        let mut going = Vec::new();
        for held in &mut self.held().of {
            let in_use = idle_only && ticks < held.used_at.saturating_add(IDLE);
            let mut units = std::mem::take(&mut held.returning);
            if !in_use {
                units = units.saturating_add(std::mem::take(&mut held.left));
            }
            if units > 0 {
                // What goes back can be had again.
                held.empty_until = 0;
            }
            if let Some(began) = held.began().filter(|_| units > 0) {
                going.push((held.account(key, began), units));
            }
        }
        let mut outcome = Ok(());
        for (account, units) in going {
            // If this fails it may have taken effect: the units are not to be used here again.
            let given = timeout(PATIENCE, ledger.give_back(&account, units)).await;
            if let Err(error) = given.unwrap_or_else(|late| Err(unanswered().with_source(late))) {
                outcome = Err(error);
            }
        }
        outcome.map(|()| self.is_empty())
    }

    /// Whether nothing is held, so that forgetting the set loses nothing.
    pub(crate) fn is_empty(&self) -> bool {
        let nothing = |held: &Held| held.left == 0 && held.returning == 0;
        self.held().of.iter().all(nothing)
    }

    fn of_rules<'h>(&self, held: &'h mut Holdings) -> impl Iterator<Item = &'h mut Held> {
        let holdings = held.of.iter_mut();
        holdings.filter(|held| self.rules.iter().any(|rule| held.is_of(rule)))
    }

    fn held(&self) -> MutexGuard<'_, Holdings> {
        self.purse
            .held
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The cost of a request, for as long as it waits for the ledger.
struct Awaited<'a>(&'a AtomicU64, u64);

impl<'a> Awaited<'a> {
    fn add(sum: &'a AtomicU64, cost: u64) -> Self {
        sum.fetch_add(cost, Ordering::Relaxed);
        Self(sum, cost)
    }
}

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(self.1, Ordering::Relaxed);
    }
}

fn is_same(one: &Quota, other: &Quota) -> bool {
    one.name() == other.name() && one.period() == other.period()
}

fn unanswered() -> Error {
    Error::new(
        ErrorKind::Unavailable,
        "the ledger of quotas did not answer in time",
    )
}

#[cfg(test)]
mod tests;
