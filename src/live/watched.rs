//! A value that is swapped as a whole, of which readers keep copies.
//!
//! Reading it costs a reader something, and threads that read the same one a little more. A reader
//! that kept a copy asks whether the value has changed since, which is one load of a number that
//! seldom changes:
//!
//! 1. Whoever changes the value stores it first, then raises the number, then goes on.
//! 2. Whoever takes a copy reads the number first, then the value.
//!
//! So a copy under the current number is never of before a change whose maker has gone on. It may be
//! of after one that is still being made; its reader then takes another copy once more than needed.

use std::sync::Arc;

use super::sync::{AtomicU64, Ordering, Slot};

/// A value that readers keep copies of.
#[derive(Debug)]
pub(crate) struct Watched<T> {
    value: Slot<T>,
    changes: AtomicU64,
}

/// A copy of a watched value.
#[derive(Debug)]
pub(crate) struct Copied<T> {
    value: Arc<T>,
    changes: u64,
}

impl<T> Watched<T> {
    pub(crate) fn new(value: T) -> Self {
        Self {
            value: Slot::from_pointee(value),
            changes: AtomicU64::new(0),
        }
    }

    /// The value itself, for as long as it is looked at.
    pub(crate) fn value(&self) -> &Slot<T> {
        &self.value
    }

    /// A copy to be kept.
    pub(crate) fn copy(&self) -> Copied<T> {
        let changes = self.changes.load(Ordering::SeqCst);
        Copied {
            value: self.value.load_full(),
            changes,
        }
    }

    /// Whether the value is still the one that was copied.
    pub(crate) fn is_still(&self, copied: &Copied<T>) -> bool {
        self.changes.load(Ordering::SeqCst) == copied.changes
    }

    /// The number, whatever it means.
    pub(crate) fn glance(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }

    /// Swaps the value. To be called by one at a time.
    pub(crate) fn change(&self, value: T) {
        self.value.store(Arc::new(value));
        self.changes.fetch_add(1, Ordering::SeqCst);
    }
}

impl<T> Copied<T> {
    pub(crate) fn value(&self) -> &T {
        &self.value
    }
}
