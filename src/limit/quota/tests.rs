use std::sync::Arc;

use super::*;
use crate::store::{KeyStore, MemoryStore};
use crate::testing::act;
use crate::testing::records::{NOON, record};

const SECOND: u64 = 1_000_000_000;
const DAY: i64 = 86_400_000;

fn at(millis: i64, ticks: u64) -> Moment {
    Moment::new(Timestamp::from_millis(NOON.as_millis() + millis), ticks)
}

async fn ledger() -> (MemoryStore, KeyId) {
    let store = MemoryStore::new();
    let record = record(1);
    store.insert(&record, &act()).await.unwrap();
    (store, record.id)
}

async fn spend(set: &QuotaSet, store: &MemoryStore, key: KeyId, cost: u32, now: Moment) -> bool {
    for _ in 0..4 {
        match set.take(cost, now) {
            Withdrawal::Made => return true,
            Withdrawal::Exhausted(..) => return false,
            Withdrawal::NotHeld => set.replenish(key, store, cost, now).await.unwrap(),
        }
    }
    panic!("asking the ledger settled nothing");
}

async fn taken(store: &MemoryStore, key: KeyId) -> Vec<(String, u64)> {
    let taken = store.taken(key).await.unwrap();
    let mut taken: Vec<_> = taken
        .into_iter()
        .map(|taken| (taken.account.quota, taken.units))
        .collect();
    taken.sort();
    taken
}

#[tokio::test]
async fn a_quota_admits_exactly_its_amount_and_again_the_next_day() {
    let (store, key) = ledger().await;
    let set = QuotaSet::new(&[Quota::per_day(250)]);
    for day in 0..3 {
        let mut admitted = 0;
        for tick in 0..400 {
            let now = at(
                day * DAY,
                (day as u64) * 86_400 * SECOND + tick * 2 * SECOND,
            );
            admitted += usize::from(spend(&set, &store, key, 1, now).await);
        }
        assert_eq!(admitted, 250, "day {day}");
    }
}

#[tokio::test]
async fn two_nodes_share_one_quota_and_a_crash_exceeds_nothing() {
    let (store, key) = ledger().await;
    let rules = [Quota::per_month(1_000)];
    let mut nodes = [QuotaSet::new(&rules), QuotaSet::new(&rules)];
    let mut admitted = 0;
    for step in 0..3_000_u64 {
        let node = usize::try_from(step % 2).unwrap();
        if step == 777 {
            // What this node held is lost.
            nodes[0] = QuotaSet::new(&rules);
        }
        let now = at(0, step * 2 * SECOND);
        admitted += u64::from(spend(&nodes[node], &store, key, 1, now).await);
    }
    assert!((990..=1_000).contains(&admitted), "{admitted}");
}

#[tokio::test]
async fn a_refused_request_takes_from_no_quota_and_a_costly_one_takes_all_it_costs() {
    let (store, key) = ledger().await;
    let set = QuotaSet::new(&[
        Quota::per_day(100).named("daily"),
        Quota::per_month(7).named("monthly"),
    ]);
    let now = at(0, SECOND);
    assert!(spend(&set, &store, key, 5, now).await);
    assert!(!spend(&set, &store, key, 5, now).await);
    assert!(spend(&set, &store, key, 2, at(0, 3 * SECOND)).await);
    assert!(spend(&set, &store, key, 0, now).await);
    let (_, resets) = now.wall.month();
    assert_eq!(
        set.take(1, at(0, 3 * SECOND)),
        Withdrawal::NotHeld,
        "the ledger is to be asked again"
    );
    set.replenish(key, &store, 1, at(0, 3 * SECOND))
        .await
        .unwrap();
    assert_eq!(
        set.take(1, at(0, 3 * SECOND)),
        Withdrawal::Exhausted(Quota::per_month(7).named("monthly"), resets)
    );
    set.release(key, &store, 3 * SECOND, false).await.unwrap();
    let expected = [("daily".to_owned(), 7), ("monthly".to_owned(), 7)];
    assert_eq!(taken(&store, key).await, expected);
}

#[tokio::test]
async fn what_is_held_is_given_back_when_idle() {
    let (store, key) = ledger().await;
    let set = QuotaSet::new(&[Quota::per_day(10_000)]);
    assert!(spend(&set, &store, key, 1, at(0, SECOND)).await);
    let name = Quota::DEFAULT_NAME.to_owned();
    assert_eq!(taken(&store, key).await, [(name.clone(), 100)]);
    assert!(!set.release(key, &store, 2 * SECOND, true).await.unwrap());
    assert!(set.release(key, &store, 40 * SECOND, true).await.unwrap());
    assert_eq!(taken(&store, key).await, [(name, 1)]);
}

#[tokio::test]
async fn many_tasks_ask_the_ledger_once_for_each_portion() {
    let (store, key) = ledger().await;
    let set = Arc::new(QuotaSet::new(&[Quota::per_day(10_000)]));
    let mut tasks = Vec::new();
    for _ in 0..64 {
        let (set, store) = (Arc::clone(&set), store.clone());
        tasks.push(tokio::spawn(async move {
            let mut made = 0;
            for _ in 0..10 {
                made += u64::from(spend(&set, &store, key, 1, at(0, SECOND)).await);
                tokio::task::yield_now().await;
            }
            made
        }));
    }
    let mut made = 0;
    for task in tasks {
        made += task.await.unwrap();
    }
    assert_eq!(made, 640);
    assert_eq!(
        taken(&store, key).await,
        [(Quota::DEFAULT_NAME.to_owned(), 700)]
    );
}

#[test]
fn a_change_of_the_amount_keeps_what_is_held() {
    let set = QuotaSet::new(&[Quota::per_day(100)]);
    assert_eq!(set.take(1, at(0, 1)), Withdrawal::NotHeld);
    set.held()[0].left = 5;
    let changed = set.succeeding(&[Quota::per_day(200), Quota::per_day(3).named("other")]);
    assert_eq!(changed.held()[0].left, 5);
    assert!(!changed.implements(&[Quota::per_day(100)]));
}
