//! How often an address may fail before its unproven keys are no longer looked at.
//!
//! Keys already proven from the same address, an office or a proxy, are not touched: only the
//! cold path asks. The table is bounded. When it is full of addresses that are not idle, new ones
//! share one overflow entry; nobody's record is dropped to make room, since dropping it is what
//! an attacker with many addresses would want.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::{Quota, RateLimiter};

use crate::client_ip::AddressBucket;
use crate::key::RateLimit;

const MAX_ADDRESSES: usize = 65_536;

/// Counts failed attempts by address.
#[derive(Debug)]
pub(crate) struct FailureLimiter {
    limiter: RateLimiter<AddressBucket, Table, RequestClock, NoOpMiddleware<Nanos>>,
    table: Table,
    /// By how much the burst lets arrivals run ahead of the clock.
    tolerance: u64,
}

impl FailureLimiter {
    /// At most `rule` failures from one address; nothing if the rule admits none.
    pub(crate) fn new(rule: &RateLimit) -> Option<Self> {
        let (count, burst) = rule.sizes()?;
        let between = (rule.unit().duration() / count.get()).max(Duration::from_nanos(1));
        let quota = Quota::with_period(between)?.allow_burst(burst);
        let tolerance = between.saturating_mul(burst.get().saturating_sub(1));
        let table = Table::new(MAX_ADDRESSES);
        RequestClock::set(0);
        Some(Self {
            limiter: RateLimiter::new(quota, table.clone(), RequestClock),
            table,
            tolerance: u64::try_from(tolerance.as_nanos()).unwrap_or(u64::MAX),
        })
    }

    /// How long the address has to wait before another unproven key is looked at.
    pub(crate) fn blocked_for(&self, address: AddressBucket, ticks: u64) -> Option<Duration> {
        let earliest = self.table.arrival(address).saturating_sub(self.tolerance);
        let wait = earliest.checked_sub(ticks).filter(|&wait| wait > 0)?;
        Some(Duration::from_nanos(wait))
    }

    /// Counts a failure.
    pub(crate) fn record(&self, address: AddressBucket, ticks: u64) {
        RequestClock::set(ticks);
        // Whether it was within the limit shows at the next attempt, through `blocked_for`.
        let _ = self.limiter.check_key(&address);
    }
}

#[derive(Clone, Debug)]
struct Table(Arc<Mutex<Arrivals>>);

#[derive(Debug)]
struct Arrivals {
    of: HashMap<AddressBucket, u64>,
    /// Shared by the addresses that found no place.
    overflow: u64,
    capacity: usize,
    /// Not to look for idle entries again before this time.
    swept_until: u64,
}

const SWEEP_EVERY: u64 = 1_000_000_000;

impl Table {
    fn new(capacity: usize) -> Self {
        Self(Arc::new(Mutex::new(Arrivals {
            of: HashMap::new(),
            overflow: 0,
            capacity,
            swept_until: 0,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Arrivals> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn arrival(&self, address: AddressBucket) -> u64 {
        let arrivals = self.lock();
        match arrivals.of.get(&address) {
            Some(&at) => at,
            None if arrivals.of.len() >= arrivals.capacity => arrivals.overflow,
            None => 0,
        }
    }
}

impl Arrivals {
    fn make_room(&mut self, ticks: u64) {
        if self.of.len() >= self.capacity && ticks >= self.swept_until {
            self.of.retain(|_, at| *at > ticks);
            self.swept_until = ticks.saturating_add(SWEEP_EVERY);
        }
    }

    fn slot(&mut self, address: AddressBucket, ticks: u64) -> &mut u64 {
        self.make_room(ticks);
        if self.of.len() >= self.capacity && !self.of.contains_key(&address) {
            &mut self.overflow
        } else {
            self.of.entry(address).or_default()
        }
    }
}

impl StateStore for Table {
    type Key = AddressBucket;

    fn measure_and_replace<T, F, E>(&self, address: &AddressBucket, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let ticks = RequestClock.now().as_u64();
        let mut arrivals = self.lock();
        let at = arrivals.slot(*address, ticks);
        let (outcome, next) = decide((*at != 0).then(|| Nanos::new(*at)))?;
        *at = next.as_u64();
        Ok(outcome)
    }
}

/// The moment of the request that this thread is judging.
///
/// governor asks its clock; a thread-local answers with the one reading the request has made.
#[derive(Clone, Copy, Debug)]
struct RequestClock;

thread_local! {
    static TICKS: Cell<u64> = const { Cell::new(0) };
}

impl RequestClock {
    fn set(ticks: u64) {
        TICKS.set(ticks);
    }
}

impl Clock for RequestClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::new(TICKS.get())
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn address(n: u32) -> AddressBucket {
        AddressBucket::of(IpAddr::V4(Ipv4Addr::from(n)))
    }

    #[test]
    fn an_address_is_blocked_after_its_burst_and_free_again_in_time() {
        let failures = FailureLimiter::new(&RateLimit::per_minute(60).burst(3)).unwrap();
        for _ in 0..3 {
            assert_eq!(failures.blocked_for(address(1), SECOND), None);
            failures.record(address(1), SECOND);
        }
        assert_eq!(
            failures.blocked_for(address(1), SECOND),
            Some(Duration::from_secs(1))
        );
        assert_eq!(failures.blocked_for(address(2), SECOND), None);
        assert_eq!(failures.blocked_for(address(1), 2 * SECOND), None);
    }

    #[test]
    fn ten_thousand_addresses_of_one_ipv6_network_share_one_limit() {
        let failures = FailureLimiter::new(&RateLimit::per_minute(60).burst(10)).unwrap();
        let mut looked_at = 0;
        for host in 0..10_000_u128 {
            let address = Ipv6Addr::from(0x2001_0db8_0000_0001_u128 << 64 | host);
            let bucket = AddressBucket::of(IpAddr::V6(address));
            if failures.blocked_for(bucket, SECOND).is_none() {
                looked_at += 1;
                failures.record(bucket, SECOND);
            }
        }
        assert_eq!(looked_at, 10);
    }

    #[test]
    fn a_flood_of_addresses_drops_nobodys_record_and_stays_bounded() {
        let failures = FailureLimiter::new(&RateLimit::per_hour(60).burst(1)).unwrap();
        failures.record(address(0), SECOND);
        for n in 1..200_000 {
            failures.record(address(n), SECOND);
        }
        assert!(failures.blocked_for(address(0), SECOND).is_some());
        // A newcomer shares the overflow entry, which the flood has used up.
        assert!(failures.blocked_for(address(999_999), SECOND).is_some());
        assert!(failures.table.lock().of.len() <= MAX_ADDRESSES);
        // Once the flood is idle there is room again.
        let later = 3_600 * SECOND;
        failures.record(address(999_999), later);
        assert_eq!(failures.table.lock().of.len(), 1);
    }
}
