//! What keys in use leave behind: when each secret was last accepted, and units of quotas that are
//! held and not used.
//!
//! A request only sets a time and, if it is the key's first since the last writing, puts the key on
//! a board. A task of its own empties the board every few seconds into the store: the more often a
//! key is used, the less a use costs.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use super::{Live, LiveKey};
use crate::clock::Timestamp;
use crate::error::Error;
use crate::store::KeyUse;

/// How often uses are written down.
const FLUSH_EVERY: Duration = Duration::from_secs(5);

/// How many uses are written at once.
const BATCH: usize = 1_000;

/// The keys with something to be written down.
#[derive(Debug, Default)]
pub(super) struct Board {
    used: Mutex<Vec<Arc<LiveKey>>>,
    holding: Mutex<Vec<Arc<LiveKey>>>,
}

impl Live {
    /// Notes that a key was used. The time itself stands in the key's state.
    pub(crate) fn note_use(&self, key: &Arc<LiveKey>) {
        if !key.used.load(Ordering::Relaxed) && !key.used.swap(true, Ordering::AcqRel) {
            push(&self.board.used, key);
        }
    }

    /// Notes that a key holds units of a quota.
    pub(crate) fn note_holding(&self, key: &Arc<LiveKey>) {
        if !key.holds.swap(true, Ordering::AcqRel) {
            push(&self.board.holding, key);
        }
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
        let noted = self.flush_uses().await;
        let released = self.release_quotas(idle_only).await;
        noted.and(released)
    }

    async fn flush_uses(&self) -> Result<(), Error> {
        let mut keys = std::mem::take(&mut *lock(&self.board.used));
        while !keys.is_empty() {
            let batch = keys.split_off(keys.len().saturating_sub(BATCH));
            // Cleared first: a use that comes in between puts the key on the board again.
            for key in &batch {
                key.used.store(false, Ordering::Release);
            }
            let uses: Vec<KeyUse> = batch
                .iter()
                .flat_map(|key| key.state().uses().collect::<Vec<_>>())
                .collect();
            let noting =
                tokio::time::timeout(self.timing.poll_timeout, self.store.note_uses(&uses));
            if let Err(error) = noting.await.unwrap_or_else(|_| Err(super::timed_out())) {
                for key in batch.iter().chain(&keys) {
                    key.used.store(true, Ordering::Release);
                }
                let mut board = lock(&self.board.used);
                board.extend(keys);
                board.extend(batch);
                return Err(error);
            }
        }
        Ok(())
    }

    async fn release_quotas(&self, idle_only: bool) -> Result<(), Error> {
        let holding = std::mem::take(&mut *lock(&self.board.holding));
        let mut outcome = Ok(());
        for key in holding {
            let (quotas, id) = {
                let state = key.state();
                (Arc::clone(&state.quotas), state.info.id)
            };
            let ticks = self.clock.now().ticks;
            let released = match &outcome {
                Ok(()) => quotas.release(id, self.ledger(), ticks, idle_only).await,
                // The store does not answer: the others keep what they hold.
                Err(_) => Ok(false),
            };
            let holds_nothing = match released {
                Ok(empty) => empty,
                Err(error) => {
                    outcome = Err(error);
                    false
                }
            };
            if holds_nothing {
                key.holds.store(false, Ordering::Release);
            }
            // A request may have taken units just now, before the mark was taken away.
            if !holds_nothing || !key.state().quotas.is_empty() {
                key.holds.store(true, Ordering::Release);
                push(&self.board.holding, &key);
            }
        }
        outcome
    }
}

fn push(board: &Mutex<Vec<Arc<LiveKey>>>, key: &Arc<LiveKey>) {
    lock(board).push(Arc::clone(key));
}

fn lock<T>(board: &Mutex<Vec<T>>) -> std::sync::MutexGuard<'_, Vec<T>> {
    board.lock().unwrap_or_else(PoisonError::into_inner)
}

impl KeyUse {
    /// The latest of several uses.
    pub(crate) fn latest<'a>(uses: impl Iterator<Item = &'a Self>) -> Option<Timestamp> {
        uses.map(|one| one.at).max()
    }
}
