//! The two tasks that keep the book: one adds up, the other one writes down.

use std::sync::{Arc, Weak};
use std::time::Duration;

use super::{Recorder, lock};
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind};
use crate::key::fill_random;
use crate::usage::{BatchId, UsageBatch, UsageRetention};

/// How often what is in the queues is added up.
const TALLY_EVERY: Duration = Duration::from_secs(1);

/// How long a sink may take for a batch before it is asked again.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often old usage is looked for.
const PRUNE_EVERY: Duration = Duration::from_secs(3_600);

/// When it is for the first time.
const FIRST_PRUNE: Duration = Duration::from_secs(60);

/// How often a sink is asked to forget some of it, at most.
const PRUNINGS: usize = 1_000;

/// How usage is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keeping {
    pub(crate) retention: UsageRetention,
    /// How often it is written down.
    pub(crate) write_every: Duration,
    /// How many rows may wait to be written.
    pub(crate) rows: usize,
    /// What the numbers of reasons mean.
    pub(crate) reason: fn(u8) -> &'static str,
}

/// What is on its way to the sink.
#[derive(Debug)]
pub(super) struct Outbox {
    recorder: u128,
    number: u64,
    batch: Option<UsageBatch>,
    is_failing: bool,
    is_dropping: bool,
    dropped: u64,
    prune_at: Timestamp,
}

impl Outbox {
    pub(super) fn new(now: Timestamp) -> Self {
        let mut bytes = [0; 16];
        fill_random(&mut bytes);
        Self {
            recorder: u128::from_le_bytes(bytes),
            number: 0,
            batch: None,
            is_failing: false,
            is_dropping: false,
            dropped: 0,
            prune_at: now.saturating_add(FIRST_PRUNE),
        }
    }

    fn next_id(&mut self) -> BatchId {
        self.number += 1;
        BatchId {
            recorder: self.recorder,
            number: self.number,
        }
    }
}

impl Recorder {
    /// Starts both tasks. They end when the last reference to the recorder is dropped.
    pub(crate) fn start(self: &Arc<Self>) {
        tokio::spawn(Self::keep_adding_up(Arc::downgrade(self)));
        tokio::spawn(Self::keep_writing_down(Arc::downgrade(self)));
    }

    async fn keep_adding_up(recorder: Weak<Self>) {
        let Some(hurry) = recorder.upgrade().map(|this| Arc::clone(&this.hurry)) else {
            return;
        };
        loop {
            let _ = tokio::time::timeout(TALLY_EVERY, hurry.notified()).await;
            let Some(this) = recorder.upgrade() else {
                return;
            };
            this.tally();
        }
    }

    async fn keep_writing_down(recorder: Weak<Self>) {
        loop {
            let Some(every) = recorder.upgrade().map(|this| this.keeping.write_every) else {
                return;
            };
            tokio::time::sleep(every).await;
            let Some(this) = recorder.upgrade() else {
                return;
            };
            // In a task of its own: a sink that panics must not end this one.
            let round = tokio::spawn(async move {
                let written = this.flush().await;
                this.report(written.is_ok()).await;
                this.prune().await;
            });
            let _ = round.await;
        }
    }

    /// Sends what waits, batch by batch, as far as the sink takes it.
    pub(super) async fn send_all(&self) -> Result<(), Error> {
        let mut outbox = self.outbox.lock().await;
        let mut given_up = None;
        loop {
            if outbox.batch.is_none() {
                let id = outbox.next_id();
                outbox.batch = self.make_batch(id);
            }
            let Some(batch) = &outbox.batch else {
                outbox.is_failing = false;
                return given_up.map_or(Ok(()), Err);
            };
            let written = match tokio::time::timeout(PATIENCE, self.sink.write(batch)).await {
                Ok(written) => written,
                Err(_) => Err(Error::new(
                    ErrorKind::Unavailable,
                    "the sink did not take usage in time",
                )),
            };
            if let Err(error) = written {
                if !error.is_temporary() {
                    // It would stand in the way of all that come after it.
                    tracing::error!(%error, "a batch of usage was refused and is given up");
                    self.book().settle(batch, false);
                    outbox.batch = None;
                    given_up = Some(error);
                    continue;
                }
                if !outbox.is_failing {
                    outbox.is_failing = true;
                    tracing::warn!(%error, "usage cannot be written down; it is kept until it can, as far as there is room");
                }
                return Err(error);
            }
            self.book().settle(batch, true);
            outbox.batch = None;
        }
    }

    fn make_batch(&self, id: BatchId) -> Option<UsageBatch> {
        let at = self.look().wall;
        let server = |number| lock(&self.servers).text(number);
        self.book().take_batch(id, at, &self.keeping, server)
    }

    /// Says so when requests begin to be dropped.
    async fn report(&self, is_written: bool) {
        let stats = self.stats();
        let mut outbox = self.outbox.lock().await;
        let more = stats.dropped.saturating_sub(outbox.dropped);
        outbox.dropped = stats.dropped;
        if more > 0 && !outbox.is_dropping {
            tracing::warn!(
                dropped = more,
                is_written,
                "requests are left out of the usage, which has no room for them"
            );
        }
        outbox.is_dropping = more > 0;
    }

    async fn prune(&self) {
        let now = self.look().wall;
        {
            let mut outbox = self.outbox.lock().await;
            if now < outbox.prune_at {
                return;
            }
            outbox.prune_at = now.saturating_add(PRUNE_EVERY);
        }
        for _ in 0..PRUNINGS {
            let pruning = self.sink.prune(self.keeping.retention, now);
            match tokio::time::timeout(PATIENCE, pruning).await {
                Ok(Ok(true)) => tokio::task::yield_now().await,
                Ok(Ok(false)) => return,
                Ok(Err(error)) => {
                    tracing::warn!(%error, "old usage cannot be removed");
                    return;
                }
                Err(_) => return,
            }
        }
    }
}
