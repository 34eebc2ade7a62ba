//! Both ends of what a thread hands its notes on with.

use std::sync::Arc;

use super::book::Book;
use super::counters::{Counters, Readings};
use super::note::{Note, Reader, Record, dated, of_counted, of_total};
use super::ring::{Pushed, Ring};
use crate::clock::Timestamp;

/// How many words each thread's queue holds: 512 KiB, or some 16,000 requests.
const QUEUE: usize = 64 * 1_024;

/// How many counters each thread has: 64 KiB.
const COUNTERS: usize = 1_024;

/// The thread's own end.
pub(super) struct Pen {
    /// Who takes.
    recorder: u64,
    channel: Arc<Channel>,
    /// The time of the last record that has one, in milliseconds.
    time: Option<i64>,
}

/// The taking end.
#[derive(Debug)]
pub(super) struct Queue {
    channel: Arc<Channel>,
    reader: Reader,
    readings: Readings,
}

/// What they share.
#[derive(Debug)]
struct Channel {
    ring: Ring,
    counters: Counters,
}

/// The two ends, for the recorder of this number.
pub(super) fn ends(recorder: u64) -> (Pen, Queue) {
    let channel = Arc::new(Channel {
        ring: Ring::new(QUEUE),
        counters: Counters::new(COUNTERS),
    });
    let queue = Queue {
        channel: Arc::clone(&channel),
        reader: Reader::default(),
        readings: Readings::of(&channel.counters),
    };
    let pen = Pen {
        recorder,
        channel,
        time: None,
    };
    (pen, queue)
}

impl Pen {
    /// Whether this recorder takes what is written.
    #[inline]
    pub(super) fn is_for(&self, recorder: u64) -> bool {
        self.recorder == recorder
    }

    /// Whether nobody takes it any more.
    pub(super) fn is_closed(&self) -> bool {
        self.channel.ring.is_closed()
    }

    /// Counts a request with those that are alike, or writes its words. Its time is in milliseconds.
    #[inline]
    pub(super) fn count(&mut self, words: [u64; 4], at: i64) -> Pushed {
        let counters = &self.channel.counters;
        if counters.count(&words, at.cast_unsigned()) {
            Pushed::Kept
        } else {
            self.begin_to_count(words, at)
        }
    }

    #[inline(never)]
    fn begin_to_count(&mut self, words: [u64; 4], at: i64) -> Pushed {
        let Channel { ring, counters } = &*self.channel;
        let mut handed_over = Pushed::Kept;
        let is_counted = counters.begin(&words, at.cast_unsigned(), |total| {
            handed_over = ring.push_uncounted(&of_total(total));
            handed_over != Pushed::Refused
        });
        if is_counted {
            handed_over
        } else {
            self.push(words, at)
        }
    }

    /// Writes the words of a request, with its time (in milliseconds) if that is another than before.
    #[inline]
    pub(super) fn push(&mut self, words: [u64; 4], at: i64) -> Pushed {
        if self.time == Some(at) {
            self.channel.ring.push(&words)
        } else {
            self.push_dated(words, at)
        }
    }

    #[inline(never)]
    fn push_dated(&mut self, words: [u64; 4], at: i64) -> Pushed {
        let words = dated(words, Timestamp::from_millis(at));
        let pushed = self.channel.ring.push(&words);
        self.note_time(pushed, at);
        pushed
    }

    /// Writes any note, with its time.
    #[inline(never)]
    pub(super) fn write(&mut self, note: &Note<'_>, at: Timestamp) -> Pushed {
        let record = Record::of(note, at);
        let pushed = if note.is_sighting {
            self.channel.ring.push_uncounted(record.words())
        } else {
            self.channel.ring.push(record.words())
        };
        self.note_time(pushed, at.as_millis());
        pushed
    }

    fn note_time(&mut self, pushed: Pushed, at: i64) {
        if pushed != Pushed::Refused {
            self.time = Some(at);
        }
    }
}

impl Queue {
    /// Takes what the thread has noted.
    pub(super) fn add_to(&mut self, book: &mut Book) {
        let Self {
            channel,
            reader,
            readings,
        } = self;
        channel.ring.drain(|word| {
            if let Some(note) = reader.take(word) {
                match note.total {
                    None => book.add(&note),
                    Some((counter, count)) => {
                        book.add_counted(&note, readings.settle(counter, count));
                    }
                }
            }
        });
        // After that: which counters were handed over is known now.
        readings.read(&channel.counters, |words, time, requests| {
            if let Some(note) = of_counted(words, time) {
                book.add_counted(&note, requests);
            }
        });
    }

    /// Whether the thread has ended. What it noted before is still to be taken.
    pub(super) fn is_alone(&mut self) -> bool {
        Arc::get_mut(&mut self.channel).is_some()
    }

    /// How many notes there was no room for.
    pub(super) fn refused(&self) -> u64 {
        self.channel.ring.refused()
    }

    /// Says that nobody will take any more.
    pub(super) fn close(&self) {
        self.channel.ring.close();
    }
}

#[cfg(test)]
mod tests;
