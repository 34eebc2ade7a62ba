//! What every [`SharedLimiter`] promises, as tests.
//!
//! One function for each promise; none minds what others have done, since each uses keys of its own.
//! [`run_all`] calls them all:
//!
//! ```
//! use mcp_api_keys::testing::{ManualClock, limiter};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let clock = ManualClock::at("2026-07-28T10:00:00Z".parse()?);
//! let pass = async |time| clock.advance(time);
//! limiter::run_all(limiter::LocalLimiter::new(clock.clone()), pass).await;
//! # Ok(())
//! # }
//! ```

mod local;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

pub use self::local::LocalLimiter;
use crate::clock::Timestamp;
use crate::key::{KeyId, LimitStatus, RateLimit};
use crate::limit::{Charge, Decision, SharedLimiter};

/// Checks every promise. `pass` lets time pass for the limiter, by waiting if need be.
///
/// # Panics
///
/// If a promise is broken.
pub async fn run_all(limiter: impl SharedLimiter, pass: impl AsyncFn(Duration)) {
    let limiter: Arc<dyn SharedLimiter> = Arc::new(limiter);
    let one = &*limiter;
    admits_the_burst_and_says_how_long_to_wait(one).await;
    charges_all_limits_or_none(one).await;
    names_the_first_limit_that_refuses(one).await;
    charges_what_a_request_costs(one).await;
    takes_back_what_was_charged(one).await;
    keeps_what_was_spent_when_a_limit_changes(one).await;
    counts_keys_and_names_apart(one).await;
    reckons_with_the_largest_numbers(one).await;
    reckons_with_fractions(one, &pass).await;
    lets_time_bring_back_what_was_spent(one, &pass).await;
    admits_many_at_once_exactly_the_burst(limiter).await;
}

/// A key that nobody has used.
pub fn fresh_key() -> KeyId {
    KeyId::generate(Timestamp::from_millis(1_790_000_000_000))
}

/// A charge of `cost` to `limit`.
///
/// # Panics
///
/// If the cost is zero.
pub fn charge(limit: &RateLimit, cost: u32) -> Charge {
    let cost = NonZeroU32::new(cost).expect("what costs nothing is no charge");
    Charge::new(Arc::new(limit.clone()), cost)
}

/// The burst comes at once, with what remains of it; then the wait is until the next is due.
pub async fn admits_the_burst_and_says_how_long_to_wait(limiter: &dyn SharedLimiter) {
    let (key, limit) = (fresh_key(), RateLimit::per_hour(6).burst(3));
    for remaining in [2, 1, 0] {
        let standing = taken(limiter, key, &[charge(&limit, 1)]).await;
        assert_eq!(standing[0].remaining, remaining);
        assert_eq!(*standing[0].limit, limit);
        close(standing[0].resets_in, u64::from(3 - remaining) * 600);
    }
    let (status, wait) = refused(limiter, key, &[charge(&limit, 1)]).await;
    assert_eq!((&*status.limit, status.remaining), (&limit, 0));
    close(wait, 600);
    close(status.resets_in, 1_800);
}

/// A limit that would admit a request is not charged if another refuses it.
pub async fn charges_all_limits_or_none(limiter: &dyn SharedLimiter) {
    let key = fresh_key();
    let wide = RateLimit::per_hour(10).named("wide");
    let narrow = RateLimit::per_hour(2).named("narrow");
    let both = [charge(&wide, 1), charge(&narrow, 1)];
    for (left, few) in [(9, 1), (8, 0)] {
        let standing = taken(limiter, key, &both).await;
        let remaining: Vec<u32> = standing.iter().map(|status| status.remaining).collect();
        assert_eq!(remaining, [left, few], "in the order of the charges");
    }
    for _ in 0..20 {
        let (status, _) = refused(limiter, key, &both).await;
        assert_eq!(status.limit.name(), "narrow");
    }
    let standing = taken(limiter, key, &both[..1]).await;
    assert_eq!(standing[0].remaining, 7);
}

/// Of two limits that refuse, the first is named.
pub async fn names_the_first_limit_that_refuses(limiter: &dyn SharedLimiter) {
    let key = fresh_key();
    let limits = ["a", "b"].map(|name| RateLimit::per_hour(1).named(name));
    let charges = [charge(&limits[0], 1), charge(&limits[1], 1)];
    taken(limiter, key, &charges).await;
    let (status, _) = refused(limiter, key, &charges).await;
    assert_eq!(status.limit.name(), "a");
}

/// A request takes all that it costs, or nothing.
pub async fn charges_what_a_request_costs(limiter: &dyn SharedLimiter) {
    let (key, limit) = (fresh_key(), RateLimit::per_hour(10));
    assert_eq!(
        taken(limiter, key, &[charge(&limit, 7)]).await[0].remaining,
        3
    );
    let (_, wait) = refused(limiter, key, &[charge(&limit, 4)]).await;
    close(wait, 360);
    assert_eq!(
        taken(limiter, key, &[charge(&limit, 3)]).await[0].remaining,
        0
    );
}

/// What is given back can be taken again, of each limit as much as was charged.
pub async fn takes_back_what_was_charged(limiter: &dyn SharedLimiter) {
    let key = fresh_key();
    let limits = ["a", "b"].map(|name| RateLimit::per_hour(10).named(name));
    let charges = [charge(&limits[0], 6), charge(&limits[1], 2)];
    taken(limiter, key, &charges).await;
    refused(limiter, key, &charges).await;
    limiter
        .give_back(key, &charges)
        .await
        .expect("the limiter answers");
    let standing = taken(limiter, key, &charges).await;
    let remaining: Vec<u32> = standing.iter().map(|status| status.remaining).collect();
    assert_eq!(remaining, [4, 8]);
    limiter
        .give_back(key, &charges[..1])
        .await
        .expect("the limiter answers");
    let standing = taken(
        limiter,
        key,
        &[charge(&limits[0], 10), charge(&limits[1], 1)],
    )
    .await;
    let remaining: Vec<u32> = standing.iter().map(|status| status.remaining).collect();
    assert_eq!(remaining, [0, 7]);
}

/// Under a new rate or burst what was spent stays spent: the time until all is there again.
pub async fn keeps_what_was_spent_when_a_limit_changes(limiter: &dyn SharedLimiter) {
    let key = fresh_key();
    let spent = RateLimit::per_hour(60);
    taken(limiter, key, &[charge(&spent, 60)]).await;
    // An hour until all is there again. Twice as fast, that is still an hour.
    let (status, wait) = refused(limiter, key, &[charge(&RateLimit::per_hour(120), 1)]).await;
    close(wait, 30);
    close(status.resets_in, 3_600);
    // With a smaller burst it takes longer until the first of it is there.
    let (_, wait) = refused(limiter, key, &[charge(&spent.clone().burst(10), 1)]).await;
    close(wait, 3_060);
    // With a larger one there is some left at once.
    let larger = taken(limiter, key, &[charge(&spent.clone().burst(61), 1)]).await;
    assert_eq!(larger[0].remaining, 0);
}

/// Neither does a key spend of another's limits, nor one limit of another's burst.
pub async fn counts_keys_and_names_apart(limiter: &dyn SharedLimiter) {
    let keys = [fresh_key(), fresh_key()];
    let limits = ["a", "b"].map(|name| RateLimit::per_hour(1).named(name));
    for key in keys {
        for limit in &limits {
            taken(limiter, key, &[charge(limit, 1)]).await;
            refused(limiter, key, &[charge(limit, 1)]).await;
        }
    }
}

/// No number that a limit can have makes a decision wrong.
pub async fn reckons_with_the_largest_numbers(limiter: &dyn SharedLimiter) {
    let largest = [
        RateLimit::per_second(u32::MAX),
        RateLimit::per_day(u32::MAX),
        RateLimit::per_hour(1).burst(100_000),
        RateLimit::per_day(1_000).burst(1_000_000),
    ];
    for limit in &largest {
        let key = fresh_key();
        let all = limit.burst_size();
        taken(limiter, key, &[charge(limit, all / 2)]).await;
        let (_, wait) = refused(limiter, key, &[charge(limit, all)]).await;
        assert!(wait > Duration::ZERO && wait < Duration::from_secs(100_000 * 3_600));
    }
    // So long that nobody will see it out: what matters is that it is decided.
    let endless = RateLimit::per_day(1).burst(u32::MAX);
    taken(limiter, fresh_key(), &[charge(&endless, 1)]).await;
}

/// A rate that does not divide its unit is still what it says.
pub async fn reckons_with_fractions(limiter: &dyn SharedLimiter, pass: &impl AsyncFn(Duration)) {
    let (key, limit) = (fresh_key(), RateLimit::per_second(7_000).burst(70_000));
    taken(limiter, key, &[charge(&limit, 70_000)]).await;
    pass(Duration::from_millis(100)).await;
    let mut admitted: u32 = 0;
    while limiter_admits(limiter, key, &[charge(&limit, 7)]).await {
        admitted += 1;
    }
    assert!(admitted >= 100, "{admitted} of at least 100");
}

/// What was spent comes back evenly, up to the burst.
pub async fn lets_time_bring_back_what_was_spent(
    limiter: &dyn SharedLimiter,
    pass: &impl AsyncFn(Duration),
) {
    let (key, limit) = (fresh_key(), RateLimit::per_second(2).burst(3));
    let one = [charge(&limit, 1)];
    for _ in 0..3 {
        taken(limiter, key, &one).await;
    }
    let (_, wait) = refused(limiter, key, &one).await;
    assert!(wait <= Duration::from_millis(500));
    pass(wait).await;
    taken(limiter, key, &one).await;
    refused(limiter, key, &one).await;
    pass(Duration::from_millis(3_100)).await;
    for _ in 0..3 {
        taken(limiter, key, &one).await;
    }
    refused(limiter, key, &one).await;
}

/// However many ask at the same moment, as many are admitted as the burst is large.
pub async fn admits_many_at_once_exactly_the_burst(limiter: Arc<dyn SharedLimiter>) {
    let key = fresh_key();
    let charges: Arc<[Charge]> = Arc::new([
        charge(&RateLimit::per_hour(150).named("a"), 1),
        charge(&RateLimit::per_hour(300).named("b"), 1),
    ]);
    let tasks = (0..64).map(|_| {
        let (limiter, charges) = (Arc::clone(&limiter), Arc::clone(&charges));
        tokio::spawn(async move {
            let mut admitted = 0;
            for _ in 0..8 {
                admitted += u32::from(limiter_admits(&*limiter, key, &charges).await);
            }
            admitted
        })
    });
    let tasks: Vec<_> = tasks.collect();
    let mut admitted = 0;
    for task in tasks {
        admitted += task.await.expect("no task panics");
    }
    assert_eq!(admitted, 150);
    let standing = taken(&*limiter, key, &charges[1..]).await;
    assert_eq!(standing[0].remaining, 149);
}

async fn limiter_admits(limiter: &dyn SharedLimiter, key: KeyId, charges: &[Charge]) -> bool {
    let decision = limiter
        .take(key, charges)
        .await
        .expect("the limiter answers");
    matches!(decision, Decision::Taken(_))
}

async fn taken(limiter: &dyn SharedLimiter, key: KeyId, charges: &[Charge]) -> Vec<LimitStatus> {
    match limiter
        .take(key, charges)
        .await
        .expect("the limiter answers")
    {
        Decision::Taken(standing) => {
            assert_eq!(standing.len(), charges.len());
            standing
        }
        refused @ Decision::Refused { .. } => panic!("{refused:?} instead of taking {charges:?}"),
    }
}

async fn refused(
    limiter: &dyn SharedLimiter,
    key: KeyId,
    charges: &[Charge],
) -> (LimitStatus, Duration) {
    match limiter
        .take(key, charges)
        .await
        .expect("the limiter answers")
    {
        Decision::Refused { limit, retry_after } => (limit, retry_after),
        taken @ Decision::Taken(_) => panic!("{taken:?} instead of refusing {charges:?}"),
    }
}

/// A time that is as long as expected, but for what a test takes.
#[track_caller]
fn close(time: Duration, seconds: u64) {
    let expected = Duration::from_secs(seconds);
    let earliest = expected.saturating_sub(Duration::from_secs(2));
    assert!(
        earliest <= time && time <= expected,
        "{time:?} instead of {expected:?}"
    );
}
