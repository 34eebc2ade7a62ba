//! Counters of requests that are alike: one thread counts with them, and another one reads them.
//!
//! 1. Neither thread waits for the other.
//! 2. What was counted is read once: as long as a counter is of the same requests by the difference to its
//!    last reading, and after that by what it had come to, which the thread that counts has handed over.
//! 3. A counter is of other requests only when its time is over, and once it was handed over.
//!
//! While a counter changes hands its turn is odd. A thread that read anything of a counter after its turn
//! became odd sees that when it looks again: all that is written there is released, and all that is read is
//! acquired. So it never adds a count to the wrong words.

use super::sync::{AtomicU64, Ordering};

/// For how long, in milliseconds, a counter is of the same requests at least. An hour has a whole number of
/// these, so that a counter is of one hour.
const PERIOD: u64 = 1_000;

/// The counters of a thread.
#[derive(Debug)]
pub(crate) struct Counters {
    counters: Box<[Counter]>,
}

/// On a cache line of its own.
#[derive(Debug)]
#[repr(align(64))]
struct Counter {
    turn: AtomicU64,
    /// Of which requests, and since when in milliseconds.
    words: [AtomicU64; 4],
    time: AtomicU64,
    /// How many there were of them.
    count: AtomicU64,
}

/// What a counter has come to when others are counted with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Total {
    pub(crate) words: [u64; 4],
    pub(crate) time: u64,
    pub(crate) counter: u16,
    pub(crate) count: u64,
}

impl Counters {
    /// So many counters, a power of two and at most 65,536.
    pub(crate) fn new(count: usize) -> Self {
        let counter = |_| Counter {
            turn: AtomicU64::new(0),
            words: std::array::from_fn(|_| AtomicU64::new(0)),
            time: AtomicU64::new(0),
            count: AtomicU64::new(0),
        };
        Self {
            counters: (0..count.next_power_of_two()).map(counter).collect(),
        }
    }

    /// Counts a request at this time (in milliseconds), if there is a counter of such. To be called by one
    /// thread.
    #[inline]
    pub(crate) fn count(&self, words: &[u64; 4], time: u64) -> bool {
        let Some(counter) = self.counters.get(self.place(words)) else {
            return false;
        };
        let is_counted = counter.is_of(words) && counter.is_at(time);
        if is_counted {
            let count = counter.count.load(Ordering::Relaxed);
            counter.count.store(count + 1, Ordering::Release);
        }
        is_counted
    }

    /// Makes one a counter of such requests, with this as the first, unless it is in use for others. What it
    /// has come to goes to `hand_over`, which says whether it has taken it. To be called by the same thread.
    #[inline(never)]
    pub(crate) fn begin(
        &self,
        words: &[u64; 4],
        time: u64,
        hand_over: impl FnOnce(&Total) -> bool,
    ) -> bool {
        let place = self.place(words);
        let (Some(counter), Ok(number)) = (self.counters.get(place), u16::try_from(place)) else {
            return false;
        };
        let count = counter.count.load(Ordering::Relaxed);
        // Of one that has counted nothing yet nothing is read.
        if count > 0 {
            if counter.is_at(time) {
                return false;
            }
            let total = Total {
                words: std::array::from_fn(|at| word(&counter.words, at, Ordering::Relaxed)),
                time: counter.time.load(Ordering::Relaxed),
                counter: number,
                count,
            };
            if !hand_over(&total) {
                return false;
            }
        }
        let turn = counter.turn.load(Ordering::Relaxed);
        let step = u64::from(count > 0);
        counter.turn.store(turn + step, Ordering::Relaxed);
        for (slot, word) in counter.words.iter().zip(words) {
            slot.store(*word, Ordering::Release);
        }
        let begun = time - time % PERIOD;
        counter.time.store(begun, Ordering::Release);
        counter.count.store(1, Ordering::Release);
        counter.turn.store(turn + 2 * step, Ordering::Release);
        true
    }

    /// Where the counter of such requests is.
    #[inline]
    fn place(&self, [head, low, high, secret]: &[u64; 4]) -> usize {
        let mixed = head ^ low.rotate_left(20) ^ high ^ secret.rotate_left(40);
        let mixed = mixed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (mixed >> 48) as usize & (self.counters.len() - 1)
    }
}

impl Counter {
    #[inline]
    fn is_of(&self, words: &[u64; 4]) -> bool {
        let mut pairs = self.words.iter().zip(words);
        pairs.all(|(own, word)| own.load(Ordering::Relaxed) == *word)
    }

    #[inline]
    fn is_at(&self, time: u64) -> bool {
        time.wrapping_sub(self.time.load(Ordering::Relaxed)) < PERIOD
    }
}

fn word(words: &[AtomicU64; 4], at: usize, ordering: Ordering) -> u64 {
    words.get(at).map_or(0, |word| word.load(ordering))
}

/// What the other thread has read of counters.
#[derive(Debug)]
pub(crate) struct Readings(Vec<Reading>);

#[derive(Clone, Copy, Debug, Default)]
struct Reading {
    turn: u64,
    count: u64,
}

impl Readings {
    pub(crate) fn of(counters: &Counters) -> Self {
        Self(vec![Reading::default(); counters.counters.len()])
    }

    /// How many of the requests of a counter that was handed over were not read before. To be told of each
    /// that was, in their order.
    pub(crate) fn settle(&mut self, counter: u16, count: u64) -> u64 {
        let Some(reading) = self.0.get_mut(usize::from(counter)) else {
            return count;
        };
        let rest = count.saturating_sub(reading.count);
        *reading = Reading {
            turn: reading.turn + 2,
            count: 0,
        };
        rest
    }

    /// Reads all counters but those that were handed over in the meantime, and tells `add` of which requests
    /// (words and time) there were how many more. To be called by one thread.
    pub(crate) fn read(&mut self, counters: &Counters, mut add: impl FnMut([u64; 4], u64, u64)) {
        for (counter, reading) in counters.counters.iter().zip(&mut self.0) {
            let turn = counter.turn.load(Ordering::Acquire);
            let count = counter.count.load(Ordering::Acquire);
            if turn != reading.turn || count <= reading.count {
                continue;
            }
            let words = std::array::from_fn(|at| word(&counter.words, at, Ordering::Acquire));
            let time = counter.time.load(Ordering::Acquire);
            if counter.turn.load(Ordering::Relaxed) == turn {
                add(words, time, count - reading.count);
                reading.count = count;
            }
        }
    }
}
