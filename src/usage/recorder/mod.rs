//! How requests are noted, off their path.
//!
//! A thread that answers requests counts those that are alike, and writes the others into a queue of its
//! own: it waits for nobody, and shares nothing with the other threads. A task of its own reads the counters
//! and takes what is in the queues about once a second, and at once when one is half full, and adds it up
//! in the [`Book`]. Another one makes a batch of that every few seconds and sends it to the sink, again and
//! again under the same name until the sink has taken it. What finds no room, in a queue or in the book, is
//! counted as dropped.

mod book;
pub(crate) mod counters;
mod keeper;
mod names;
mod note;
mod pen;
pub(crate) mod ring;
mod sampling;
pub(crate) mod sync;

use std::cell::RefCell;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use self::book::Book;
pub(crate) use self::keeper::Keeping;
use self::keeper::Outbox;
use self::names::Names;
pub(crate) use self::note::{Ended, KnownName, Note, Operation};
use self::pen::{Pen, Queue};
use self::ring::Pushed;
use self::sampling::Sampling;
use super::{LatencyHistogram, UsageObserver, UsageSink};
use crate::clock::{Clock, Moment, Timestamp};
use crate::error::Error;

/// How exact the time of a note is, in milliseconds.
const TIME_STEP: i64 = 50;

/// What recording usage has come to in this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct UsageStats {
    /// Requests that were noted and added up.
    pub noted: u64,
    /// Requests that were not, for want of room.
    pub dropped: u64,
    /// Requests that the sink has taken.
    pub written: u64,
    /// Rows that wait to be written.
    pub waiting_rows: u64,
}

/// Takes note of requests.
#[derive(Debug)]
pub(crate) struct Recorder {
    number: u64,
    clock: Arc<dyn Clock>,
    keeping: Keeping,
    sink: Arc<dyn UsageSink>,
    observers: Vec<Arc<dyn UsageObserver>>,
    /// The time in milliseconds, to within [`TIME_STEP`] while there are requests.
    now: AtomicI64,
    servers: Mutex<Names>,
    queues: Mutex<Vec<Queue>>,
    /// What was dropped by threads that are no more, or that had no queue.
    dropped: AtomicU64,
    book: Mutex<Book>,
    outbox: tokio::sync::Mutex<Outbox>,
    /// Some queue is half full.
    hurry: Arc<tokio::sync::Notify>,
}

/// What a thread keeps.
struct Local {
    pens: Vec<Pen>,
    sampling: Sampling,
}

thread_local! {
    static LOCAL: RefCell<Local> = const {
        RefCell::new(Local {
            pens: Vec::new(),
            sampling: Sampling::new(),
        })
    };
}

impl Recorder {
    pub(crate) fn new(
        sink: Arc<dyn UsageSink>,
        observers: Vec<Arc<dyn UsageObserver>>,
        clock: Arc<dyn Clock>,
        keeping: Keeping,
    ) -> Arc<Self> {
        static NUMBERS: AtomicU64 = AtomicU64::new(0);

        let now = clock.now().wall;
        Arc::new(Self {
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            now: AtomicI64::new(now.as_millis()),
            servers: Mutex::new(Names::new(usize::from(u16::MAX))),
            queues: Mutex::default(),
            dropped: AtomicU64::new(0),
            book: Mutex::new(Book::new(keeping.rows)),
            outbox: tokio::sync::Mutex::new(Outbox::new(now)),
            hurry: Arc::default(),
            sink,
            observers,
            clock,
            keeping,
        })
    }

    /// The number to note a server under.
    pub(crate) fn server(&self, name: Option<&str>) -> u16 {
        let number = name.and_then(|name| lock(&self.servers).number(name));
        // Zero stands for none.
        number
            .and_then(|number| u16::try_from(number + 1).ok())
            .unwrap_or(0)
    }

    /// How long a request took that stands for so many.
    #[inline(never)]
    fn took(&self, since: u64, weight: u8) -> Option<(u8, u8)> {
        let nanos = self.look().ticks.saturating_sub(since);
        let bucket = LatencyHistogram::bucket_of(nanos);
        Some((u8::try_from(bucket).ok()?, weight))
    }

    /// Reads the clock.
    #[inline]
    fn look(&self) -> Moment {
        let moment = self.clock.now();
        let (now, known) = (moment.wall.as_millis(), self.now.load(Ordering::Relaxed));
        // Not each time, so that threads do not disturb each other.
        if now.wrapping_sub(known).unsigned_abs() >= TIME_STEP.unsigned_abs() {
            self.now.store(now, Ordering::Relaxed);
        }
        moment
    }

    /// Takes note of a request that was let through at `since` (in ticks): of how long it took as well, if it
    /// is one of those that are timed. That is decided only now, when it has ended, so that nothing is to
    /// be kept of it till then but when it began.
    #[inline]
    pub(crate) fn note_ended(&self, ended: Ended, since: u64) {
        let step = self.now.load(Ordering::Relaxed);
        let pushed = self.with_pen(|pen, sampling| {
            let Some(weight) = sampling.next(step) else {
                return pen.count(ended.words(None), step);
            };
            let time = self.took(since, weight);
            pen.push(ended.words(time), self.now.load(Ordering::Relaxed))
        });
        self.heed(pushed);
    }

    /// The same of any request.
    pub(crate) fn note_any_ended(&self, mut note: Note<'_>, since: u64) {
        let step = self.now.load(Ordering::Relaxed);
        let pushed = self.with_pen(|pen, sampling| {
            let weight = sampling.next(step);
            note.time = weight.and_then(|weight| self.took(since, weight));
            let at = self.now.load(Ordering::Relaxed);
            pen.write(&note, Timestamp::from_millis(at))
        });
        self.heed(pushed);
    }

    /// Takes note of what happened at this moment.
    pub(crate) fn note_now(&self, note: &Note<'_>) {
        let at = self.look().wall;
        let pushed = self.with_pen(|pen, _| pen.write(note, at));
        self.heed(pushed);
    }

    #[inline]
    fn heed(&self, pushed: Option<Pushed>) {
        match pushed {
            Some(Pushed::Kept | Pushed::Refused) => {}
            Some(Pushed::HalfFull) => self.hurry.notify_one(),
            // The thread is about to end.
            None => drop(self.dropped.fetch_add(1, Ordering::Relaxed)),
        }
    }

    /// Takes note that a key was seen, which counts as no request: one that finds no room is not missed.
    #[cold]
    pub(crate) fn note_sighting(&self, note: &Note<'_>, at: Timestamp) {
        let pushed = self.with_pen(|pen, _| pen.write(note, at));
        if pushed == Some(Pushed::HalfFull) {
            self.hurry.notify_one();
        }
    }

    /// Does something with this thread's end of its queue, if it has one.
    #[inline]
    fn with_pen<T>(&self, act: impl FnOnce(&mut Pen, &mut Sampling) -> T) -> Option<T> {
        let done = LOCAL.try_with(|local| {
            let Local { pens, sampling } = &mut *local.try_borrow_mut().ok()?;
            if !pens.first().is_some_and(|pen| pen.is_for(self.number)) {
                self.find_pen(pens);
            }
            Some(act(pens.first_mut()?, sampling))
        });
        done.ok().flatten()
    }

    /// Puts this thread's end of its queue to this recorder first in the list.
    #[cold]
    fn find_pen(&self, pens: &mut Vec<Pen>) {
        pens.retain(|pen| !pen.is_closed());
        match pens.iter().position(|pen| pen.is_for(self.number)) {
            Some(place) => pens.swap(0, place),
            None => {
                let (pen, queue) = pen::ends(self.number);
                lock(&self.queues).push(queue);
                pens.insert(0, pen);
            }
        }
    }

    /// Adds up what is in the queues, and tells observers of it.
    pub(crate) fn tally(&self) {
        let at = self.look().wall;
        let (mut book, mut queues) = (self.book(), lock(&self.queues));
        queues.retain_mut(|queue| {
            // Asked first: what the thread noted before it ended is taken below.
            let is_alone = queue.is_alone();
            queue.add_to(&mut book);
            if is_alone {
                self.dropped.fetch_add(queue.refused(), Ordering::Relaxed);
            }
            !is_alone
        });
        drop(queues);
        let seen = book.close_page(at, self.is_heard(), &self.keeping, |number| {
            lock(&self.servers).text(number)
        });
        drop(book);
        if let Some(seen) = seen {
            for observer in &self.observers {
                let told = std::panic::AssertUnwindSafe(|| observer.observed(&seen.update()));
                if std::panic::catch_unwind(told).is_err() {
                    tracing::error!(?observer, "an observer of usage panicked");
                }
            }
        }
    }

    /// Whether any observer listens. One that panics does not.
    fn is_heard(&self) -> bool {
        self.observers.iter().any(|observer| {
            let asked = std::panic::AssertUnwindSafe(|| observer.listens());
            std::panic::catch_unwind(asked).unwrap_or(false)
        })
    }

    pub(crate) fn stats(&self) -> UsageStats {
        let queued: u64 = lock(&self.queues).iter().map(Queue::refused).sum();
        let mut stats = self.book().stats();
        stats.dropped += queued + self.dropped.load(Ordering::Relaxed);
        stats
    }

    /// Adds up and writes down everything.
    pub(crate) async fn flush(&self) -> Result<(), Error> {
        self.tally();
        self.send_all().await
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        lock(&self.book)
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        lock(&self.queues).iter().for_each(Queue::close);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
