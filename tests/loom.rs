//! The protocol between a verification under way and a change of its key, checked over every
//! interleaving: the registry's own source, built on a model checker's primitives.
//!
//! `src/live/registry.rs` is compiled here a second time, with `loom` in the place of `std`; so is
//! `src/live/watched.rs`, by which threads know that their copy of a key's state is out of date, and the two
//! files of `src/usage/recorder` by which a thread hands on what it notes of requests.

#![allow(clippy::unwrap_used)]
#![allow(
    dead_code,
    reason = "the models use only the half of the registry that has to be right"
)]

use std::sync::Arc;

use loom::thread;

mod sync {
    pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};
    pub(crate) use loom::sync::{Mutex, MutexGuard};

    /// In the place of an `ArcSwap`.
    #[derive(Debug)]
    pub(crate) struct Slot<T>(Mutex<std::sync::Arc<T>>);

    impl<T> Slot<T> {
        pub(crate) fn from_pointee(value: T) -> Self {
            Self(Mutex::new(std::sync::Arc::new(value)))
        }

        pub(crate) fn load_full(&self) -> std::sync::Arc<T> {
            std::sync::Arc::clone(&self.0.lock().unwrap())
        }

        pub(crate) fn store(&self, value: std::sync::Arc<T>) {
            *self.0.lock().unwrap() = value;
        }
    }
}

#[path = "../src/live/registry.rs"]
mod registry;
#[path = "../src/live/watched.rs"]
mod watched;

use loom::sync::Mutex;
use loom::sync::atomic::{AtomicU64, Ordering};
use registry::{Generation, Registry};
use watched::{Copied, Watched};

const KEY: u128 = 7;

/// The definition that the key depends on, and one that it does not depend on.
const OWNER: u64 = 1;
const OTHER: u64 = 2;

/// A store with one row, of which only the revision matters, and the node's live keys.
///
/// The number may as well be that of the definition of the key's owner: a verification reads it
/// between the same two moments.
struct Node {
    row: Mutex<u64>,
    registry: Registry<AtomicU64>,
}

impl Node {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            row: Mutex::new(1),
            registry: Registry::new(1, 4),
        })
    }

    fn read(&self) -> u64 {
        *self.row.lock().unwrap()
    }

    /// A verification: capture, read, (hash,) adopt; once more if the row was stale.
    fn verify(&self) -> Arc<AtomicU64> {
        loop {
            let read_at = self.registry.capture();
            let revision = self.read();
            if let Some(live) = self.adopt(revision, read_at) {
                return live;
            }
        }
    }

    fn adopt(&self, revision: u64, read_at: Generation) -> Option<Arc<AtomicU64>> {
        let make = || AtomicU64::new(revision);
        self.registry
            .adopt(KEY, &[OWNER], read_at, make, |live| offer(live, revision))
            .ok()
    }

    /// A change: commit, then announce.
    fn change(&self) -> u64 {
        let revision = {
            let mut row = self.row.lock().unwrap();
            *row += 1;
            *row
        };
        self.registry.change(KEY, |live| offer(live, revision));
        revision
    }

    /// A change of the owner: commit, then announce it as a change of `noted_as`.
    fn change_owner(&self, noted_as: u64) -> u64 {
        let revision = {
            let mut row = self.row.lock().unwrap();
            *row += 1;
            *row
        };
        self.registry
            .change_all(&[noted_as], |live| offer(live, revision));
        revision
    }

    fn live(&self) -> Option<u64> {
        let mut found = None;
        self.registry
            .change(KEY, |live| found = Some(live.load(Ordering::SeqCst)));
        found
    }
}

/// As a live key does: the newer revision stays.
fn offer(live: &AtomicU64, revision: u64) {
    if revision > live.load(Ordering::SeqCst) {
        live.store(revision, Ordering::SeqCst);
    }
}

#[test]
fn once_a_change_has_returned_no_verification_leaves_an_older_state() {
    loom::model(|| {
        let node = Node::new();
        let verifying = {
            let node = Arc::clone(&node);
            thread::spawn(move || node.verify())
        };
        let revision = node.change();
        // The change has returned: whatever is live now, or becomes live later, is no older.
        assert!(node.live().is_none_or(|live| live >= revision));
        let live = verifying.join().unwrap();
        assert_eq!(live.load(Ordering::SeqCst), revision);
    });
}

#[test]
fn two_verifications_and_a_change_agree_on_one_live_key() {
    loom::model(|| {
        let node = Node::new();
        let verifying = [(); 2].map(|()| {
            let node = Arc::clone(&node);
            thread::spawn(move || node.verify())
        });
        let revision = node.change();
        let [one, other] = verifying.map(|thread| thread.join().unwrap());
        assert!(Arc::ptr_eq(&one, &other));
        assert_eq!(one.load(Ordering::SeqCst), revision);
    });
}

#[test]
fn changes_announced_out_of_order_leave_the_newest() {
    loom::model(|| {
        let node = Node::new();
        let live = node.verify();
        let changing = {
            let node = Arc::clone(&node);
            thread::spawn(move || node.change())
        };
        node.change();
        changing.join().unwrap();
        assert_eq!(live.load(Ordering::SeqCst), 3);
    });
}

#[test]
fn forgetting_an_unused_key_never_forgets_a_change() {
    loom::model(|| {
        let node = Node::new();
        drop(node.verify());
        let sweeping = {
            let node = Arc::clone(&node);
            thread::spawn(move || {
                node.registry.sweep(|_| false);
                node.verify()
            })
        };
        let revision = node.change();
        let live = sweeping.join().unwrap();
        assert_eq!(live.load(Ordering::SeqCst), revision);
    });
}

#[test]
fn once_a_change_of_an_owner_has_returned_no_verification_leaves_their_older_rights() {
    loom::model(|| {
        let node = Node::new();
        let verifying = {
            let node = Arc::clone(&node);
            thread::spawn(move || node.verify())
        };
        let revision = node.change_owner(OWNER);
        assert!(node.live().is_none_or(|live| live >= revision));
        let live = verifying.join().unwrap();
        assert_eq!(live.load(Ordering::SeqCst), revision);
    });
}

#[test]
fn changes_of_a_key_and_of_its_owner_are_both_seen() {
    loom::model(|| {
        let node = Node::new();
        let live = node.verify();
        let changing = {
            let node = Arc::clone(&node);
            thread::spawn(move || node.change_owner(OWNER))
        };
        node.change();
        node.verify();
        changing.join().unwrap();
        assert_eq!(live.load(Ordering::SeqCst), 3);
    });
}

/// A change of what the key does not depend on costs it nothing: nobody has to read again.
#[test]
fn a_change_of_another_owner_disturbs_no_verification() {
    loom::model(|| {
        let node = Node::new();
        let changing = {
            let node = Arc::clone(&node);
            thread::spawn(move || node.registry.change_all(&[OTHER], |_| {}))
        };
        let read_at = node.registry.capture();
        assert!(node.adopt(node.read(), read_at).is_some());
        changing.join().unwrap();
    });
}

/// The model can fail here too: a change that visits the shards and is not noted for the owner is
/// missed by a verification that adopts after the visit what it read before the change.
#[test]
#[should_panic(expected = "restored")]
fn a_change_of_an_owner_that_is_not_noted_restores_their_older_rights() {
    loom::model(|| {
        let node = Node::new();
        let verifying = {
            let node = Arc::clone(&node);
            thread::spawn(move || {
                let read_at = node.registry.capture();
                let revision = node.read();
                node.adopt(revision, read_at)
            })
        };
        let revision = node.change_owner(OTHER);
        if let Some(live) = verifying.join().unwrap() {
            assert!(live.load(Ordering::SeqCst) == revision, "restored");
        }
    });
}

/// The model can fail: capturing after the row was read is the mistake that plain cache
/// invalidation makes, and loom finds the interleaving that restores the old state.
#[test]
#[should_panic(expected = "restored")]
fn capturing_after_the_read_restores_a_revoked_key() {
    loom::model(|| {
        let node = Node::new();
        let verifying = {
            let node = Arc::clone(&node);
            thread::spawn(move || {
                let revision = node.read();
                let read_at = node.registry.capture();
                node.adopt(revision, read_at)
            })
        };
        let revision = node.change();
        if let Some(live) = verifying.join().unwrap() {
            assert!(live.load(Ordering::SeqCst) == revision, "restored");
        }
    });
}

/// What a thread does for a request: its own copy, if that is still good, or else another.
fn judged_by(key: &Watched<u64>, kept: &Copied<u64>) -> u64 {
    if key.is_still(kept) {
        *kept.value()
    } else {
        *key.copy().value()
    }
}

#[test]
fn once_a_change_has_returned_no_kept_copy_counts() {
    loom::model(|| {
        let key = Arc::new(Watched::new(1));
        let returned = Arc::new(AtomicU64::new(0));
        let changing = {
            let (key, returned) = (Arc::clone(&key), Arc::clone(&returned));
            thread::spawn(move || {
                for revision in 2..=3 {
                    key.change(revision);
                    returned.store(revision, Ordering::SeqCst);
                }
            })
        };
        // Two requests of one thread: what the first has copied may serve the second.
        let mut kept = key.copy();
        for _ in 0..2 {
            let at_least = returned.load(Ordering::SeqCst);
            assert!(judged_by(&key, &kept) >= at_least);
            if !key.is_still(&kept) {
                kept = key.copy();
            }
        }
        changing.join().unwrap();
        assert_eq!(judged_by(&key, &kept), 3);
    });
}

/// The model can fail: a number that is read after the value vouches for a value of before.
#[test]
#[should_panic(expected = "outlived")]
fn a_copy_numbered_after_it_was_taken_outlives_the_change() {
    loom::model(|| {
        let value = Arc::new(AtomicU64::new(1));
        let changes = Arc::new(AtomicU64::new(0));
        let changing = {
            let (value, changes) = (Arc::clone(&value), Arc::clone(&changes));
            thread::spawn(move || {
                value.store(2, Ordering::SeqCst);
                changes.fetch_add(1, Ordering::SeqCst);
            })
        };
        let copied = value.load(Ordering::SeqCst);
        let number = changes.load(Ordering::SeqCst);
        changing.join().unwrap();
        let is_still = changes.load(Ordering::SeqCst) == number;
        assert!(!is_still || copied == 2, "outlived");
    });
}

mod usage {
    //! The queue in which requests are noted, and the counters of those that are alike.

    pub(crate) mod sync {
        pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering};
    }

    #[path = "../../src/usage/recorder/counters.rs"]
    pub(crate) mod counters;
    #[path = "../../src/usage/recorder/ring.rs"]
    pub(crate) mod ring;

    use std::collections::BTreeMap;
    use std::sync::Arc;

    use counters::{Counters, Readings, Total};
    use loom::thread;
    use ring::{Pushed, Ring};

    /// One thread pushes records, another one takes them: what was pushed is taken whole and in order, and
    /// what was refused is counted.
    ///
    /// The thread that takes is the one that is spawned, here and below. The other one loads what it stores
    /// to, and of an earlier load the checker sees only the last: it would miss that it could have come later.
    #[test]
    fn what_is_pushed_is_taken_once_and_in_order() {
        loom::model(|| {
            let ring = Arc::new(Ring::new(4));
            let taking = Arc::clone(&ring);
            let taker = thread::spawn(move || {
                let mut taken = Vec::new();
                taking.drain(|word| taken.push(word));
                assert!(taken.len().is_multiple_of(2), "{taken:?}");
                taking.drain(|word| taken.push(word));
                taken
            });
            let mut kept = Vec::new();
            for record in [[1, 2], [3, 4], [5, 6]] {
                if ring.push(&record) != Pushed::Refused {
                    kept.extend(record);
                }
            }
            let mut taken = taker.join().unwrap();
            ring.drain(|word| taken.push(word));
            assert_eq!(taken, kept);
            assert_eq!(ring.refused(), (6 - kept.len() as u64) / 2);
        });
    }

    /// What requests there were: their words and how many.
    type Sums = BTreeMap<[u64; 4], u64>;

    /// Reads what was handed over, and then the counters.
    fn read(ring: &Ring, counters: &Counters, readings: &mut Readings, sums: &mut Sums) {
        let mut words = Vec::new();
        ring.drain(|word| words.push(word));
        for [word, count] in words.as_chunks().0 {
            *sums.entry([*word; 4]).or_default() += readings.settle(0, *count);
        }
        readings.read(counters, |words, _, more| {
            *sums.entry(words).or_default() += more;
        });
    }

    /// One thread counts requests of two kinds in turn with the same counter, another one reads: each is
    /// read once, as what it was, whatever is under way.
    #[test]
    fn what_is_counted_is_read_once_as_what_it_was() {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(|| {
            let shared = Arc::new((Ring::new(8), Counters::new(1)));
            let reading = Arc::clone(&shared);
            let reader = thread::spawn(move || {
                let (ring, counters) = &*reading;
                let (mut readings, mut sums) = (Readings::of(counters), Sums::new());
                read(ring, counters, &mut readings, &mut sums);
                (readings, sums)
            });
            let (ring, counters) = &*shared;
            let hand_over = |total: &Total| {
                let [word, ..] = total.words;
                ring.push(&[word, total.count]) != Pushed::Refused
            };
            assert!(counters.begin(&[1; 4], 0, hand_over));
            assert!(counters.count(&[1; 4], 0));
            assert!(counters.begin(&[2; 4], 1_000, hand_over));
            assert!(counters.count(&[2; 4], 1_000));
            let (mut readings, mut sums) = reader.join().unwrap();
            read(ring, counters, &mut readings, &mut sums);
            assert_eq!(sums, Sums::from([([1; 4], 2), ([2; 4], 2)]));
        });
    }
}
