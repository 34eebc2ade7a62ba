//! The rate limits of one key on this node, by governor's GCRA.
//!
//! 1. A request passes all limits or spends none.
//! 2. A change of the key keeps what was spent: only a limit of another name starts afresh.
//! 3. The time is the caller's: one clock reading serves the whole request.

mod mirror;

use std::cell::Cell;
use std::num::NonZeroU32;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::StateInformationMiddleware;
use governor::nanos::Nanos;
use governor::state::{NotKeyed, StateStore};
use governor::{Quota, RateLimiter};

use crate::key::{LimitStatus, RateLimit};

/// The longest time (in nanoseconds) that a burst may take to come back: 73 years.
const LONGEST: u64 = u64::MAX / 8;

/// All rate limits of one key, with their state.
#[derive(Debug)]
pub(crate) struct LimitSet {
    limits: Limits,
    /// Held while several limits are asked, so that taking one back is exact. A single limit,
    /// the common case, is one compare-and-swap without it.
    several: Mutex<()>,
    /// Made where requests are charged behind the gate.
    ceiling: OnceLock<Box<Self>>,
    /// Until when (in ticks) what a shared limiter said last is believed.
    believed_until: AtomicU64,
}

/// A single limit, the common case, stands in the set itself: nothing lies between.
#[derive(Debug)]
enum Limits {
    One(Limit),
    Several(Box<[Limit]>),
}

/// On a cache line of its own, where all is that a decision needs: neighbours in use by two threads
/// would slow each other down.
#[derive(Debug)]
#[repr(align(64))]
struct Limit {
    rule: Arc<RateLimit>,
    quota: Quota,
    arrival: Arrival,
    /// Whether every request counts, so that the rule need not be read.
    counts_all: bool,
}

/// A limit that admitted a request, and how it stands then.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing<'a> {
    rule: &'a Arc<RateLimit>,
    remaining: u32,
    /// In nanoseconds.
    full_in: u64,
}

impl Standing<'_> {
    /// The same for those who are told of it. It refers to the limit, so making it costs threads that
    /// share a key something.
    pub(crate) fn status(self) -> LimitStatus {
        let resets_in = Duration::from_nanos(self.full_in);
        LimitStatus::new(Arc::clone(self.rule), self.remaining, resets_in)
    }
}

/// A limit that refused, and when it would not.
#[derive(Clone, Debug)]
pub(crate) struct Exhausted {
    pub(crate) status: LimitStatus,
    pub(crate) retry_after: Duration,
}

impl LimitSet {
    /// Fresh limits. Rules that admit nothing are left out; none passes validation.
    pub(crate) fn new(rules: &[RateLimit]) -> Self {
        Self::build(rules, |_| 0)
    }

    /// The limits of a changed key: what was spent under a name stays spent.
    pub(crate) fn succeeding(&self, rules: &[RateLimit]) -> Self {
        let next = Self::build(rules, |rule| {
            let earlier = self
                .limits
                .iter()
                .find(|limit| limit.rule.name() == rule.name());
            earlier.map_or(0, |limit| limit.arrival.load())
        });
        if let Some(ceiling) = self.ceiling.get() {
            let ceiling = ceiling.succeeding(&next.ceilings());
            // It is new, so nobody else has set it.
            let _ = next.ceiling.set(Box::new(ceiling));
        }
        next
    }

    fn build(rules: &[RateLimit], arrival: impl Fn(&RateLimit) -> u64) -> Self {
        let limits = rules
            .iter()
            .filter_map(|rule| Limit::new(rule, arrival(rule)));
        Self {
            limits: Limits::of(limits.collect()),
            several: Mutex::new(()),
            ceiling: OnceLock::new(),
            believed_until: AtomicU64::new(0),
        }
    }

    /// Something of it, to have it fetched.
    pub(crate) fn glance(&self) -> u64 {
        self.limits.first().map_or(0, |limit| limit.arrival.load())
    }

    /// Whether these are the limits that `rules` ask for.
    pub(crate) fn implements(&self, rules: &[RateLimit]) -> bool {
        self.limits.iter().map(|limit| &*limit.rule).eq(rules)
    }

    /// Takes from every limit what a request costs it, or from none anything. Returns the most
    /// restrictive limit that it cost something.
    pub(crate) fn take(
        &self,
        ticks: u64,
        cost_of: impl Fn(&RateLimit) -> u32,
    ) -> Result<Option<Standing<'_>>, Exhausted> {
        self.charge(ticks, |limit| cost_of(&limit.rule))
    }

    /// The same, where a limit that counts every request takes `whole`, and `cost_of` is asked about
    /// the others alone.
    pub(crate) fn take_whole(
        &self,
        ticks: u64,
        whole: u32,
        cost_of: impl Fn(&RateLimit) -> u32,
    ) -> Result<Option<Standing<'_>>, Exhausted> {
        self.charge(ticks, |limit| match limit.counts_all {
            true => whole,
            false => cost_of(&limit.rule),
        })
    }

    fn charge(
        &self,
        ticks: u64,
        cost_of: impl Fn(&Limit) -> u32,
    ) -> Result<Option<Standing<'_>>, Exhausted> {
        let charge = |limit: &Limit| NonZeroU32::new(cost_of(limit));
        match &*self.limits {
            [] => Ok(None),
            [limit] => charge(limit)
                .map(|cost| limit.take(ticks, cost))
                .transpose(),
            limits => {
                let _held = self.several.lock().unwrap_or_else(PoisonError::into_inner);
                take_all(limits, ticks, charge)
            }
        }
    }

    /// The limits, ten times as wide: what guards requests that cost nothing.
    pub(crate) fn ceiling(&self) -> &Self {
        self.ceiling
            .get_or_init(|| Box::new(Self::new(&self.ceilings())))
    }

    fn ceilings(&self) -> Vec<RateLimit> {
        let rules = self.limits.iter().map(|limit| &limit.rule);
        rules
            .filter(|rule| rule.tool().is_none())
            .map(|rule| rule.ceiling())
            .collect()
    }

    /// Whether every limit has its whole burst again, so that forgetting the state changes nothing.
    pub(crate) fn is_idle(&self, ticks: u64) -> bool {
        let mut limits = self.limits.iter();
        limits.all(|limit| limit.arrival.load() <= ticks)
            && self
                .ceiling
                .get()
                .is_none_or(|ceiling| ceiling.is_idle(ticks))
    }
}

fn take_all(
    limits: &[Limit],
    ticks: u64,
    charge: impl Fn(&Limit) -> Option<NonZeroU32>,
) -> Result<Option<Standing<'_>>, Exhausted> {
    let mut tightest: Option<Standing<'_>> = None;
    for (at, limit) in limits.iter().enumerate() {
        let Some(cost) = charge(limit) else { continue };
        match limit.take(ticks, cost) {
            Ok(status) => {
                if tightest
                    .as_ref()
                    .is_none_or(|other| status.remaining < other.remaining)
                {
                    tightest = Some(status);
                }
            }
            Err(exhausted) => {
                let taken = limits.iter().take(at);
                taken
                    .filter(|limit| charge(limit).is_some())
                    .for_each(|limit| limit.arrival.take_back());
                return Err(exhausted);
            }
        }
    }
    Ok(tightest)
}

impl Limit {
    fn new(rule: &RateLimit, arrival: u64) -> Option<Self> {
        let (count, burst) = rule.sizes()?;
        let between = (rule.unit().duration() / count.get()).max(Duration::from_nanos(1));
        // governor's numbers end at 584 years.
        let most = LONGEST / u64::try_from(between.as_nanos()).ok()?.max(1);
        let burst = burst.min(NonZeroU32::new(u32::try_from(most).unwrap_or(u32::MAX))?);
        Some(Self {
            quota: Quota::with_period(between)?.allow_burst(burst),
            arrival: Arrival::starting_at(arrival),
            counts_all: rule.server().is_none() && rule.tool().is_none(),
            rule: Arc::new(rule.clone()),
        })
    }

    fn take(&self, ticks: u64, cost: NonZeroU32) -> Result<Standing<'_>, Exhausted> {
        // A limiter of its own for each request costs next to nothing, and leaves the state where it
        // lies. It counts from the clock's own zero, so that states can be carried over.
        let limiter: Limiter<'_> =
            RateLimiter::new(self.quota, &self.arrival, RequestClock::default());
        limiter.clock().set(ticks);
        match limiter.check_n(cost) {
            Ok(Ok(after)) => Ok(self.standing(after.remaining_burst_capacity(), ticks)),
            Ok(Err(not_until)) => {
                let wait = not_until.wait_time_from(Nanos::new(ticks));
                Err(self.exhausted(ticks, wait))
            }
            // No burst is large enough for one such request; waiting does not help.
            Err(_) => Err(self.exhausted(ticks, self.rule.unit().duration())),
        }
    }

    #[cold]
    fn exhausted(&self, ticks: u64, retry_after: Duration) -> Exhausted {
        Exhausted {
            status: self.standing(0, ticks).status(),
            retry_after,
        }
    }

    fn standing(&self, remaining: u32, ticks: u64) -> Standing<'_> {
        Standing {
            rule: &self.rule,
            remaining,
            full_in: self.arrival.load().saturating_sub(ticks),
        }
    }
}

type Limiter<'a> = RateLimiter<NotKeyed, &'a Arrival, RequestClock, StateInformationMiddleware>;

impl Limits {
    fn of(mut limits: Vec<Limit>) -> Self {
        match limits.pop() {
            Some(only) if limits.is_empty() => Self::One(only),
            last => {
                limits.extend(last);
                Self::Several(limits.into())
            }
        }
    }
}

impl Deref for Limits {
    type Target = [Limit];

    fn deref(&self) -> &[Limit] {
        match self {
            Self::One(limit) => std::slice::from_ref(limit),
            Self::Several(limits) => limits,
        }
    }
}

/// GCRA's one number: when the next request would arrive if all came evenly.
#[derive(Debug)]
struct Arrival {
    at: AtomicU64,
    /// The number before the last successful take; read only under the lock of the set.
    before: AtomicU64,
}

impl Arrival {
    fn starting_at(at: u64) -> Self {
        Self {
            at: AtomicU64::new(at),
            before: AtomicU64::new(at),
        }
    }

    fn load(&self) -> u64 {
        self.at.load(Ordering::Relaxed)
    }

    fn set(&self, at: u64) {
        self.at.store(at, Ordering::Relaxed);
    }

    fn take_back(&self) {
        self.set(self.before.load(Ordering::Relaxed));
    }
}

impl StateStore for &Arrival {
    type Key = NotKeyed;

    fn measure_and_replace<T, F, E>(&self, _: &NotKeyed, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut at = self.load();
        loop {
            let (outcome, next) = decide((at != 0).then(|| Nanos::new(at)))?;
            let swap = self.at.compare_exchange_weak(
                at,
                next.as_u64(),
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
            match swap {
                Ok(_) => {
                    self.before.store(at, Ordering::Relaxed);
                    return Ok(outcome);
                }
                Err(changed) => at = changed,
            }
        }
    }
}

/// The moment of the request that is being judged: governor asks its clock, which answers with the
/// one reading the request has made. Zero at first.
#[derive(Debug, Default)]
struct RequestClock(Cell<u64>);

impl RequestClock {
    fn set(&self, ticks: u64) {
        self.0.set(ticks);
    }
}

impl Clock for RequestClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::new(self.0.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn admitted(limits: &LimitSet, ticks: u64, tries: usize) -> usize {
        (0..tries)
            .filter(|_| limits.take(ticks, |_| 1).is_ok())
            .count()
    }

    #[test]
    fn sixty_per_minute_is_sixty_a_minute_and_not_one() {
        let limits = LimitSet::new(&[RateLimit::per_minute(60)]);
        assert_eq!(admitted(&limits, SECOND, 100), 60);
        assert_eq!(admitted(&limits, 2 * SECOND, 100), 1);
        assert_eq!(admitted(&limits, 62 * SECOND, 100), 60);
    }

    #[test]
    fn a_denied_request_spends_nothing_of_any_limit() {
        let rules = [
            RateLimit::per_minute(60).named("minute"),
            RateLimit::per_second(1).named("second"),
            RateLimit::per_hour(1_000).named("hour"),
        ];
        let limits = LimitSet::new(&rules);
        let first = limits.take(SECOND, |_| 1).unwrap().unwrap().status();
        assert_eq!((first.limit.name(), first.remaining), ("second", 0));
        for _ in 0..50 {
            let refused = limits.take(SECOND, |_| 1).unwrap_err();
            assert_eq!(refused.status.limit.name(), "second");
        }
        let second = limits.take(2 * SECOND, |_| 1).unwrap().unwrap();
        assert_eq!(second.remaining, 0);
        // Two were admitted and one second has passed: 59 of the minute's 60 are left.
        assert_eq!(
            limits.limits[0]
                .take(2 * SECOND, NonZeroU32::MIN)
                .unwrap()
                .remaining,
            58
        );
    }

    #[test]
    fn a_costly_request_takes_all_it_costs_or_nothing() {
        let limits = LimitSet::new(&[
            RateLimit::per_minute(10),
            RateLimit::per_minute(7).named("tighter"),
        ]);
        assert!(limits.take(SECOND, |_| 5).is_ok());
        assert!(limits.take(SECOND, |_| 5).is_err());
        assert_eq!(limits.take(SECOND, |_| 2).unwrap().unwrap().remaining, 0);
        assert!(limits.take(SECOND, |_| 0).unwrap().is_none());
        // 7 of 10 are spent: the refused ones took nothing.
        let first = &limits.limits[0];
        assert_eq!(first.take(SECOND, NonZeroU32::MIN).unwrap().remaining, 2);
        // No wait makes room for eleven.
        assert!(limits.take(3_600 * SECOND, |_| 11).is_err());
    }

    #[test]
    fn the_wait_is_exact_and_the_reset_is_the_whole_burst() {
        let limits = LimitSet::new(&[RateLimit::per_minute(6).burst(2)]);
        assert_eq!(admitted(&limits, SECOND, 2), 2);
        let refused = limits.take(SECOND, |_| 1).unwrap_err();
        assert_eq!(refused.retry_after, Duration::from_secs(10));
        assert_eq!(refused.status.resets_in, Duration::from_secs(20));
        assert!(limits.take(11 * SECOND - 1, |_| 1).is_err());
        assert!(limits.take(11 * SECOND, |_| 1).is_ok());
    }

    #[test]
    fn changing_one_limit_gives_no_fresh_budget_under_another_name() {
        let limits = LimitSet::new(&[RateLimit::per_minute(10).named("a")]);
        assert_eq!(admitted(&limits, SECOND, 20), 10);
        let changed = limits.succeeding(&[
            RateLimit::per_minute(10).named("a"),
            RateLimit::per_hour(100).named("b"),
        ]);
        assert!(changed.take(SECOND, |_| 1).is_err());
        assert!(!changed.is_idle(SECOND));
        assert!(changed.is_idle(62 * SECOND));
    }

    #[test]
    fn the_ceiling_is_ten_times_as_wide_and_never_too_low_for_a_quiet_client() {
        let limits = LimitSet::new(&[
            RateLimit::per_minute(60),
            RateLimit::per_minute(1)
                .on_tool("shell".parse().unwrap())
                .named("shell"),
        ]);
        assert_eq!(admitted(limits.ceiling(), SECOND, 1_000), 600);
        // One call a day; a ping every half second goes on for hours.
        let slow = LimitSet::new(&[RateLimit::per_day(1)]);
        assert_eq!(admitted(slow.ceiling(), SECOND, 1_000), 120);
        for step in 1..10_000 {
            assert_eq!(admitted(slow.ceiling(), SECOND + step * SECOND / 2, 1), 1);
        }
        assert_eq!(
            admitted(&slow, SECOND, 2),
            1,
            "the limit itself is as it was"
        );
    }

    #[test]
    fn the_ceiling_outlives_a_change_and_keeps_the_limits_from_being_forgotten() {
        let limits = LimitSet::new(&[RateLimit::per_minute(60)]);
        assert_eq!(admitted(limits.ceiling(), SECOND, 1_000), 600);
        assert!(
            !limits.is_idle(SECOND),
            "nothing was spent but of the ceiling"
        );
        let changed = limits.succeeding(&[
            RateLimit::per_minute(60),
            RateLimit::per_hour(100_000).named("b"),
        ]);
        assert_eq!(admitted(changed.ceiling(), SECOND, 10), 0);
        assert!(changed.is_idle(3_700 * SECOND));
    }

    #[test]
    fn many_threads_are_admitted_exactly_the_burst_and_the_rate() {
        for several in [false, true] {
            let mut rules = vec![RateLimit::per_second(100).burst(50)];
            if several {
                rules.push(RateLimit::per_hour(1_000_000).named("hour"));
            }
            let limits = LimitSet::new(&rules);
            let mut total = 0;
            for step in 0..200_u64 {
                let ticks = SECOND + step * 7_000_000;
                total += std::thread::scope(|scope| {
                    let threads: Vec<_> = (0..8)
                        .map(|_| scope.spawn(|| admitted(&limits, ticks, 40)))
                        .collect();
                    threads
                        .into_iter()
                        .map(|t| t.join().unwrap())
                        .sum::<usize>()
                });
                let exact = 50 + usize::try_from(step * 7 / 10).unwrap();
                assert!(
                    total.abs_diff(exact) <= 1,
                    "{total} against {exact} at step {step}"
                );
            }
        }
    }
}
