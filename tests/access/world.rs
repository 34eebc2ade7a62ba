//! What the tests of this folder share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::request::Parts;

use mcp_api_keys::key::{KeyId, Owner, PlanName};
use mcp_api_keys::store::{KeyStore, MemoryStore};
use mcp_api_keys::testing::{Faults, FaultyStore, ManualClock};
use mcp_api_keys::{ApiKeys, ApiKeysBuilder, Argon2Params, Gate, KeyContext, NewKey, Timestamp};
use mcp_api_keys::{Rejection, RejectionKind};
use tokio::sync::watch;

use crate::backends;
pub(crate) use crate::backends::Database;

/// 2026-09-20T10:26:40Z.
pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_789_900_000_000);

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const DAY: Duration = Duration::from_secs(86_400);

pub(crate) fn builder(store: impl KeyStore) -> ApiKeysBuilder {
    ApiKeys::builder(store)
        .argon2(Argon2Params::new(8, 1, 1).unwrap())
        .failure_limit(None)
}

/// Keys in a real database that is gone afterwards, at a time that stands still.
pub(crate) async fn in_database() -> ApiKeys {
    let keys = builder(backends::in_database().await).clock(ManualClock::at(NOW));
    keys.build().await.unwrap()
}

/// Keys in memory, by a clock to be set by hand.
pub(crate) async fn in_memory() -> (ApiKeys, ManualClock) {
    let clock = ManualClock::at(NOW);
    let keys = builder(MemoryStore::new()).clock(clock.clone());
    (keys.build().await.unwrap(), clock)
}

/// Keys in a store that fails on command, by a clock to be set by hand.
pub(crate) async fn faulty() -> (ApiKeys, Faults, ManualClock) {
    let store = FaultyStore::new(MemoryStore::new());
    let faults = store.faults();
    let clock = ManualClock::at(NOW);
    let keys = builder(store).clock(clock.clone()).build().await.unwrap();
    (keys, faults, clock)
}

/// A node on a database that others may be on as well.
pub(crate) async fn node(database: &Database) -> ApiKeys {
    builder(database.store().await).build().await.unwrap()
}

/// Lets time pass, and the node notice that nothing happened meanwhile.
pub(crate) async fn pass(keys: &ApiKeys, clock: &ManualClock, time: Duration) {
    clock.advance(time);
    keys.catch_up().await.unwrap();
}

/// A key for everything, of this owner.
pub(crate) fn of(owner: &str) -> NewKey {
    everything("key").owner(owner)
}

pub(crate) fn everything(name: &str) -> NewKey {
    NewKey::named(name).all_servers().scope("*").unwrap()
}

/// An owner with one server and everything on it.
pub(crate) fn member(name: &str) -> Owner {
    let owner = Owner::member(name.parse().unwrap());
    owner
        .server("files".parse().unwrap())
        .scope("*".parse().unwrap())
}

pub(crate) fn plan(name: &str) -> PlanName {
    name.parse().unwrap()
}

/// Issues a key and returns its clear text and its id.
pub(crate) async fn issue(keys: &ApiKeys, new: NewKey) -> (String, KeyId) {
    let issued = keys.manager().issue(new).await.unwrap();
    (issued.key().expose_secret().to_owned(), issued.info().id)
}

pub(crate) fn any_server(keys: &ApiKeys) -> Gate {
    keys.layer().any_server().gate().clone()
}

pub(crate) fn head(key: &str) -> Parts {
    let request = http::Request::builder().header("x-api-key", key);
    request.body(()).unwrap().into_parts().0
}

/// Presents a key.
pub(crate) async fn present(gate: &Gate, key: &str) -> Result<KeyContext, Rejection> {
    let mut head = head(key);
    let _permit = gate.admit(&mut head).await?;
    Ok(head.extensions.remove().unwrap())
}

/// Presents a key: whether it was admitted, and if not why.
pub(crate) async fn outcome(gate: &Gate, key: &str) -> Result<(), RejectionKind> {
    let outcome = present(gate, key).await;
    outcome.map(drop).map_err(|rejection| rejection.kind())
}

/// How many of so many requests are admitted.
pub(crate) async fn admitted(gate: &Gate, key: &str, requests: usize) -> usize {
    let mut admitted = 0;
    for _ in 0..requests {
        admitted += usize::from(present(gate, key).await.is_ok());
    }
    admitted
}

/// Waits until a key is refused for this reason, and says how long that took.
pub(crate) async fn until(gate: &Gate, key: &str, expected: Result<(), RejectionKind>) -> Duration {
    let begun = Instant::now();
    while outcome(gate, key).await != expected {
        assert!(begun.elapsed() < 10 * SECOND, "it does not come to that");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    begun.elapsed()
}

/// Tasks that present keys all the time, and count what is admitted too late.
pub(crate) struct Crowd {
    target: watch::Sender<Option<Arc<Target>>>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    admitted: AtomicU64,
    late: AtomicU64,
    unavailable: AtomicU64,
}

/// The key that everybody presents, and whether it may not be admitted any more.
#[derive(Debug)]
struct Target {
    key: String,
    withdrawn: std::sync::atomic::AtomicBool,
}

impl Crowd {
    pub(crate) fn of(size: usize, gate: &Gate) -> Self {
        let (target, targets) = watch::channel::<Option<Arc<Target>>>(None);
        let counts = Arc::<Counts>::default();
        let tasks = (0..size).map(|_| {
            let (gate, targets, counts) = (gate.clone(), targets.clone(), Arc::clone(&counts));
            tokio::spawn(async move {
                loop {
                    let target = targets.borrow().clone();
                    let Some(target) = target else {
                        tokio::task::yield_now().await;
                        continue;
                    };
                    if target.key.is_empty() {
                        return;
                    }
                    let withdrawn_before = target.withdrawn.load(Ordering::SeqCst);
                    match outcome(&gate, &target.key).await {
                        Ok(()) => {
                            counts.admitted.fetch_add(1, Ordering::SeqCst);
                            let late = u64::from(withdrawn_before);
                            counts.late.fetch_add(late, Ordering::SeqCst);
                        }
                        Err(RejectionKind::Unavailable) => {
                            counts.unavailable.fetch_add(1, Ordering::SeqCst);
                        }
                        Err(_) => {}
                    }
                    tokio::task::yield_now().await;
                }
            })
        });
        Self {
            target,
            tasks: tasks.collect(),
            counts,
        }
    }

    /// Has everybody present `key`, `withdraw`s it after so many requests, and goes on for a while.
    pub(crate) async fn present(&self, key: &str, uses: u64, withdraw: impl Future<Output = ()>) {
        let target = Arc::new(Target {
            key: key.to_owned(),
            withdrawn: false.into(),
        });
        let before = self.counts.admitted.load(Ordering::SeqCst);
        self.target.send_replace(Some(Arc::clone(&target)));
        while self.counts.admitted.load(Ordering::SeqCst) < before + uses {
            tokio::task::yield_now().await;
        }
        withdraw.await;
        target.withdrawn.store(true, Ordering::SeqCst);
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
    }

    /// How many requests were admitted, how many of them too late, and how many were told to come
    /// again.
    pub(crate) async fn leave(self) -> (u64, u64, u64) {
        let (key, withdrawn) = (String::new(), true.into());
        self.target
            .send_replace(Some(Arc::new(Target { key, withdrawn })));
        for task in self.tasks {
            task.await.unwrap();
        }
        let read = |count: &AtomicU64| count.load(Ordering::SeqCst);
        let Counts {
            admitted,
            late,
            unavailable,
        } = &*self.counts;
        (read(admitted), read(late), read(unavailable))
    }
}
