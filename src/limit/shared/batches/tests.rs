use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::clock::Timestamp;
use crate::key::RateLimit;
use crate::limit::SharedLimits;
use crate::testing::ManualClock;
use crate::testing::limiter::{LocalLimiter, charge, fresh_key};
use crate::testing::records::Dice;

const HOLD: Duration = Duration::from_millis(100);

/// A limiter that counts how often it is asked, and answers after a while, or not.
#[derive(Clone, Debug)]
struct Counted {
    inner: LocalLimiter,
    asked: Arc<AtomicUsize>,
    way: Duration,
    fails: Arc<AtomicUsize>,
}

impl Counted {
    fn new(clock: &ManualClock, way: Duration) -> Self {
        Self {
            inner: LocalLimiter::new(clock.clone()),
            asked: Arc::default(),
            way,
            fails: Arc::default(),
        }
    }

    fn asked(&self) -> usize {
        self.asked.swap(0, Ordering::SeqCst)
    }
}

#[async_trait]
impl SharedLimiter for Counted {
    async fn take(&self, key: KeyId, charges: &[Charge]) -> Result<Decision, Error> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if self.way > Duration::ZERO {
            sleep(self.way).await;
        }
        match self.fails.load(Ordering::SeqCst) {
            0 => self.inner.take(key, charges).await,
            1 => Err(Error::new(ErrorKind::Unavailable, "broken")),
            _ => panic!("planned"),
        }
    }

    async fn give_back(&self, key: KeyId, charges: &[Charge]) -> Result<(), Error> {
        self.inner.give_back(key, charges).await
    }
}

fn clock() -> ManualClock {
    ManualClock::at(Timestamp::from_millis(1_790_000_000_000))
}

fn batched(limiter: &Counted, size: u32) -> Batched {
    Batched::new(Arc::new(limiter.clone()), size, HOLD)
}

async fn admits(limiter: &impl SharedLimiter, key: KeyId, charges: &[Charge]) -> bool {
    let decision = limiter.take(key, charges).await.unwrap();
    matches!(decision, Decision::Taken(_))
}

/// How many more requests the limiter would admit, which this asks it.
async fn remaining(limiter: &Counted, key: KeyId, limit: &RateLimit) -> u32 {
    let one = [charge(limit, 1)];
    match limiter.inner.take(key, &one).await.unwrap() {
        Decision::Taken(standing) => {
            limiter.inner.give_back(key, &one).await.unwrap();
            standing[0].remaining + 1
        }
        Decision::Refused { .. } => 0,
    }
}

/// Lets time pass for the limiter and for the keepers.
async fn pass(clock: &ManualClock, time: Duration) {
    clock.advance(time);
    sleep(time).await;
}

const NODES: u64 = 4;
const SIZE: u32 = 16;
const STEP: Duration = Duration::from_millis(10);
/// For how many requests the nodes hold something at most.
const HELD: u64 = NODES * (SIZE as u64 - 1);
/// How many requests the rate admits while something is held.
const REFILLED: u64 = 20;

/// How many requests a limit of 200 a second with a burst of 150 admits in so many steps.
fn exact(steps: u64) -> u64 {
    150 + steps * 2
}

/// Four nodes that are asked for as many requests in each step as `wanted` says. Returns how many were
/// admitted until the beginning of each step.
async fn four_nodes(wanted: impl Fn(&mut Dice, u64) -> u64, dice: &mut Dice) -> Vec<u64> {
    let clock = clock();
    let shared = Counted::new(&clock, Duration::ZERO);
    let nodes: Vec<_> = (0..NODES).map(|_| batched(&shared, SIZE)).collect();
    let key = fresh_key();
    let one = [charge(&RateLimit::per_second(200).burst(150), 1)];
    let (mut sum, mut sums) = (0, vec![0]);
    for _ in 0..400 {
        for (node, number) in nodes.iter().zip(0..) {
            for _ in 0..wanted(dice, number) {
                if !admits(node, key, &one).await {
                    break;
                }
                sum += 1;
            }
        }
        sums.push(sum);
        pass(&clock, STEP).await;
    }
    // When nobody wants anything any more, all of it is there again.
    pass(&clock, HOLD).await;
    pass(&clock, HOLD).await;
    pass(&clock, Duration::from_secs(1)).await;
    assert_eq!(remaining(&shared, key, &one[0].limit).await, 150);
    for node in &nodes {
        assert!(node.store.stocks().is_empty(), "stocks are cleared away");
    }
    sums
}

/// The bounds that the documentation states of what is admitted too much: nothing since the beginning, and
/// in any window what the nodes held when it began, and what the rate has brought back meanwhile.
#[tokio::test(start_paused = true)]
async fn four_nodes_admit_no_more_than_is_stated() {
    let mut worst = 0;
    for seed in 0..40 {
        // Mostly some now and then, so that all of the burst is there; suddenly everything.
        let wanted = |dice: &mut Dice, _| match dice.roll(200) {
            0 => 200,
            1..=5 => dice.roll(30),
            _ => 0,
        };
        let sums = four_nodes(wanted, &mut Dice::new(seed)).await;
        for (from, before) in sums.iter().enumerate() {
            for (to, until) in sums.iter().enumerate().skip(from + 1) {
                let steps = (to - from - 1) as u64;
                let over = (until - before).saturating_sub(exact(steps));
                assert!(over <= HELD.min(REFILLED), "{over} in {from}..{to}");
                assert!(from > 0 || over == 0, "{over} since the beginning");
                worst = worst.max(over);
            }
        }
    }
    // What is bounded does happen.
    assert!(worst > 0);
}

/// And of what is admitted too little, while one node gets more requests than it may have.
#[tokio::test(start_paused = true)]
async fn four_nodes_admit_no_less_than_is_stated() {
    let mut worst = 0;
    for seed in 0..40 {
        let wanted = |dice: &mut Dice, node| match (node, dice.roll(60)) {
            // The last of them, so that the others have taken something before.
            (3, _) => 1_000,
            (_, 0..=5) => dice.roll(12),
            _ => 0,
        };
        let sums = four_nodes(wanted, &mut Dice::new(seed)).await;
        for (sum, steps) in sums.iter().skip(1).zip(0..) {
            let under = exact(steps) - sum;
            assert!(under <= HELD, "{under} at step {steps}");
            worst = worst.max(under);
        }
    }
    // What is bounded does happen.
    assert!(worst > 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_left_is_given_back_in_time_and_nothing_is_lost() {
    let clock = clock();
    let shared = Counted::new(&clock, Duration::ZERO);
    let node = batched(&shared, 64);
    let (key, limit) = (fresh_key(), RateLimit::per_hour(1_000));
    for _ in 0..20 {
        assert!(admits(&node, key, &[charge(&limit, 3)]).await);
    }
    // 1 + 2 + 4 + 8 + 16 were taken.
    assert_eq!(remaining(&shared, key, &limit).await, 1_000 - 31 * 3);
    sleep(HOLD + Duration::from_millis(1)).await;
    assert_eq!(remaining(&shared, key, &limit).await, 1_000 - 20 * 3);
    // The next batch is as large as what was used of the last.
    assert_eq!(shared.asked(), 5);
    for _ in 0..5 {
        assert!(admits(&node, key, &[charge(&limit, 3)]).await);
    }
    assert_eq!(shared.asked(), 1);
    assert_eq!(remaining(&shared, key, &limit).await, 1_000 - 25 * 3);
}

#[tokio::test(start_paused = true)]
async fn all_limits_are_charged_or_none() {
    let clock = clock();
    let shared = Counted::new(&clock, Duration::ZERO);
    let nodes: Vec<_> = (0..4).map(|_| batched(&shared, 16)).collect();
    let key = fresh_key();
    let narrow = RateLimit::per_day(90).named("narrow");
    let wide = RateLimit::per_day(1_000).named("wide");
    let both = [charge(&narrow, 1), charge(&wide, 2)];
    let mut admitted = 0;
    for turn in 0..400 {
        admitted += u32::from(admits(&nodes[turn % 4], key, &both).await);
    }
    // Stocks of other nodes are given back, and can be had then.
    sleep(HOLD * 2).await;
    for node in &nodes {
        while admits(node, key, &both).await {
            admitted += 1;
        }
    }
    assert_eq!(admitted, 90);
    sleep(HOLD * 2).await;
    assert_eq!(remaining(&shared, key, &wide).await, 1_000 - 180);
}

#[tokio::test(start_paused = true)]
async fn the_node_is_told_that_its_stock_is_not_spent() {
    let clock = clock();
    let shared = Counted::new(&clock, Duration::ZERO);
    let node = batched(&shared, 8);
    let (key, limit) = (fresh_key(), RateLimit::per_minute(60));
    for spent in 1..=30 {
        let decision = node.take(key, &[charge(&limit, 1)]).await.unwrap();
        let Decision::Taken(standing) = decision else {
            panic!("{decision:?}")
        };
        assert_eq!(standing[0].remaining, 60 - spent);
        assert_eq!(standing[0].resets_in, Duration::from_secs(spent.into()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_busy_key_costs_few_round_trips_and_a_quiet_one_is_exact() {
    let clock = clock();
    let shared = Counted::new(&clock, Duration::ZERO);
    let node = batched(&shared, 50);
    let limit = RateLimit::per_hour(1_000_000);
    let (busy, quiet) = (fresh_key(), fresh_key());
    for _ in 0..1_000 {
        assert!(admits(&node, busy, &[charge(&limit, 1)]).await);
    }
    let trips = shared.asked();
    assert!(trips <= 25, "{trips} for 1,000 requests");
    for request in 1..20 {
        assert!(admits(&node, quiet, &[charge(&limit, 1)]).await);
        assert_eq!(remaining(&shared, quiet, &limit).await, 1_000_000 - request);
        sleep(HOLD * 2).await;
    }
}

/// Sixty-four at once: nobody waits for more than two answers, and few are asked for.
#[tokio::test(start_paused = true)]
async fn many_at_once_wait_for_one_batch() {
    let clock = clock();
    let way = Duration::from_millis(1);
    let shared = Counted::new(&clock, way);
    let node = batched(&shared, 100);
    let (key, limit) = (fresh_key(), RateLimit::per_hour(1_000_000));
    for _ in 0..150 {
        assert!(admits(&node, key, &[charge(&limit, 1)]).await);
    }
    shared.asked();
    for _ in 0..10 {
        let start = tokio::time::Instant::now();
        let all: Vec<_> = (0..64)
            .map(|_| {
                let (node, limit) = (node.clone(), limit.clone());
                tokio::spawn(async move { admits(&node, key, &[charge(&limit, 1)]).await })
            })
            .collect();
        for one in all {
            assert!(one.await.unwrap());
        }
        assert!(start.elapsed() <= way * 2, "{:?}", start.elapsed());
    }
    let trips = shared.asked();
    assert!(trips <= 16, "{trips} for 640 requests");
}

#[tokio::test(start_paused = true)]
async fn a_limiter_that_fails_or_panics_fails_everybody_and_is_asked_again() {
    let clock = clock();
    let shared = Counted::new(&clock, Duration::from_millis(1));
    let node = batched(&shared, 10);
    let (key, one) = (fresh_key(), [charge(&RateLimit::per_hour(1_000), 1)]);
    for _ in 0..2 {
        assert!(admits(&node, key, &one).await);
    }
    // One is in stock.
    assert!(admits(&node, key, &one).await);
    for fault in [1, 2] {
        shared.fails.store(fault, Ordering::SeqCst);
        let (first, second) = tokio::join!(node.take(key, &one), async {
            // It waits for the first, and then asks for itself.
            let all = node.clone();
            tokio::spawn(async move {
                all.take(key, &[charge(&RateLimit::per_hour(1_000), 1)])
                    .await
            })
            .await
        });
        assert_eq!(first.unwrap_err().kind(), ErrorKind::Unavailable);
        if let Ok(second) = second {
            second.unwrap_err();
        }
    }
    shared.fails.store(0, Ordering::SeqCst);
    for _ in 0..20 {
        assert!(admits(&node, key, &one).await);
    }
}

/// What a batch has brought is not lost with the caller who asked for it.
#[tokio::test(start_paused = true)]
async fn a_caller_who_goes_away_leaves_the_batch() {
    let clock = clock();
    let shared = Counted::new(&clock, Duration::from_millis(5));
    let node = batched(&shared, 8);
    let (key, limit) = (fresh_key(), RateLimit::per_hour(1_000));
    let one = [charge(&limit, 1)];
    for _ in 0..3 {
        assert!(admits(&node, key, &one).await);
    }
    let leaves = tokio::time::timeout(Duration::from_millis(1), node.take(key, &one)).await;
    assert!(leaves.is_err());
    sleep(Duration::from_millis(10)).await;
    shared.asked();
    for _ in 0..3 {
        assert!(admits(&node, key, &one).await);
    }
    assert_eq!(shared.asked(), 0, "three of four were left");
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_was_changed_has_no_stock() {
    let clock = clock();
    let shared = Counted::new(&clock, Duration::ZERO);
    let node = batched(&shared, 8);
    let key = fresh_key();
    for _ in 0..10 {
        assert!(admits(&node, key, &[charge(&RateLimit::per_hour(100), 1)]).await);
    }
    shared.asked();
    let changed = RateLimit::per_hour(50);
    assert!(admits(&node, key, &[charge(&changed, 1)]).await);
    assert_eq!(shared.asked(), 1);
    sleep(HOLD * 3).await;
    assert!(node.store.stocks().is_empty());
}

#[test]
fn a_batch_of_one_is_none() {
    let limiter = LocalLimiter::new(clock());
    let shown = |requests| {
        format!(
            "{:?}",
            SharedLimits::new(limiter.clone()).batches(requests, HOLD)
        )
    };
    assert!(!shown(0).contains("Batched") && !shown(1).contains("Batched"));
    assert!(shown(2).contains("Batched"));
}
