//! What this node knows of limits that are counted elsewhere.
//!
//! A shared limiter says after each decision how full a limit is. That is noted here, in the same
//! state that the limits of this node alone are counted in, and serves twice: what is known to be
//! over its limit need not be asked about, and when nobody answers, counting goes on from there
//! instead of from a fresh burst.
//!
//! 1. What is noted is never more than what was spent: others spend as well, and nobody is refused
//!    for something that would be admitted, unless something was given back.
//! 2. It is believed for a second. So a limiter that was emptied is asked again soon.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Exhausted, Limit, LimitSet};
use crate::key::{LimitStatus, RateLimit};
use crate::limit::Charge;

/// How long (in nanoseconds) an answer is believed.
const BELIEVED_FOR: u64 = 1_000_000_000;

impl LimitSet {
    /// What a request takes of which limits.
    pub(crate) fn charges(&self, cost_of: impl Fn(&RateLimit) -> u32) -> Vec<Charge> {
        let charge = |limit: Limit<'_>| {
            let cost = NonZeroU32::new(cost_of(&limit.rule.limit))?;
            Some(Charge::new(Arc::clone(&limit.rule.limit), cost))
        };
        self.limits().filter_map(charge).collect()
    }

    /// Whether a request takes anything at all.
    pub(crate) fn counts(&self, cost_of: impl Fn(&RateLimit) -> u32) -> bool {
        self.limits().any(|limit| cost_of(&limit.rule.limit) > 0)
    }

    /// The limit that would refuse the request, as far as that is known.
    pub(crate) fn known_refusal(
        &self,
        ticks: u64,
        cost_of: impl Fn(&RateLimit) -> u32,
    ) -> Option<Exhausted> {
        let is_believed = ticks < self.believed_until.load(Ordering::Relaxed);
        self.limits().find_map(|limit| {
            let rule = &limit.rule.limit;
            let cost = NonZeroU32::new(cost_of(rule))?;
            let retry_after = if cost.get() > rule.burst_size() {
                rule.unit().duration()
            } else if is_believed {
                limit.wait(ticks, cost)?
            } else {
                return None;
            };
            Some(Exhausted {
                status: limit.status(0, ticks),
                retry_after,
            })
        })
    }

    /// Takes over what a limiter said that was asked at `ticks`.
    pub(crate) fn note<'s>(&self, ticks: u64, standing: impl IntoIterator<Item = &'s LimitStatus>) {
        for status in standing {
            let named = |limit: &Limit<'_>| limit.rule.limit.name() == status.limit.name();
            if let Some(limit) = self.limits().find(named) {
                let full_again = ticks.saturating_add(nanos(status.resets_in));
                limit.arrival.set(full_again);
            }
        }
        let until = ticks.saturating_add(BELIEVED_FOR);
        self.believed_until.store(until, Ordering::Relaxed);
    }
}

/// For the limiter of the tests, which several nodes share in one process.
#[cfg(any(test, feature = "testing"))]
impl LimitSet {
    /// Where the limit stands that has this name.
    pub(crate) fn standing(&self, ticks: u64, name: &str) -> Option<LimitStatus> {
        let named = |limit: &Limit<'_>| limit.rule.limit.name() == name;
        let limit = self.limits().find(named)?;
        let between = limit.between();
        let burst = between.saturating_mul(limit.rule.limit.burst_size().into());
        let taken = limit.arrival.load().saturating_sub(ticks);
        let remaining = burst.saturating_sub(taken) / between;
        let remaining = u32::try_from(remaining).unwrap_or(u32::MAX);
        Some(limit.status(remaining, ticks))
    }

    /// Puts back what a request took.
    pub(crate) fn give_back(&self, cost_of: impl Fn(&RateLimit) -> u32) {
        for limit in self.limits() {
            let cost = cost_of(&limit.rule.limit);
            let taken = limit.between().saturating_mul(cost.into());
            let at = limit.arrival.load().saturating_sub(taken);
            limit.arrival.set(at);
        }
    }
}

impl Limit<'_> {
    /// How much time one request takes.
    fn between(&self) -> u64 {
        nanos(self.rule.limit.unit().duration() / self.rule.limit.count().max(1)).max(1)
    }

    /// How long a request that costs so much has to wait; nothing if it need not.
    fn wait(&self, ticks: u64, cost: NonZeroU32) -> Option<Duration> {
        let between = self.between();
        let burst = between.saturating_mul(self.rule.limit.burst_size().into());
        let after = self.arrival.load().max(ticks);
        let after = after.saturating_add(between.saturating_mul(cost.get().into()));
        let wait = after.saturating_sub(ticks.saturating_add(burst));
        (wait > 0).then(|| Duration::from_nanos(wait))
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn told(limits: &LimitSet, ticks: u64, name: &str, resets_in: u64) {
        let rule = RateLimit::per_minute(60).named(name);
        let status = LimitStatus::new(Arc::new(rule), 0, Duration::from_secs(resets_in));
        limits.note(ticks, [&status]);
    }

    #[test]
    fn what_is_known_to_be_over_is_refused_with_the_exact_wait_for_a_second() {
        let limits = LimitSet::new(&[RateLimit::per_minute(60).burst(10)]);
        assert!(limits.known_refusal(SECOND, |_| 1).is_none());
        told(&limits, SECOND, "default", 10);
        let wait = |ticks, cost: u32| {
            let refused = limits.known_refusal(ticks, |_| cost);
            refused.map(|refused| refused.retry_after.as_millis())
        };
        assert_eq!(wait(SECOND, 1), Some(1_000));
        assert_eq!(wait(SECOND, 5), Some(5_000));
        assert_eq!(wait(SECOND * 3 / 2, 1), Some(500));
        assert_eq!(wait(SECOND * 3 / 2, 0), None);
        // Then somebody has to be asked again.
        assert_eq!(wait(2 * SECOND, 5), None);
        // No answer makes room for what is larger than the burst.
        assert_eq!(wait(90 * SECOND, 11), Some(60_000));
    }

    #[test]
    fn counting_alone_goes_on_from_what_was_noted() {
        let limits = LimitSet::new(&[
            RateLimit::per_minute(60).burst(10),
            RateLimit::per_hour(60).named("hour"),
        ]);
        told(&limits, SECOND, "default", 7);
        assert!(!limits.is_idle(SECOND));
        let admitted = (0..20).filter(|_| limits.take(SECOND, |_| 1).is_ok());
        assert_eq!(admitted.count(), 3);
    }

    #[test]
    fn only_what_costs_something_is_charged() {
        let limits = LimitSet::new(&[
            RateLimit::per_minute(60),
            RateLimit::per_hour(60).named("hour"),
        ]);
        let cost = |rule: &RateLimit| if rule.name() == "hour" { 3 } else { 0 };
        let charges = limits.charges(cost);
        assert_eq!(charges.len(), 1);
        assert_eq!(
            (charges[0].limit.name(), charges[0].cost.get()),
            ("hour", 3)
        );
        assert!(limits.counts(cost));
        assert!(!limits.counts(|_| 0));
    }
}
