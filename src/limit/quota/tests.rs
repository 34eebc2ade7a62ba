use std::sync::Arc;

use super::*;
use crate::store::{KeyStore, MemoryStore};
use crate::testing::act;
use crate::testing::records::{NOON, record};
use crate::testing::{Call, Fault, FaultyStore};

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

async fn ask(
    set: &QuotaSet,
    store: &MemoryStore,
    key: KeyId,
    cost: u32,
    now: Moment,
) -> Result<(), Error> {
    let ledger: Arc<dyn QuotaLedger> = Arc::new(store.clone());
    set.replenish(key, &ledger, cost, now, || {}).await
}

async fn spend(set: &QuotaSet, store: &MemoryStore, key: KeyId, cost: u32, now: Moment) -> bool {
    for _ in 0..16 {
        match set.take(cost, now) {
            Withdrawal::Made(_) => return true,
            Withdrawal::Exhausted(..) => return false,
            Withdrawal::NotHeld => ask(set, store, key, cost, now).await.unwrap(),
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
    ask(&set, &store, key, 1, at(0, 3 * SECOND)).await.unwrap();
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

#[tokio::test]
async fn a_change_of_the_rules_spends_nothing_twice_and_gives_back_what_it_must() {
    let (store, key) = ledger().await;
    let now = at(0, SECOND);
    let set = QuotaSet::new(&[Quota::per_day(1_000)]);
    assert!(spend(&set, &store, key, 4, now).await);
    // Six are held. Old rules and new ones share them.
    let more = set.succeeding(&[Quota::per_day(2_000), Quota::per_day(3).named("other")]);
    assert!(!more.implements(&[Quota::per_day(1_000)]));
    assert_eq!(set.held().of[0].left, 6);
    assert!(matches!(set.take(6, now), Withdrawal::Made(_)));
    assert_eq!(more.take(1, now), Withdrawal::NotHeld);

    // Of a smaller amount, nothing that is held is used without asking; and when it is asked, what
    // is held is there to be had.
    assert!(spend(&more, &store, key, 1, now).await);
    let less = more.succeeding(&[Quota::per_day(13)]);
    assert!(spend(&less, &store, key, 1, now).await);
    assert!(spend(&less, &store, key, 1, now).await);
    assert!(!spend(&less, &store, key, 1, now).await);
    // What was of the other quota goes back with the next round.
    let one_more = less.succeeding(&[Quota::per_day(20)]);
    assert!(spend(&one_more, &store, key, 1, now).await);
    one_more.release(key, &store, SECOND, false).await.unwrap();
    assert!(one_more.is_empty());
    let name = Quota::DEFAULT_NAME.to_owned();
    assert_eq!(
        taken(&store, key).await,
        [("other".to_owned(), 1), (name, 14)]
    );
}

#[tokio::test]
async fn what_was_taken_of_a_period_is_not_used_in_the_next() {
    let (store, key) = ledger().await;
    let set = QuotaSet::new(&[Quota::per_day(500)]);
    assert!(spend(&set, &store, key, 1, at(0, SECOND)).await);
    let Withdrawal::Made(receipt) = set.take(2, at(0, SECOND)) else {
        panic!("two are held")
    };
    assert_eq!(set.take(1, at(DAY, 2 * SECOND)), Withdrawal::NotHeld);
    set.untake(2, receipt);
    assert_eq!(set.held().of[0].left, 0);
    // A clock that was set back for a moment is still in the next.
    assert!(spend(&set, &store, key, 1, at(0, 3 * SECOND)).await);
    let name = Quota::DEFAULT_NAME.to_owned();
    assert_eq!(taken(&store, key).await, [(name, 5)]);
}

/// Whoever waits is asked for together: otherwise the quick would take what others asked for.
#[tokio::test]
async fn one_call_asks_for_all_that_wait() {
    let store = FaultyStore::new(MemoryStore::new());
    let faults = store.faults();
    let record = record(1);
    store.insert(&record, &act()).await.unwrap();
    let ledger: Arc<dyn QuotaLedger> = Arc::new(store);
    let set = QuotaSet::new(&[Quota::per_day(60)]);
    faults.nth_call_of(Call::Take, 1, Fault::Hang);
    let now = at(0, SECOND);
    let mut tasks = Vec::new();
    for _ in 0..64 {
        let (set, ledger) = (set.clone(), Arc::clone(&ledger));
        let key = record.id;
        tasks.push(tokio::spawn(async move {
            loop {
                match set.take(1, now) {
                    Withdrawal::Made(_) => return true,
                    Withdrawal::Exhausted(..) => return false,
                    Withdrawal::NotHeld => {
                        set.replenish(key, &ledger, 1, now, || {}).await.unwrap();
                    }
                }
            }
        }));
    }
    faults.until_held(1).await;
    faults.release();
    let mut made = 0;
    for task in tasks {
        made += usize::from(task.await.unwrap());
    }
    assert_eq!(made, 60);
    assert!(
        faults.calls_of(Call::Take) <= 4,
        "{}",
        faults.calls_of(Call::Take)
    );
}

/// A give-back whose answer was lost has taken effect: it must not be used here as well.
#[tokio::test]
async fn what_may_have_been_given_back_is_not_used_again() {
    let store = FaultyStore::new(MemoryStore::new());
    let faults = store.faults();
    let record = record(1);
    store.insert(&record, &act()).await.unwrap();
    let store = Arc::new(store);
    let ledger: Arc<dyn QuotaLedger> = Arc::<FaultyStore<MemoryStore>>::clone(&store);
    let set = QuotaSet::new(&[Quota::per_day(200)]);
    let spent = async |at: Moment| {
        let mut spent = 0;
        loop {
            match set.take(1, at) {
                Withdrawal::Made(_) => spent += 1,
                Withdrawal::Exhausted(..) => return spent,
                Withdrawal::NotHeld => {
                    let asked = set.replenish(record.id, &ledger, 1, at, || {});
                    asked.await.unwrap();
                    continue;
                }
            }
            if spent == 1 {
                faults.nth_call_of(Call::GiveBack, 1, Fault::Lose);
                let released = set.release(record.id, &*store, 0, false).await;
                released.unwrap_err();
            }
        }
    };
    assert_eq!(spent(at(0, SECOND)).await, 200);
}

/// A caller who goes away loses nobody's units, and a ledger that hangs holds nobody up for long.
#[tokio::test(start_paused = true)]
async fn a_ledger_that_hangs_is_an_error_and_what_it_gives_at_last_is_kept() {
    let store = FaultyStore::new(MemoryStore::new());
    let faults = store.faults();
    let record = record(1);
    store.insert(&record, &act()).await.unwrap();
    let ledger: Arc<dyn QuotaLedger> = Arc::new(store);
    let set = QuotaSet::new(&[Quota::per_day(1_000)]);
    faults.nth_call_of(Call::Take, 1, Fault::Withhold);
    let now = at(0, SECOND);
    for _ in 0..2 {
        let asked = set.replenish(record.id, &ledger, 1, now, || {}).await;
        assert_eq!(asked.unwrap_err().kind(), ErrorKind::Unavailable);
    }
    assert_eq!(faults.calls_of(Call::Take), 1, "one call at a time");
    faults.release();
    set.replenish(record.id, &ledger, 1, now, || {})
        .await
        .unwrap();
    assert_eq!(faults.calls_of(Call::Take), 1);
    assert_eq!(set.held().of[0].left, 10);
}
