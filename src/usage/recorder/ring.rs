//! A bounded queue of words from one thread to another.
//!
//! 1. One thread pushes and one takes, at any time; neither waits for the other.
//! 2. What was pushed is taken whole and in order, or it was refused.
//!
//! Whoever pushes writes the words first and then moves the head past them; whoever takes reads the
//! words up to the head first and then moves the tail past them. So neither ever touches the words
//! that the other one is at.

use super::sync::{AtomicBool, AtomicU64, Ordering};

/// The queue. Head and tail count words since the beginning and never go back.
#[derive(Debug)]
pub(crate) struct Ring {
    words: Box<[AtomicU64]>,
    push: PushSide,
    take: TakeSide,
}

/// What the pushing thread writes, on cache lines of its own.
#[derive(Debug)]
#[repr(align(128))]
struct PushSide {
    head: AtomicU64,
    /// The tail as it was last seen.
    tail_seen: AtomicU64,
    refused: AtomicU64,
}

/// What the taking thread writes.
#[derive(Debug)]
#[repr(align(128))]
struct TakeSide {
    tail: AtomicU64,
    /// Nobody will take any more.
    is_closed: AtomicBool,
}

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pushed {
    /// It is in the queue.
    Kept,
    /// It is in the queue, which is now half full.
    HalfFull,
    /// There was no room for it.
    Refused,
}

impl Ring {
    /// A queue of `capacity` words, a power of two.
    pub(crate) fn new(capacity: usize) -> Self {
        let words = (0..capacity.next_power_of_two()).map(|_| AtomicU64::new(0));
        Self {
            words: words.collect(),
            push: PushSide {
                head: AtomicU64::new(0),
                tail_seen: AtomicU64::new(0),
                refused: AtomicU64::new(0),
            },
            take: TakeSide {
                tail: AtomicU64::new(0),
                is_closed: AtomicBool::new(false),
            },
        }
    }

    /// Adds a record, and counts it if there is no room for it. To be called by one thread.
    #[inline]
    pub(crate) fn push(&self, record: &[u64]) -> Pushed {
        let pushed = self.push_uncounted(record);
        if pushed == Pushed::Refused {
            let refused = self.push.refused.load(Ordering::Relaxed);
            self.push.refused.store(refused + 1, Ordering::Relaxed);
        }
        pushed
    }

    /// Adds a record that nobody misses. To be called by the same thread.
    #[inline]
    pub(crate) fn push_uncounted(&self, record: &[u64]) -> Pushed {
        let (capacity, length) = (self.words.len() as u64, record.len() as u64);
        let head = self.push.head.load(Ordering::Relaxed);
        let mut used = head - self.push.tail_seen.load(Ordering::Relaxed);
        if used + length > capacity / 2 {
            let tail = self.take.tail.load(Ordering::Acquire);
            self.push.tail_seen.store(tail, Ordering::Relaxed);
            used = head - tail;
            if used + length > capacity {
                return Pushed::Refused;
            }
        }
        // Nearly always it is not the end of the circle.
        let place = head as usize & (self.words.len() - 1);
        if let Some(slots) = self.words.get(place..place + record.len()) {
            for (slot, word) in slots.iter().zip(record) {
                slot.store(*word, Ordering::Relaxed);
            }
        } else {
            self.push_around(head, record);
        }
        self.push.head.store(head + length, Ordering::Release);
        // Told when it is crossed and not each time, since telling costs something.
        if used <= capacity / 2 && used + length > capacity / 2 {
            Pushed::HalfFull
        } else {
            Pushed::Kept
        }
    }

    /// Writes a record that goes on at the beginning of the circle.
    #[cold]
    fn push_around(&self, head: u64, record: &[u64]) {
        for (place, word) in (head..).zip(record) {
            if let Some(slot) = self.slot(place) {
                slot.store(*word, Ordering::Relaxed);
            }
        }
    }

    /// Takes what there is, word by word, and hands it to `take`. To be called by one thread.
    pub(crate) fn drain(&self, mut take: impl FnMut(u64)) {
        let tail = self.take.tail.load(Ordering::Relaxed);
        let head = self.push.head.load(Ordering::Acquire);
        for place in tail..head {
            if let Some(slot) = self.slot(place) {
                take(slot.load(Ordering::Relaxed));
            }
        }
        self.take.tail.store(head, Ordering::Release);
    }

    /// How many records there was no room for, of those that are counted.
    pub(crate) fn refused(&self) -> u64 {
        self.push.refused.load(Ordering::Relaxed)
    }

    /// Says that nobody will take any more.
    pub(crate) fn close(&self) {
        self.take.is_closed.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.take.is_closed.load(Ordering::Relaxed)
    }

    #[inline]
    fn slot(&self, place: u64) -> Option<&AtomicU64> {
        // Cut off on purpose: only the lowest digits say where in the circle it is.
        let place = place as usize & (self.words.len() - 1);
        self.words.get(place)
    }
}
