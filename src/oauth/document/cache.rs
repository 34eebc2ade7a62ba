//! Documents that were fetched, and those that are being fetched.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::{FetchFault, Known};
use crate::clock::Clock;

/// How many documents are kept.
const MOST: usize = 256;

/// How many are fetched at once. Others have to come again.
const AT_ONCE: usize = 8;

#[derive(Debug)]
pub(super) struct Cache {
    slots: Mutex<HashMap<String, Arc<Slot>>>,
    fetches: Semaphore,
}

/// A place for one document. Whoever fetches it holds the turn.
#[derive(Debug, Default)]
struct Slot {
    kept: Mutex<Option<Kept>>,
    turn: tokio::sync::Mutex<()>,
}

#[derive(Clone, Debug)]
struct Kept {
    known: Known,
    until: u64,
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            slots: Mutex::default(),
            fetches: Semaphore::new(AT_ONCE),
        }
    }
}

impl Cache {
    /// What is kept of a document.
    pub(super) fn kept(&self, url: &str, ticks: u64) -> Option<Known> {
        let slot = self.slots().get(url).cloned()?;
        slot.at(ticks)
    }

    /// What is kept of a document, or else comes of fetching it and may be kept for how long.
    pub(super) async fn get(
        &self,
        url: &str,
        clock: &dyn Clock,
        fetch: impl Future<Output = (Known, Duration)>,
    ) -> Known {
        const BUSY: &str = "too many documents are being fetched at the moment";
        let Some(slot) = self.slot(url, clock.now().ticks) else {
            return Err(FetchFault::new(BUSY));
        };
        let _turn = slot.turn.lock().await;
        if let Some(known) = slot.at(clock.now().ticks) {
            return known;
        }
        let Ok(_permit) = self.fetches.try_acquire() else {
            return Err(FetchFault::new(BUSY));
        };
        let (known, age) = fetch.await;
        let age = u64::try_from(age.as_nanos()).unwrap_or(u64::MAX);
        let kept = Kept {
            known: known.clone(),
            until: clock.now().ticks.saturating_add(age),
        };
        *slot.kept() = Some(kept);
        known
    }

    /// The place for a document; nothing if all places are in use.
    fn slot(&self, url: &str, ticks: u64) -> Option<Arc<Slot>> {
        let mut slots = self.slots();
        if let Some(slot) = slots.get(url) {
            return Some(Arc::clone(slot));
        }
        if slots.len() >= MOST {
            slots.retain(|_, slot| Arc::strong_count(slot) > 1 || slot.at(ticks).is_some());
        }
        if slots.len() >= MOST {
            let idle = slots
                .iter()
                .filter(|(_, slot)| Arc::strong_count(slot) == 1);
            let oldest = idle.min_by_key(|(_, slot)| slot.until());
            let oldest = oldest.map(|(url, _)| url.clone())?;
            slots.remove(&oldest);
        }
        let slot = Arc::<Slot>::default();
        slots.insert(url.to_owned(), Arc::clone(&slot));
        Some(slot)
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<String, Arc<Slot>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    fn at(&self, ticks: u64) -> Option<Known> {
        let kept = self.kept();
        let kept = kept.as_ref().filter(|kept| ticks < kept.until)?;
        Some(kept.known.clone())
    }

    fn until(&self) -> u64 {
        self.kept().as_ref().map_or(0, |kept| kept.until)
    }

    fn kept(&self) -> MutexGuard<'_, Option<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
