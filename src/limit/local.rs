//! The rate limits of one key on this node, by governor's GCRA.
//!
//! 1. A request passes all limits or spends none.
//! 2. A change of the key keeps what was spent: only a limit of another name starts afresh.
//! 3. The time is the caller's: one clock reading serves the whole request.
//! 4. A key keeps what it has spent and nothing else; the [rules](LimitRules) are there once for all
//!    keys that have the same.

mod mirror;
mod rules;

use std::cell::Cell;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::StateInformationMiddleware;
use governor::nanos::Nanos;
use governor::state::{NotKeyed, StateStore};
use governor::{Quota, RateLimiter};

pub(crate) use self::rules::LimitRules;
use self::rules::Rule;
use crate::key::{LimitStatus, RateLimit};

/// What one key has spent of its rate limits.
///
/// `several` and `arrival` are written on every request, and nothing of another key may lie on their
/// cache line: two threads that use the two keys would slow each other down. So they stand in the
/// middle, with as much before and behind that wherever the allocator puts the set, the lines that they
/// are on are its own. Lines set apart for them would cost twice the memory.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct LimitSet {
    /// Made where requests are charged behind the gate.
    ceiling: OnceLock<Arc<Self>>,
    /// Where several limits stand; empty otherwise.
    more: Box<[Line]>,
    rules: Arc<LimitRules>,
    /// Held while several limits are asked, so that taking one back is exact. A single limit is one
    /// compare-and-swap without it.
    several: Mutex<()>,
    /// Where a single limit stands, the common case.
    arrival: Arrival,
    /// Until when (in ticks) what a shared limiter said last is believed.
    believed_until: AtomicU64,
    /// The single limit, so that its rule need not be read; nothing if there are several, or none.
    only: Option<Quota>,
    /// Whether every request counts for the single limit.
    counts_all: bool,
}

/// Where four of several limits stand, on a cache line of their own.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Line([Arrival; PER_LINE]);

const PER_LINE: usize = 4;

/// One of the limits: its rule, and where it stands.
#[derive(Clone, Copy, Debug)]
struct Limit<'a> {
    rule: &'a Rule,
    arrival: &'a Arrival,
}

/// How a limit stands that admitted a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Left {
    /// Which of the limits.
    at: u32,
    remaining: u32,
    /// In nanoseconds.
    full_in: u64,
}

/// The same, for those who are told of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing<'a> {
    pub(crate) limit: &'a Arc<RateLimit>,
    pub(crate) remaining: u32,
    pub(crate) resets_in: Duration,
}

impl<'a> From<&'a LimitStatus> for Standing<'a> {
    fn from(status: &'a LimitStatus) -> Self {
        Self {
            limit: &status.limit,
            remaining: status.remaining,
            resets_in: status.resets_in,
        }
    }
}

impl Standing<'_> {
    /// The same to be kept. It refers to the limit, which many keys may share: making it costs threads
    /// something.
    pub(crate) fn status(self) -> LimitStatus {
        LimitStatus::new(Arc::clone(self.limit), self.remaining, self.resets_in)
    }
}

/// A limit that refused, and when it would not.
#[derive(Clone, Debug)]
pub(crate) struct Exhausted {
    pub(crate) status: LimitStatus,
    pub(crate) retry_after: Duration,
}

/// A limit did not admit a request: how long it has to wait; nothing, if waiting does not help.
#[derive(Clone, Copy, Debug)]
struct Refused(Option<Duration>);

impl LimitSet {
    /// Fresh limits by rules of their own.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn new(rules: &[RateLimit]) -> Self {
        Self::of(&LimitRules::of(rules))
    }

    /// Fresh limits.
    pub(crate) fn of(rules: &Arc<LimitRules>) -> Self {
        Self::build(rules, |_| 0)
    }

    /// The limits of a changed key: what was spent under a name stays spent.
    pub(crate) fn succeeding(&self, rules: &Arc<LimitRules>) -> Self {
        let next = Self::build(rules, |rule| {
            let earlier = self
                .limits()
                .find(|limit| limit.rule.limit.name() == rule.name());
            earlier.map_or(0, |limit| limit.arrival.load())
        });
        if let Some(ceiling) = self.ceiling.get() {
            let ceiling = ceiling.succeeding(next.rules.ceiling());
            // It is new, so nobody else has set it.
            let _ = next.ceiling.set(Arc::new(ceiling));
        }
        next
    }

    fn build(rules: &Arc<LimitRules>, arrival: impl Fn(&RateLimit) -> u64) -> Self {
        let only = match rules.list() {
            [only] => Some(only),
            _ => None,
        };
        let lines = match only {
            Some(_) => 0,
            None => rules.list().len().div_ceil(PER_LINE),
        };
        let set = Self {
            ceiling: OnceLock::new(),
            more: (0..lines).map(|_| Line::default()).collect(),
            rules: Arc::clone(rules),
            believed_until: AtomicU64::new(0),
            arrival: Arrival::default(),
            several: Mutex::new(()),
            only: only.map(|rule| rule.quota),
            counts_all: only.is_some_and(|rule| rule.counts_all),
        };
        for limit in set.limits() {
            limit.arrival.set(arrival(&limit.rule.limit));
        }
        set
    }

    fn limits(&self) -> impl Iterator<Item = Limit<'_>> {
        let single = self.more.is_empty().then_some(&self.arrival).into_iter();
        let arrivals = single.chain(self.more.iter().flat_map(|line| &line.0));
        let limits = self.rules.list().iter().zip(arrivals);
        limits.map(|(rule, arrival)| Limit { rule, arrival })
    }

    /// Something of it, to have it fetched.
    pub(crate) fn glance(&self) -> u64 {
        self.arrival.load()
    }

    /// Whether these are the limits that `rules` ask for.
    pub(crate) fn implements(&self, rules: &LimitRules) -> bool {
        std::ptr::eq(&*self.rules, rules) || *self.rules == *rules
    }

    /// How a limit stands that admitted a request.
    pub(crate) fn standing_of(&self, left: Left) -> Option<Standing<'_>> {
        let rule = self.rules.list().get(left.at as usize)?;
        Some(Standing {
            limit: &rule.limit,
            remaining: left.remaining,
            resets_in: Duration::from_nanos(left.full_in),
        })
    }

    /// Takes from every limit what a request costs it, or from none anything. Returns the most
    /// restrictive limit that it cost something.
    pub(crate) fn take(
        &self,
        ticks: u64,
        cost_of: impl Fn(&RateLimit) -> u32,
    ) -> Result<Option<Left>, Exhausted> {
        match self.only {
            Some(_) => self.take_single(ticks, None, cost_of),
            None => self.take_several(ticks, None, cost_of),
        }
    }

    /// The same, where a limit that counts every request takes `whole`, and `cost_of` is asked about
    /// the others alone.
    #[inline]
    pub(crate) fn take_whole(
        &self,
        ticks: u64,
        whole: u32,
        cost_of: impl Fn(&RateLimit) -> u32,
    ) -> Result<Option<Left>, Exhausted> {
        match self.only {
            Some(_) => self.take_single(ticks, Some(whole), cost_of),
            None => self.take_several(ticks, Some(whole), cost_of),
        }
    }

    #[inline]
    fn take_single(
        &self,
        ticks: u64,
        whole: Option<u32>,
        cost_of: impl Fn(&RateLimit) -> u32,
    ) -> Result<Option<Left>, Exhausted> {
        let cost = match whole {
            Some(whole) if self.counts_all => whole,
            _ => self.rules.first().map_or(0, |rule| cost_of(&rule.limit)),
        };
        let (Some(cost), Some(quota)) = (NonZeroU32::new(cost), self.only) else {
            return Ok(None);
        };
        match self.arrival.take(quota, ticks, cost) {
            Ok(remaining) => Ok(Some(Left {
                at: 0,
                remaining,
                full_in: self.arrival.load().saturating_sub(ticks),
            })),
            Err(refused) => Err(self.exhausted(0, ticks, refused)),
        }
    }

    fn take_several(
        &self,
        ticks: u64,
        whole: Option<u32>,
        cost_of: impl Fn(&RateLimit) -> u32,
    ) -> Result<Option<Left>, Exhausted> {
        if self.more.is_empty() {
            return Ok(None);
        }
        let charge = |rule: &Rule| {
            NonZeroU32::new(match whole {
                Some(whole) if rule.counts_all => whole,
                _ => cost_of(&rule.limit),
            })
        };
        let _held = self.several.lock().unwrap_or_else(PoisonError::into_inner);
        let mut tightest: Option<Left> = None;
        for (at, Limit { rule, arrival }) in (0..).zip(self.limits()) {
            let Some(cost) = charge(rule) else { continue };
            match arrival.take(rule.quota, ticks, cost) {
                Ok(remaining) => {
                    if tightest.is_none_or(|other| remaining < other.remaining) {
                        let full_in = arrival.load().saturating_sub(ticks);
                        tightest = Some(Left {
                            at,
                            remaining,
                            full_in,
                        });
                    }
                }
                Err(refused) => {
                    let taken = self.limits().take(at as usize);
                    taken
                        .filter(|limit| charge(limit.rule).is_some())
                        .for_each(|limit| limit.arrival.take_back());
                    return Err(self.exhausted(at, ticks, refused));
                }
            }
        }
        Ok(tightest)
    }

    #[cold]
    fn exhausted(&self, at: u32, ticks: u64, refused: Refused) -> Exhausted {
        match self.limits().nth(at as usize) {
            Some(limit) => limit.exhausted(ticks, refused.0),
            // There is always one: it has just refused.
            None => Exhausted {
                status: LimitStatus::new(Arc::new(RateLimit::per_second(1)), 0, Duration::ZERO),
                retry_after: Duration::from_secs(1),
            },
        }
    }

    /// The limits, ten times as wide: what guards requests that cost nothing.
    pub(crate) fn ceiling(&self) -> &Self {
        self.ceiling
            .get_or_init(|| Arc::new(Self::of(self.rules.ceiling())))
    }

    /// Whether every limit has its whole burst again, so that forgetting the state changes nothing.
    pub(crate) fn is_idle(&self, ticks: u64) -> bool {
        self.limits().all(|limit| limit.arrival.load() <= ticks)
            && self
                .ceiling
                .get()
                .is_none_or(|ceiling| ceiling.is_idle(ticks))
    }
}

impl Limit<'_> {
    fn exhausted(&self, ticks: u64, retry_after: Option<Duration>) -> Exhausted {
        Exhausted {
            status: self.status(0, ticks),
            // No burst is large enough for one such request; waiting does not help.
            retry_after: retry_after.unwrap_or(self.rule.limit.unit().duration()),
        }
    }

    fn status(&self, remaining: u32, ticks: u64) -> LimitStatus {
        let resets_in = Duration::from_nanos(self.arrival.load().saturating_sub(ticks));
        LimitStatus::new(Arc::clone(&self.rule.limit), remaining, resets_in)
    }
}

type Limiter<'a> = RateLimiter<NotKeyed, &'a Arrival, RequestClock, StateInformationMiddleware>;

/// GCRA's one number: when the next request would arrive if all came evenly.
#[derive(Debug, Default)]
struct Arrival {
    at: AtomicU64,
    /// The number before the last successful take; read only under the lock of the set.
    before: AtomicU64,
}

impl Arrival {
    /// Takes a request of this cost at `ticks`: how many more would be admitted then.
    fn take(&self, quota: Quota, ticks: u64, cost: NonZeroU32) -> Result<u32, Refused> {
        // A limiter of its own for each request costs next to nothing, and leaves the state where it
        // lies. It counts from the clock's own zero, so that states can be carried over.
        let limiter: Limiter<'_> = RateLimiter::new(quota, self, RequestClock::default());
        limiter.clock().set(ticks);
        match limiter.check_n(cost) {
            Ok(Ok(after)) => Ok(after.remaining_burst_capacity()),
            Ok(Err(not_until)) => Err(Refused(Some(not_until.wait_time_from(Nanos::new(ticks))))),
            Err(_) => Err(Refused(None)),
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
mod tests;
