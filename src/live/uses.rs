//! What keys in use leave behind: when each secret was last accepted, and units of quotas that are
//! held and not used.
//!
//! A request only sets a time and, if it is the key's first since the last writing, puts the key on
//! a board. A task of its own empties the board every few seconds into the store: the more often a
//! key is used, the less a use costs.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use super::{Live, LiveKey};
use crate::clock::{Moment, Timestamp};
use crate::error::Error;
use crate::store::KeyUse;

/// How often uses are written down.
const FLUSH_EVERY: Duration = Duration::from_secs(5);

/// How many uses are written at once.
const BATCH: usize = 1_000;

/// The keys with something to be written down.
#[derive(Debug)]
pub(super) struct Board {
    used: List,
    holding: List,
    /// Held while the board is emptied: who asks for it to be done finds it done.
    flushing: tokio::sync::Mutex<()>,
}

/// Keys, each with a mark that says that it is on the list.
#[derive(Debug)]
struct List {
    keys: Mutex<Vec<Arc<LiveKey>>>,
    mark: fn(&LiveKey) -> &AtomicBool,
}

impl Default for Board {
    fn default() -> Self {
        Self {
            used: List::new(|key| &key.used),
            holding: List::new(|key| &key.holds),
            flushing: tokio::sync::Mutex::default(),
        }
    }
}

impl List {
    fn new(mark: fn(&LiveKey) -> &AtomicBool) -> Self {
        Self {
            keys: Mutex::default(),
            mark,
        }
    }

    fn add(&self, key: &Arc<LiveKey>) {
        let mark = (self.mark)(key);
        if !mark.load(Ordering::Relaxed) && !mark.swap(true, Ordering::AcqRel) {
            self.lock().push(Arc::clone(key));
        }
    }

    /// Takes all keys off. Those that are not done with go back on.
    fn take(&self) -> TakenOff<'_> {
        let keys = std::mem::take(&mut *self.lock());
        // Before anything is read of them: what comes in between puts a key on the list again.
        for key in &keys {
            (self.mark)(key).store(false, Ordering::Release);
        }
        TakenOff { list: self, keys }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Arc<LiveKey>>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct TakenOff<'a> {
    list: &'a List,
    keys: Vec<Arc<LiveKey>>,
}

impl Drop for TakenOff<'_> {
    fn drop(&mut self) {
        for key in &self.keys {
            self.list.add(key);
        }
    }
}

impl Live {
    /// Notes that a key was used. The time itself stands in the key's state.
    pub(crate) fn note_use(&self, key: &Arc<LiveKey>) {
        self.board.used.add(key);
    }

    /// Asks the ledger for more of the quotas of a key.
    pub(crate) async fn replenish(
        self: &Arc<Self>,
        key: &Arc<LiveKey>,
        cost: u32,
        now: Moment,
    ) -> Result<(), Error> {
        let (quotas, id) = {
            let state = key.state();
            (state.quotas.clone(), state.id())
        };
        let Some(quotas) = quotas else {
            return Ok(());
        };
        let (live, holder) = (Arc::clone(self), Arc::clone(key));
        let noted = move || live.board.holding.add(&holder);
        quotas.replenish(id, &self.ledger, cost, now, noted).await
    }

    /// Writes down what there is every few seconds, until the last reference to `live` is dropped.
    pub(crate) async fn keep_books(live: Weak<Self>) {
        let mut answered = true;
        loop {
            tokio::time::sleep(FLUSH_EVERY).await;
            let Some(this) = live.upgrade() else { return };
            let round = {
                let this = Arc::clone(&this);
                tokio::spawn(async move { this.flush(true).await })
            };
            match round.await {
                Ok(Ok(())) => answered = true,
                Ok(Err(error)) if answered => {
                    tracing::warn!(%error, "uses of keys cannot be written down; they are kept until they can");
                    answered = false;
                }
                _ => answered = false,
            }
        }
    }

    /// Writes down all uses, and gives back what is held of quotas: all of it, or what has not been
    /// used for a while.
    pub(crate) async fn flush(&self, idle_only: bool) -> Result<(), Error> {
        let _alone = self.board.flushing.lock().await;
        let noted = self.flush_uses().await;
        let released = self.release_quotas(idle_only).await;
        noted.and(released)
    }

    async fn flush_uses(&self) -> Result<(), Error> {
        let mut used = self.board.used.take();
        while !used.keys.is_empty() {
            let done = used.keys.len().saturating_sub(BATCH);
            let batch = used.keys.get(done..).unwrap_or_default();
            let uses: Vec<KeyUse> = batch
                .iter()
                .flat_map(|key| key.state().uses().collect::<Vec<_>>())
                .collect();
            let noting = self.store.note_uses(&uses);
            tokio::time::timeout(self.timing.poll_timeout, noting)
                .await
                .unwrap_or_else(|_| Err(super::timed_out()))?;
            used.keys.truncate(done);
        }
        Ok(())
    }

    async fn release_quotas(&self, idle_only: bool) -> Result<(), Error> {
        let mut holding = self.board.holding.take();
        while let Some(key) = holding.keys.last() {
            let (quotas, id) = {
                let state = key.state();
                (state.quotas.clone(), state.id())
            };
            let ticks = self.clock.now().ticks;
            let holds_nothing = match quotas {
                None => true,
                Some(quotas) => {
                    let released = quotas.release(id, self.ledger(), ticks, idle_only);
                    released.await?
                }
            };
            let done = holding.keys.pop();
            if let Some(key) = done.filter(|_| !holds_nothing) {
                self.board.holding.add(&key);
            }
        }
        Ok(())
    }
}

impl KeyUse {
    /// The latest of several uses.
    pub(crate) fn latest<'a>(uses: impl Iterator<Item = &'a Self>) -> Option<Timestamp> {
        uses.map(|one| one.at).max()
    }
}
