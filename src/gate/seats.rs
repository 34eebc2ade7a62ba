//! Which of several copies of something a thread uses, so that threads seldom share one.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};

/// More copies than this are no use to anybody.
const MOST: usize = 64;

thread_local! {
    static MINE: usize = {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        NEXT.fetch_add(1, Ordering::Relaxed)
    };
}

/// How many copies to make: a power of two.
pub(super) fn count() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    cores.min(MOST).next_power_of_two()
}

/// This thread's number, given out in order.
pub(super) fn mine() -> usize {
    MINE.try_with(|number| *number).unwrap_or_default()
}
