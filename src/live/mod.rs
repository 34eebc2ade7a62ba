//! The live state of the keys in use on this node, and how fresh it is.
//!
//! A cached proof says "this text is secret N of key K"; it never says "allowed". Whether K may be
//! used is read, on every request, from the one [`LiveKey`] of K. Changes made on this node swap
//! that state before the manager's call returns. Changes made elsewhere arrive through the store's
//! change log, which one [follower](Live::follow) per node reads.
//!
//! Freshness belongs to the node: one mark says until when everything that is live may be relied
//! upon. Each time the log was read to its end the mark moves on. While the store does not answer
//! it stands still, and when it has passed nothing cached is honoured.

mod follower;
mod key;
mod registry;
mod sync;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub(crate) use self::key::{KeyState, LiveKey, SecretRef, Standing};
use self::registry::Registry;
pub(crate) use self::registry::{Generation, Stale};
use crate::clock::Clock;
use crate::error::{Error, ErrorKind};
use crate::key::{KeyId, KeyInfo, KeyRecord, Revision};
use crate::store::KeyStore;

const SHARDS: usize = 64;

/// How long to wait for a store at the start; it may have to wake up first.
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// The keys in use on this node.
#[derive(Debug)]
pub(crate) struct Live {
    registry: Registry<LiveKey>,
    store: Arc<dyn KeyStore>,
    clock: Arc<dyn Clock>,
    timing: Timing,
    /// Raised when changes may have been missed: every state of an earlier epoch is read again.
    epoch: AtomicU64,
    /// Until when (in the clock's ticks) what is live may be relied upon.
    fresh_until: AtomicU64,
    /// How far the change log has been read.
    position: tokio::sync::Mutex<Revision>,
}

/// How often to look for changes, and how long to go on without an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    pub(crate) poll_every: Duration,
    pub(crate) poll_timeout: Duration,
    pub(crate) max_stale: Duration,
}

impl Live {
    /// The empty live state over `store`, fresh as of its current revision.
    pub(crate) async fn start(
        store: Arc<dyn KeyStore>,
        clock: Arc<dyn Clock>,
        timing: Timing,
    ) -> Result<Arc<Self>, Error> {
        let asked_at = clock.now().ticks;
        let revision = tokio::time::timeout(START_TIMEOUT, store.revision())
            .await
            .map_err(|_| timed_out())??;
        let live = Arc::new(Self {
            registry: Registry::new(SHARDS),
            store,
            clock,
            timing,
            epoch: AtomicU64::new(1),
            fresh_until: AtomicU64::new(0),
            position: tokio::sync::Mutex::new(revision),
        });
        live.mark_fresh(asked_at);
        Ok(live)
    }

    /// To be called before a row is read.
    pub(crate) fn capture(&self) -> (Generation, u64) {
        let epoch = self.epoch();
        (self.registry.capture(), epoch)
    }

    /// Makes the key of a row that was read after `read_at` live.
    pub(crate) fn adopt(
        &self,
        record: &KeyRecord,
        (read_at, epoch): (Generation, u64),
    ) -> Result<Arc<LiveKey>, Stale> {
        // A record without secrets cannot have been found by one.
        let info = Arc::new(KeyInfo::of(record).ok_or(Stale)?);
        self.registry.adopt(
            record.id.as_u128(),
            read_at,
            || LiveKey::new(KeyState::new(record, &info, epoch)),
            |live| live.offer(record, &info, epoch),
        )
    }

    /// Announces that `record` was committed.
    pub(crate) fn changed(&self, record: &KeyRecord) {
        let info = KeyInfo::of(record).map(Arc::new);
        let epoch = self.epoch();
        self.registry
            .change(record.id.as_u128(), |live| match &info {
                Some(info) => live.offer(record, info, epoch),
                None => live.end(),
            });
    }

    /// Announces that the key was deleted.
    pub(crate) fn deleted(&self, id: KeyId) {
        self.registry.change(id.as_u128(), LiveKey::end);
    }

    /// Announces that a key may have been changed: a write whose answer was lost.
    pub(crate) fn distrust(&self, id: KeyId) {
        self.registry.change(id.as_u128(), LiveKey::distrust);
    }

    /// The current epoch; see [`KeyState::is_of`].
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::SeqCst)
    }

    /// Whether what is live may be relied upon at `ticks`.
    pub(crate) fn is_fresh(&self, ticks: u64) -> bool {
        ticks < self.fresh_until.load(Ordering::Relaxed)
    }

    /// Forgets keys that no proof refers to and whose limits are fully refilled.
    pub(crate) fn sweep(&self) {
        let ticks = self.clock.now().ticks;
        self.registry
            .sweep(|live| !live.state().limits.is_idle(ticks));
    }

    fn mark_fresh(&self, asked_at: u64) {
        let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        // Two polls and their time-outs must fit, or the node would turn keys away between polls.
        let between_polls = nanos(self.timing.poll_every + self.timing.poll_timeout);
        let good_for = nanos(self.timing.max_stale).max(between_polls.saturating_mul(2));
        self.fresh_until
            .store(asked_at.saturating_add(good_for), Ordering::Relaxed);
    }

    /// Everything cached may be out of date: read it again before use.
    fn distrust_everything(&self) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
    }
}

/// An answer that did not come in time.
pub(crate) fn timed_out() -> Error {
    Error::new(ErrorKind::Unavailable, "the store did not answer in time")
}
