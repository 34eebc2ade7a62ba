//! What a thread remembers of the keys it saw last: a small table before the shared cache.
//!
//! The shared cache notes every read for its eviction, which costs more than the rest of a request's
//! checks, and the more so the more threads read. Most requests come with few keys, so each thread
//! keeps those at hand.
//!
//! 1. It holds proofs, as the cache does, and never a verdict. With each it keeps a copy of the key's
//!    live state, which counts only while the live key, which all threads share, says that it has not
//!    changed: that is asked each time.
//! 2. A deleted key is not found here.
//! 3. One hit in [`TOUCH_EVERY`] asks the cache as well, so that it knows what is in use.
//! 4. What a thread hands out is its own. Counting references to it disturbs no other thread.
//! 5. Nothing in it keeps a set of keys alive that was dropped.

use std::cell::RefCell;
use std::sync::{Arc, Weak};

use super::{Fingerprint, Pass};

/// How many hits there are for each question to the shared cache.
const TOUCH_EVERY: u32 = 64;

/// How long a key in use is defended against others that fall on its place: so many of them must come
/// for each time it was used since, and no more than that often.
const DEFENCE: u8 = 7;

/// The tables that threads keep for one verifier.
#[derive(Debug)]
pub(super) struct Fronts {
    /// While it lives so does the verifier.
    mark: Arc<()>,
    /// A power of two, or zero for no tables.
    places: usize,
}

/// What a thread remembers of a text.
pub(super) enum Memory {
    Known(Arc<Pass>),
    /// It is known, but it is time to ask the cache too.
    Touch(Arc<Pass>),
    Nothing,
}

thread_local! {
    static TABLES: RefCell<Vec<Table>> = const { RefCell::new(Vec::new()) };
}

struct Table {
    of: Weak<()>,
    places: Box<[Option<Place>]>,
}

struct Place {
    fingerprint: Fingerprint,
    pass: Arc<Pass>,
    hits: u32,
    defence: u8,
}

impl Fronts {
    /// Tables of about so many places; none for zero.
    pub(super) fn new(places: usize) -> Self {
        Self {
            mark: Arc::new(()),
            places: match places {
                0 => 0,
                some => some.checked_next_power_of_two().unwrap_or(0),
            },
        }
    }

    /// What this thread remembers of a text.
    pub(super) fn recall(&self, fingerprint: Fingerprint) -> Memory {
        self.with_place(fingerprint, |place| match place {
            Some(found) if found.fingerprint == fingerprint => {
                found.hits = found.hits.wrapping_add(1);
                found.defence = found.defence.saturating_add(1).min(DEFENCE);
                let pass = Arc::clone(&found.pass);
                if found.hits.is_multiple_of(TOUCH_EVERY) {
                    Memory::Touch(pass)
                } else {
                    Memory::Known(pass)
                }
            }
            _ => Memory::Nothing,
        })
        .unwrap_or(Memory::Nothing)
    }

    /// Remembers a pass on this thread, unless its place is taken by one that is used more often.
    pub(super) fn remember(&self, fingerprint: Fingerprint, pass: &Arc<Pass>) {
        self.with_place(fingerprint, |place| match place {
            Some(same) if same.fingerprint == fingerprint => same.pass = Arc::clone(pass),
            Some(other) if other.defence > 0 => other.defence -= 1,
            place => {
                *place = Some(Place {
                    fingerprint,
                    pass: Arc::clone(pass),
                    hits: 0,
                    defence: 0,
                });
            }
        });
    }

    /// Forgets a text on this thread.
    pub(super) fn forget(&self, fingerprint: Fingerprint) {
        self.with_place(fingerprint, |place| {
            let found = place.as_ref();
            if found.is_some_and(|found| found.fingerprint == fingerprint) {
                *place = None;
            }
        });
    }

    /// Nothing where this thread can keep no table: it is about to end.
    fn with_place<T>(
        &self,
        fingerprint: Fingerprint,
        work: impl FnOnce(&mut Option<Place>) -> T,
    ) -> Option<T> {
        if self.places == 0 {
            return None;
        }
        TABLES
            .try_with(|tables| {
                let mut tables = tables.try_borrow_mut().ok()?;
                let table = self.table_in(&mut tables)?;
                // The number of places is a power of two.
                let at = fingerprint.as_u128() as usize & (self.places - 1);
                table.places.get_mut(at).map(work)
            })
            .ok()
            .flatten()
    }

    fn table_in<'t>(&self, tables: &'t mut Vec<Table>) -> Option<&'t mut Table> {
        let is_mine = |table: &Table| std::ptr::eq(table.of.as_ptr(), Arc::as_ptr(&self.mark));
        let at = match tables.iter().position(is_mine) {
            Some(at) => at,
            None => {
                tables.retain(|table| table.of.strong_count() > 0);
                tables.push(Table {
                    of: Arc::downgrade(&self.mark),
                    places: (0..self.places).map(|_| None).collect(),
                });
                tables.len() - 1
            }
        };
        tables.get_mut(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Carrier;
    use crate::live::LiveKey;
    use crate::testing::records::record;
    use crate::verify::{Fingerprinter, Proof};

    fn pass(number: u64) -> Arc<Pass> {
        let record = record(number);
        let live = Arc::new(LiveKey::of(&record));
        let secret = record.credentials.first().unwrap().into();
        Arc::new(Pass::new(Proof::new(live, secret), Carrier::Bearer))
    }

    fn known(fronts: &Fronts, text: Fingerprint) -> Option<Arc<Pass>> {
        match fronts.recall(text) {
            Memory::Known(pass) | Memory::Touch(pass) => Some(pass),
            Memory::Nothing => None,
        }
    }

    #[test]
    fn one_hit_in_many_asks_the_cache() {
        let (fronts, text) = (Fronts::new(16), Fingerprinter::random().of(b"text"));
        fronts.remember(text, &pass(1));
        let touches = (0..TOUCH_EVERY * 3)
            .filter(|_| matches!(fronts.recall(text), Memory::Touch(_)))
            .count();
        assert_eq!(touches, 3);
    }

    #[test]
    fn a_place_goes_to_whom_it_is_worth_most() {
        let (fronts, texts) = (Fronts::new(1), Fingerprinter::random());
        let (busy, rare) = (texts.of(b"busy"), texts.of(b"rare"));
        let (busy_pass, rare_pass) = (pass(1), pass(2));
        fronts.remember(busy, &busy_pass);
        for _ in 0..3 {
            assert!(known(&fronts, busy).is_some());
            assert!(known(&fronts, rare).is_none());
            fronts.remember(rare, &rare_pass);
        }
        assert!(known(&fronts, busy).is_some());
        // It is not used any more, so it gives way before long.
        for _ in 0..=DEFENCE {
            fronts.remember(rare, &rare_pass);
        }
        assert!(known(&fronts, busy).is_none());
        assert!(Arc::ptr_eq(&known(&fronts, rare).unwrap(), &rare_pass));
    }

    #[test]
    fn what_is_kept_is_of_this_verifier_and_of_this_thread() {
        let text = Fingerprinter::random().of(b"text");
        let (one, other) = (Fronts::new(16), Fronts::new(16));
        one.remember(text, &pass(1));
        assert!(known(&one, text).is_some());
        assert!(known(&other, text).is_none());
        std::thread::scope(|scope| {
            scope.spawn(|| assert!(known(&one, text).is_none()));
        });
        one.forget(text);
        assert!(known(&one, text).is_none());
    }

    #[test]
    fn tables_of_verifiers_that_are_gone_are_dropped_with_their_keys() {
        let text = Fingerprinter::random().of(b"text");
        let (gone, kept) = (Fronts::new(16), pass(1));
        gone.remember(text, &kept);
        assert_eq!(Arc::strong_count(&kept), 2);
        drop(gone);
        // The thread notices when it makes the next table.
        Fronts::new(16).remember(text, &pass(2));
        assert_eq!(Arc::strong_count(&kept), 1);
    }

    #[test]
    fn no_places_remember_nothing() {
        let text = Fingerprinter::random().of(b"text");
        let none = Fronts::new(0);
        none.remember(text, &pass(1));
        assert!(known(&none, text).is_none());
    }
}
