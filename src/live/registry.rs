//! The one place where a verification that is under way and a change of its key meet.
//!
//! A verification reads a row, works on it for a while (a slow hash takes 20 ms), and then makes
//! the key live on this node. A change of the key may be committed in between. Whatever the
//! order, the live state must not be the older of the two:
//!
//! 1. A verification [captures](Registry::capture) the count of changes *before* it reads the row.
//! 2. A change is [announced](Registry::change) *after* it was committed. Under the lock of the
//!    key's shard it takes the next count, notes it, and brings the live key, if there is one, up
//!    to date.
//! 3. A verification [adopts](Registry::adopt) its row under the same lock, and is refused if a
//!    count was noted since it captured: then it reads again.
//!
//! So a stale row is either refused at 3 or, adopted before the change came to 2, brought up to
//! date there. Noting is per slot of a fixed table; keys that share a slot cost each other a
//! second read, nothing more.
//!
//! A key depends on more than its row: on its owner, on its plan. A verification reads those between
//! 1 and 3 as well, and names them when it adopts. A [change of one of them](Registry::change_all)
//! is noted first, in a table of its own, and then every shard is visited to bring the live keys
//! up to date. So a verification either finds the note at 3, or adopted before the change came to
//! its shard. Keys that depend on something else are not disturbed.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use super::sync::{AtomicU64, Mutex, MutexGuard, Ordering};

/// The live keys of this node, by id.
#[derive(Debug)]
pub(crate) struct Registry<T> {
    changes: AtomicU64,
    /// When what keys depend on was last changed, by slots.
    definitions: Box<[AtomicU64]>,
    shards: Box<[Mutex<Shard<T>>]>,
}

#[derive(Debug)]
struct Shard<T> {
    keys: HashMap<Id, Arc<T>>,
    changed: [u64; SLOTS],
}

const SLOTS: usize = 64;

/// How many changes there had been when a verification began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Generation(u64);

/// The row is older than a change of its key: read it again.
#[derive(Debug)]
pub(crate) struct Stale;

impl<T> Registry<T> {
    /// An empty registry of at least one shard, which notes changes of definitions in so many slots.
    pub(crate) fn new(shards: usize, definitions: usize) -> Self {
        let shard = || Shard {
            keys: HashMap::new(),
            changed: [0; SLOTS],
        };
        Self {
            changes: AtomicU64::new(0),
            definitions: (0..definitions.max(1)).map(|_| AtomicU64::new(0)).collect(),
            shards: (0..shards.max(1)).map(|_| Mutex::new(shard())).collect(),
        }
    }

    /// To be called before the row is read.
    pub(crate) fn capture(&self) -> Generation {
        Generation(self.changes.load(Ordering::SeqCst))
    }

    /// Makes a key live that depends on `definitions`: `make` if it is not yet, `meet` if it is.
    pub(crate) fn adopt(
        &self,
        id: u128,
        definitions: &[u64],
        read_at: Generation,
        make: impl FnOnce() -> T,
        meet: impl FnOnce(&T),
    ) -> Result<Arc<T>, Stale> {
        let mut shard = self.shard(id);
        let mut depends_on = definitions.iter().filter_map(|hash| self.definition(*hash));
        if shard.changed_at(id) > read_at.0
            || depends_on.any(|changed| changed.load(Ordering::SeqCst) > read_at.0)
        {
            return Err(Stale);
        }
        match shard.keys.get(&Id::of(id)) {
            Some(live) => {
                meet(live);
                Ok(Arc::clone(live))
            }
            None => {
                let live = Arc::new(make());
                shard.keys.insert(Id::of(id), Arc::clone(&live));
                Ok(live)
            }
        }
    }

    /// Announces a committed change; `meet` brings the live key up to date.
    pub(crate) fn change(&self, id: u128, meet: impl FnOnce(&T)) {
        let mut shard = self.shard(id);
        let count = self.changes.fetch_add(1, Ordering::SeqCst).wrapping_add(1);
        shard.note(id, count);
        if let Some(live) = shard.keys.get(&Id::of(id)) {
            meet(live);
        }
    }

    /// Announces that the key was removed; `meet` ends the live key, if there is one. One that is
    /// made under the same id later is another. With a generation: unless the key was changed since.
    pub(crate) fn remove(
        &self,
        id: u128,
        read_at: Option<Generation>,
        meet: impl FnOnce(&T),
    ) -> Result<(), Stale> {
        let mut shard = self.shard(id);
        if read_at.is_some_and(|read_at| shard.changed_at(id) > read_at.0) {
            return Err(Stale);
        }
        let count = self.changes.fetch_add(1, Ordering::SeqCst).wrapping_add(1);
        shard.note(id, count);
        if let Some(live) = shard.keys.remove(&Id::of(id)) {
            meet(&live);
        }
        Ok(())
    }

    /// Announces committed changes of definitions that keys may depend on; `meet` brings every live
    /// key up to date.
    pub(crate) fn change_all(&self, definitions: &[u64], meet: impl Fn(&T)) {
        let count = self.changes.fetch_add(1, Ordering::SeqCst).wrapping_add(1);
        for changed in definitions.iter().filter_map(|hash| self.definition(*hash)) {
            changed.fetch_max(count, Ordering::SeqCst);
        }
        for shard in &self.shards {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.keys.values().for_each(|live| meet(live));
        }
    }

    /// Forgets the keys that nothing refers to any more and that `keep` does not ask for.
    pub(crate) fn sweep(&self, keep: impl Fn(&T) -> bool) {
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            // New references are made under this lock or from existing ones: a count of one
            // cannot rise while the lock is held.
            shard
                .keys
                .retain(|_, live| Arc::strong_count(live) > 1 || keep(live));
        }
    }

    fn definition(&self, hash: u64) -> Option<&AtomicU64> {
        self.definitions.get(hash as usize % self.definitions.len())
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "the remainder is below the length, which is at least one"
    )]
    fn shard(&self, id: u128) -> MutexGuard<'_, Shard<T>> {
        let at = spread(id) as usize % self.shards.len();
        self.shards[at]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Shard<T> {
    fn changed_at(&self, id: u128) -> u64 {
        self.changed.get(slot(id)).copied().unwrap_or(u64::MAX)
    }

    fn note(&mut self, id: u128, count: u64) {
        if let Some(changed) = self.changed.get_mut(slot(id)) {
            *changed = count;
        }
    }
}

/// An id in two halves: a number as wide as the whole is placed at every sixteenth byte, and half of
/// the place beside it is lost.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Id {
    time: u64,
    random: u64,
}

impl Id {
    fn of(id: u128) -> Self {
        Self {
            time: (id >> 64) as u64,
            random: spread(id),
        }
    }
}

/// Ids begin with a time; the random low half is what spreads.
fn spread(id: u128) -> u64 {
    (id & u128::from(u64::MAX)) as u64
}

fn slot(id: u128) -> usize {
    (spread(id) >> 32) as usize % SLOTS
}
