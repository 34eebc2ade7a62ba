//! What a gate consists of, and the copies of it that threads refer to.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Gate, Rules, Shared};

/// What a gate consists of.
///
/// Every admitted request refers to it until it is answered. So that threads do not disturb each
/// other by counting these references, there are several copies, each counted on cache lines of its
/// own.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Core {
    pub(super) shared: Arc<Shared>,
    pub(super) rules: Arc<Rules>,
    copies: Box<[Gate]>,
}

impl Gate {
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        Self::of(shared, &Arc::default())
    }

    pub(crate) fn with_rules(&self, change: impl FnOnce(&mut Rules)) -> Self {
        let mut rules = Rules::clone(&self.core.rules);
        change(&mut rules);
        Self::of(&self.core.shared, &Arc::new(rules))
    }

    fn of(shared: &Arc<Shared>, rules: &Arc<Rules>) -> Self {
        let of_copies = |copies| Self {
            core: Arc::new(Core {
                shared: Arc::clone(shared),
                rules: Arc::clone(rules),
                copies,
            }),
        };
        let copies = (0..COPIES).map(|_| of_copies(Box::default()));
        of_copies(copies.collect())
    }

    /// A reference to the same gate for one request, from the copy for this thread.
    pub(super) fn lend(&self) -> Self {
        let copies = &self.core.copies;
        let own = copies.get(number_of_this_thread() & copies.len().wrapping_sub(1));
        own.unwrap_or(self).clone()
    }
}

/// How many copies there are: a power of two, and many more than threads that work at once, because
/// which threads those are is not known here.
const COPIES: usize = 64;

thread_local! {
    static MINE: usize = {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        NEXT.fetch_add(1, Ordering::Relaxed)
    };
}

/// This thread's number, given out in order.
fn number_of_this_thread() -> usize {
    MINE.try_with(|number| *number).unwrap_or_default()
}
