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

mod alarm;
mod card;
mod charter;
mod follower;
mod key;
mod registry;
mod sync;
mod uses;
mod watched;

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub(crate) use self::charter::Charter;
use self::charter::Charters;
use self::follower::Position;
pub(crate) use self::key::{Allowance, KeyState, LiveKey, Reliance, SecretRef, Snapshot, Standing};
use self::key::{Reading, Row};
pub(crate) use self::registry::Stale;
use self::registry::{Generation, Registry};
use self::uses::Board;
use crate::clock::Clock;
use crate::error::{Error, ErrorKind};
use crate::key::{KeyId, KeyInfo, KeyRecord, OwnerId, Revision, Subject};
use crate::rights::{Resolver, Rights};
use crate::store::{KeyStore, QuotaLedger};

const SHARDS: usize = 64;

/// Thousands of owners may change in a short time; keys of others should hardly ever notice.
const DEFINITIONS: usize = 4_096;

/// How long to wait for a store at the start; it may have to wake up first.
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// The keys in use on this node.
#[derive(Debug)]
pub(crate) struct Live {
    registry: Registry<LiveKey>,
    charters: Charters,
    resolver: Arc<Resolver>,
    store: Arc<dyn KeyStore>,
    ledger: Arc<dyn QuotaLedger>,
    board: Board,
    clock: Arc<dyn Clock>,
    timing: Timing,
    /// Raised when changes may have been missed: every state of an earlier epoch is read again.
    epoch: AtomicU64,
    /// Until when (in the clock's ticks) what is live may be relied upon.
    fresh_until: AtomicU64,
    /// How far the change log has been read.
    position: tokio::sync::Mutex<Position>,
}

/// The moment before a row is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Captured {
    generation: Generation,
    read: Reading,
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
        ledger: Arc<dyn QuotaLedger>,
        resolver: Arc<Resolver>,
        clock: Arc<dyn Clock>,
        timing: Timing,
    ) -> Result<Arc<Self>, Error> {
        let asked_at = clock.now().ticks;
        let revision = tokio::time::timeout(START_TIMEOUT, store.revision())
            .await
            .map_err(|_| timed_out())??;
        let live = Arc::new(Self {
            registry: Registry::new(SHARDS, DEFINITIONS),
            charters: Charters::default(),
            resolver,
            ledger,
            store,
            board: Board::default(),
            clock,
            timing,
            epoch: AtomicU64::new(1),
            fresh_until: AtomicU64::new(0),
            position: tokio::sync::Mutex::new(Position::at(revision)),
        });
        live.mark_fresh(asked_at);
        Ok(live)
    }

    /// To be called before a row is read.
    pub(crate) fn capture(&self) -> Captured {
        // The epoch first: a state must not claim one that began after its row was read.
        let read = Reading {
            epoch: self.epoch(),
            ticks: self.clock.now().ticks,
        };
        Captured {
            generation: self.registry.capture(),
            read,
        }
    }

    /// Makes the key of a row that was read after `captured` live, with what its owner and plan,
    /// found out about after that as well, leave it.
    pub(crate) async fn adopt(
        &self,
        record: &KeyRecord,
        captured: Captured,
    ) -> Result<Result<Arc<LiveKey>, Stale>, Error> {
        let rights = self.resolver.resolve(record).await?;
        let Captured { generation, read } = captured;
        let owner = record.owner.clone().map(Subject::Owner);
        let plan = record.plan.clone().map(Subject::Plan);
        let definitions: Vec<u64> = owner.iter().chain(&plan).map(hash_of).collect();
        let row = self.row(record, &rights, read);
        Ok(self.registry.adopt(
            record.id.as_u128(),
            &definitions,
            generation,
            || LiveKey::new(KeyState::new(&row)),
            |live| live.offer(&row),
        ))
    }

    fn row<'a>(&self, record: &'a KeyRecord, rights: &'a Rights, read: Reading) -> Row<'a> {
        Row {
            record,
            rights,
            charter: self.charters.of(&rights.info),
            read,
        }
    }

    /// Announces that `record` was committed.
    pub(crate) fn changed(&self, record: &KeyRecord) {
        let read = Reading {
            epoch: self.epoch(),
            ticks: self.clock.now().ticks,
        };
        let info = KeyInfo::of(record).filter(|_| Resolver::is_plain(record));
        self.registry
            .change(record.id.as_u128(), |live| match info {
                Some(info) => {
                    let rights = Rights {
                        info: Arc::new(info),
                        owner_permits: true,
                        good_for: None,
                    };
                    live.announce(&self.row(record, &rights, read));
                }
                // Its owner or plan have to be asked first.
                None => live.distrust(),
            });
    }

    /// Announces that definitions of owners and plans were written or removed, or may have been.
    pub(crate) fn definitions_changed(&self, subjects: &HashSet<Subject>) {
        if subjects.is_empty() {
            return;
        }
        self.resolver.forget(subjects);
        let hashes: Vec<u64> = subjects.iter().map(hash_of).collect();
        self.registry.change_all(&hashes, |live| {
            let state = live.state();
            let owner = state.owner().cloned().map(Subject::Owner);
            let plan = state.plan().cloned().map(Subject::Plan);
            if owner
                .iter()
                .chain(&plan)
                .any(|named| subjects.contains(named))
            {
                live.distrust();
            }
        });
    }

    /// [`definitions_changed`](Self::definitions_changed), of one.
    pub(crate) fn definition_changed(&self, subject: &Subject) {
        self.definitions_changed(&HashSet::from([subject.clone()]));
    }

    /// Announces that an owner's rights changed in a directory of the integrator's.
    pub(crate) fn owner_changed(&self, id: &OwnerId) {
        self.definition_changed(&Subject::Owner(id.clone()));
    }

    /// What is known of owners and plans.
    pub(crate) fn resolver(&self) -> &Resolver {
        &self.resolver
    }

    /// Where it is noted what keys have taken of their quotas.
    pub(crate) fn ledger(&self) -> &dyn QuotaLedger {
        &*self.ledger
    }

    /// Announces that the key was deleted.
    pub(crate) fn deleted(&self, id: KeyId) {
        // Without a generation it is never refused.
        let _ = self.registry.remove(id.as_u128(), None, LiveKey::end);
    }

    /// Announces that there was no row any more when it was read after `captured`.
    pub(crate) fn missed(&self, id: KeyId, captured: Captured) -> Result<(), Stale> {
        self.registry
            .remove(id.as_u128(), Some(captured.generation), LiveKey::end)
    }

    /// Announces that a key may have been changed: a write whose answer was lost.
    pub(crate) fn distrust(&self, id: KeyId) {
        self.registry.change(id.as_u128(), LiveKey::distrust);
    }

    /// Announces that a key was changed by the write `revision`, whose outcome is not known here.
    fn changed_by(&self, id: KeyId, revision: Revision) {
        self.registry
            .change(id.as_u128(), |live| live.distrust_before(revision));
    }

    /// The current epoch; see [`KeyState::is_reliable`].
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::SeqCst)
    }

    /// Whether what is live may be relied upon at `ticks`.
    pub(crate) fn is_fresh(&self, ticks: u64) -> bool {
        ticks < self.fresh_until.load(Ordering::Relaxed)
    }

    /// How long ago, at `ticks`, the store's changes were asked for that are known here.
    #[cfg(feature = "metrics")]
    pub(crate) fn age(&self, ticks: u64) -> Duration {
        let asked_at = self.fresh_until.load(Ordering::Relaxed);
        let asked_at = asked_at.saturating_sub(self.good_for());
        Duration::from_nanos(ticks.saturating_sub(asked_at))
    }

    /// Forgets keys that no proof refers to and whose limits are fully refilled.
    pub(crate) fn sweep(&self) {
        let ticks = self.clock.now().ticks;
        self.registry.sweep(|live| {
            let state = live.state();
            let holds_none = state.quotas.as_ref().is_none_or(|held| held.is_empty());
            !state.limits.is_idle(ticks) || !holds_none
        });
    }

    fn mark_fresh(&self, asked_at: u64) {
        self.fresh_until
            .store(asked_at.saturating_add(self.good_for()), Ordering::Relaxed);
    }

    /// How many nanoseconds one reading of the log is good for.
    fn good_for(&self) -> u64 {
        let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        // Two polls and their time-outs must fit, or the node would turn keys away between polls.
        let between_polls = nanos(self.timing.poll_every + self.timing.poll_timeout);
        nanos(self.timing.max_stale).max(between_polls.saturating_mul(2))
    }

    /// Everything cached may be out of date: read it again before use.
    fn distrust_everything(&self) {
        self.resolver.forget_everything();
        self.epoch.fetch_add(1, Ordering::SeqCst);
    }
}

/// Under which number a definition is noted. Those that share one cost each other a second read.
fn hash_of(subject: &Subject) -> u64 {
    let mut hasher = DefaultHasher::new();
    subject.hash(&mut hasher);
    hasher.finish()
}

/// An answer that did not come in time.
pub(crate) fn timed_out() -> Error {
    Error::new(ErrorKind::Unavailable, "the store did not answer in time")
}
