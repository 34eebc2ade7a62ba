//! What a thread remembers of the keys it saw last: a small table before the shared cache.
//!
//! The shared cache notes every read for its eviction, which costs more than the rest of a request's
//! checks, and the more so the more threads read. Most requests come with few keys, so each thread
//! keeps those at hand.
//!
//! 1. It holds proofs, as the cache does, and never a verdict. With each it keeps a copy of the key's
//!    live state, which counts only while the live key, which all threads share, says that it has not
//!    changed: that is asked each time. What a pass notes beside follows from that copy alone.
//! 2. A deleted key is not found here.
//! 3. What a thread hands out is its own. Counting references to it disturbs no other thread.
//! 4. Nothing in it keeps a set of keys alive that was dropped.

use std::cell::RefCell;
use std::sync::{Arc, Weak};

use super::{Fingerprint, Pass};

/// How long a key in use is defended against others that fall on its place: so many of them must come
/// for each time it was used since, and no more than that often.
const DEFENCE: u8 = 7;

/// How many texts find room where one may stand.
const WAYS: usize = 4;

/// The tables that threads keep for one verifier.
#[derive(Debug)]
pub(super) struct Fronts {
    /// While it lives so does the verifier.
    mark: Arc<()>,
    /// How many shelves a table has: a power of two, or zero for no tables.
    shelves: usize,
}

thread_local! {
    static TABLES: RefCell<Vec<Table>> = const { RefCell::new(Vec::new()) };
}

struct Table {
    of: Weak<()>,
    shelves: Box<[Shelf]>,
}

/// The places where the passes of some texts may stand. One cache line: looking through it costs no
/// more than looking at it.
#[derive(Default)]
#[repr(align(64))]
struct Shelf {
    /// Parts of the fingerprints. The whole is in the pass.
    tags: [u32; WAYS],
    passes: [Option<Arc<Pass>>; WAYS],
    defence: [u8; WAYS],
}

/// One place of a shelf.
struct Place<'s> {
    tag: &'s mut u32,
    pass: &'s mut Option<Arc<Pass>>,
    defence: &'s mut u8,
}

impl Shelf {
    fn places(&mut self) -> impl Iterator<Item = Place<'_>> {
        let places = self.tags.iter_mut().zip(&mut self.passes);
        let places = places.zip(&mut self.defence);
        places.map(|((tag, pass), defence)| Place { tag, pass, defence })
    }

    fn place_of(&mut self, fingerprint: Fingerprint) -> Option<Place<'_>> {
        let tag = tag_of(fingerprint);
        self.places().find(|place| {
            *place.tag == tag
                && place
                    .pass
                    .as_ref()
                    .is_some_and(|pass| pass.fingerprint() == fingerprint)
        })
    }
}

impl Fronts {
    /// Tables for about so many texts; none for zero.
    pub(super) fn new(texts: usize) -> Self {
        Self {
            mark: Arc::new(()),
            shelves: match texts.div_ceil(WAYS) {
                0 => 0,
                some => some.checked_next_power_of_two().unwrap_or(0),
            },
        }
    }

    /// What this thread remembers of a text.
    pub(super) fn recall(&self, fingerprint: Fingerprint) -> Option<Arc<Pass>> {
        self.with_shelf(fingerprint, |shelf| {
            let place = shelf.place_of(fingerprint)?;
            let pass = place.pass.as_ref()?;
            pass.fetch();
            *place.defence = place.defence.saturating_add(1).min(DEFENCE);
            Some(Arc::clone(pass))
        })
    }

    /// Remembers a pass on this thread, unless all its places are taken by ones that are used more
    /// often.
    pub(super) fn remember(&self, pass: &Arc<Pass>) {
        let fingerprint = pass.fingerprint();
        self.with_shelf(fingerprint, |shelf| {
            if let Some(same) = shelf.place_of(fingerprint) {
                *same.pass = Some(Arc::clone(pass));
                return Some(());
            }
            let worth = |place: &Place<'_>| place.pass.as_ref().map_or(0, |_| *place.defence + 1);
            let least = shelf.places().min_by_key(worth)?;
            if *least.defence > 0 {
                *least.defence -= 1;
            } else {
                *least.tag = tag_of(fingerprint);
                *least.pass = Some(Arc::clone(pass));
            }
            Some(())
        });
    }

    /// Forgets a text on this thread.
    pub(super) fn forget(&self, fingerprint: Fingerprint) {
        self.with_shelf(fingerprint, |shelf| {
            let place = shelf.place_of(fingerprint)?;
            *place.pass = None;
            *place.defence = 0;
            Some(())
        });
    }

    /// Nothing where this thread can keep no table: it is about to end.
    fn with_shelf<T>(
        &self,
        fingerprint: Fingerprint,
        work: impl FnOnce(&mut Shelf) -> Option<T>,
    ) -> Option<T> {
        if self.shelves == 0 {
            return None;
        }
        TABLES
            .try_with(|tables| {
                let mut tables = tables.try_borrow_mut().ok()?;
                let table = self.table_in(&mut tables)?;
                // Their number is a power of two.
                let at = fingerprint.as_u128() as usize & (self.shelves - 1);
                table.shelves.get_mut(at).and_then(work)
            })
            .ok()
            .flatten()
    }

    fn table_in<'t>(&self, tables: &'t mut Vec<Table>) -> Option<&'t mut Table> {
        let is_mine = |table: &Table| std::ptr::eq(table.of.as_ptr(), Arc::as_ptr(&self.mark));
        let at = match tables.iter().position(is_mine) {
            Some(at) => at,
            None => self.add_table(tables),
        };
        tables.get_mut(at)
    }

    #[cold]
    fn add_table(&self, tables: &mut Vec<Table>) -> usize {
        tables.retain(|table| table.of.strong_count() > 0);
        tables.push(Table {
            of: Arc::downgrade(&self.mark),
            shelves: (0..self.shelves).map(|_| Shelf::default()).collect(),
        });
        tables.len() - 1
    }
}

/// A part of the fingerprint that does not choose the shelf.
fn tag_of(fingerprint: Fingerprint) -> u32 {
    (fingerprint.as_u128() >> 96) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Carrier;
    use crate::live::LiveKey;
    use crate::testing::records::record;
    use crate::verify::{Fingerprinter, Proof};

    fn pass(text: Fingerprint, number: u64) -> Arc<Pass> {
        let record = record(number);
        let live = Arc::new(LiveKey::of(&record));
        let secret = record.credentials.first().unwrap().into();
        Arc::new(Pass::new(text, Proof::new(live, secret), Carrier::Bearer))
    }

    #[test]
    fn a_place_goes_to_whom_it_is_worth_most() {
        let (fronts, texts) = (Fronts::new(1), Fingerprinter::random());
        // One shelf: these stand on all of it.
        let busy: Vec<_> = (0..WAYS as u64)
            .map(|number| pass(texts.of(&number.to_be_bytes()), number))
            .collect();
        let rare = pass(texts.of(b"rare"), 9);
        busy.iter().for_each(|pass| fronts.remember(pass));
        for _ in 0..100 {
            for pass in &busy {
                assert!(Arc::ptr_eq(
                    &fronts.recall(pass.fingerprint()).unwrap(),
                    pass
                ));
            }
            fronts.remember(&rare);
            assert!(fronts.recall(rare.fingerprint()).is_none());
        }
        // They are not used any more, so one gives way before long.
        for _ in 0..=WAYS * usize::from(DEFENCE) {
            fronts.remember(&rare);
        }
        assert!(Arc::ptr_eq(
            &fronts.recall(rare.fingerprint()).unwrap(),
            &rare
        ));
        let left = busy
            .iter()
            .filter(|pass| fronts.recall(pass.fingerprint()).is_some());
        assert_eq!(left.count(), WAYS - 1);
    }

    #[test]
    fn what_is_kept_is_of_this_verifier_and_of_this_thread() {
        let text = Fingerprinter::random().of(b"text");
        let (one, other) = (Fronts::new(16), Fronts::new(16));
        one.remember(&pass(text, 1));
        assert!(one.recall(text).is_some());
        assert!(other.recall(text).is_none());
        std::thread::scope(|scope| {
            scope.spawn(|| assert!(one.recall(text).is_none()));
        });
        one.forget(text);
        assert!(one.recall(text).is_none());
    }

    #[test]
    fn tables_of_verifiers_that_are_gone_are_dropped_with_their_keys() {
        let text = Fingerprinter::random().of(b"text");
        let (gone, kept) = (Fronts::new(16), pass(text, 1));
        gone.remember(&kept);
        assert_eq!(Arc::strong_count(&kept), 2);
        drop(gone);
        // The thread notices when it makes the next table.
        Fronts::new(16).remember(&pass(text, 2));
        assert_eq!(Arc::strong_count(&kept), 1);
    }

    #[test]
    fn no_places_remember_nothing() {
        let text = Fingerprinter::random().of(b"text");
        let none = Fronts::new(0);
        none.remember(&pass(text, 1));
        assert!(none.recall(text).is_none());
    }
}
