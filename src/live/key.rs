//! One key in use on this node.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use arc_swap::Guard;
use smallvec::SmallVec;

use super::card::{Card, End};
use super::charter::Charter;
use super::watched::{Copied, Watched};
use crate::clock::Timestamp;
use crate::context::Brief;
use crate::key::{
    Credential, CredentialId, Grants, KeyId, KeyInfo, KeyRecord, KeyStatus, OwnerId, PlanName,
    Revision,
};
use crate::limit::{LimitSet, QuotaSet};
use crate::rights::Rights;
use crate::store::KeyUse;

/// The live state of one key: what every request is judged by, cached or not.
#[derive(Debug)]
pub(crate) struct LiveKey {
    /// Only changed under the registry's lock.
    state: Watched<KeyState>,
    /// Whether it is on the list of keys with a use to be written down.
    pub(super) used: AtomicBool,
    /// Whether it is on the list of keys that hold units of quotas, to be given back some time.
    pub(super) holds: AtomicBool,
}

/// The state of a key at one revision. It never changes; a change swaps in another.
#[derive(Clone, Debug)]
pub(crate) struct KeyState {
    /// The key as its owner and plan leave it.
    card: Card,
    pub(crate) limits: Arc<LimitSet>,
    /// None if it has never had any: most keys have none, and need not be asked.
    pub(crate) quotas: Option<Arc<QuotaSet>>,
    secrets: SmallVec<[LiveSecret; 1]>,
    /// A state of an earlier epoch may have missed changes and is read again before use.
    epoch: u64,
    /// Until when (in ticks) what is known of the owner may be relied upon.
    good_until: u64,
    /// When (in ticks) the row was read, or later.
    read_at: u64,
    /// It may have changed, or what it depends on may: it is read again before use.
    suspect: bool,
    pub(crate) standing: Standing,
}

/// What a request is charged to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowance<'a> {
    pub(crate) key: KeyId,
    pub(crate) limits: &'a Arc<LimitSet>,
    pub(crate) quotas: Option<&'a QuotaSet>,
}

/// Until when a state may be relied upon, in little room, for who keeps a copy of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reliance {
    epoch: u64,
    good_until: u64,
}

/// A copy of the state of a key.
pub(crate) type Snapshot = Copied<KeyState>;

/// The epoch of a key that is no more.
const ENDED: u64 = u64::MAX;

/// What is not to be relied upon is of this epoch, which comes before the first.
const NO_EPOCH: u64 = 0;

/// Which secret of a key a proof is about.
///
/// The number alone would not do: in a store restored from a backup it may come again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SecretRef {
    pub(crate) id: CredentialId,
    pub(crate) created_at: Timestamp,
}

#[derive(Clone, Debug)]
struct LiveSecret {
    which: SecretRef,
    ends_at: End,
    /// States share it.
    last_used: Arc<LastUsed>,
}

/// When a secret was last accepted.
#[derive(Debug, Default)]
pub(crate) struct LastUsed(AtomicI64);

impl LastUsed {
    pub(crate) fn note(&self, now: Timestamp) {
        self.0.store(now.as_millis(), Ordering::Relaxed);
    }

    fn at(&self) -> Option<Timestamp> {
        let at = self.0.load(Ordering::Relaxed);
        (at != 0).then(|| Timestamp::from_millis(at))
    }
}

impl LiveSecret {
    /// The secret of a credential; what was noted of its use in an earlier state stays.
    fn of(credential: &Credential, earlier: &[Self]) -> Self {
        let which = credential.into();
        let known = earlier.iter().find(|known| known.which == which);
        Self {
            which,
            ends_at: credential.ends_at.into(),
            last_used: known.map_or_else(Arc::default, |known| Arc::clone(&known.last_used)),
        }
    }
}

impl From<&Credential> for SecretRef {
    fn from(credential: &Credential) -> Self {
        Self {
            id: credential.id,
            created_at: credential.created_at,
        }
    }
}

/// Whether a key works, as far as its own record and its owner say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Active,
    Disabled,
    /// Its owner is suspended, or not one that is known.
    OwnerBarred,
    /// Withdrawn or deleted.
    Revoked,
}

impl LiveKey {
    pub(crate) fn new(state: KeyState) -> Self {
        Self {
            state: Watched::new(state),
            used: AtomicBool::new(false),
            holds: AtomicBool::new(false),
        }
    }

    /// The state as of now.
    pub(crate) fn state(&self) -> Guard<Arc<KeyState>> {
        self.state.value().load()
    }

    /// The state as of now, to be kept. Looking at one that is kept costs less than
    /// [`state`](Self::state), and disturbs no other thread.
    pub(crate) fn snapshot(&self) -> Snapshot {
        self.state.copy()
    }

    /// Something of it, to have it fetched.
    pub(crate) fn glance(&self) -> u64 {
        self.state.glance()
    }

    /// Whether the state is still what it was in `seen`.
    pub(crate) fn is_as(&self, seen: &Snapshot) -> bool {
        self.state.is_still(seen)
    }

    /// Takes over `row` unless what is known is newer. Only called under the registry's lock.
    pub(crate) fn offer(&self, row: &Row<'_>) {
        let known = self.state.value().load_full();
        if (row.read.epoch, row.record.revision) >= (known.epoch, known.revision()) {
            self.state.change(KeyState::succeeding(&known, row));
        }
    }

    /// Takes over what this node has just written, as [`offer`](Self::offer) does, but takes no
    /// suspicion away: what aroused it may be a later write, which `row` knows nothing of. Only
    /// called under the registry's lock.
    pub(crate) fn announce(&self, row: &Row<'_>) {
        let known = self.state();
        if !known.suspect && known.epoch == row.read.epoch {
            self.offer(row);
        }
    }

    /// The state may be out of date: it is read again before it is used. Only called under the
    /// registry's lock.
    pub(crate) fn distrust(&self) {
        let known = self.state.value().load_full();
        if !known.suspect {
            let mut state = KeyState::clone(&known);
            state.suspect = true;
            self.state.change(state);
        }
    }

    /// The state may be out of date, unless it is of the write `revision` or a later one. Only called
    /// under the registry's lock.
    pub(crate) fn distrust_before(&self, revision: Revision) {
        if self.state().revision() < revision {
            self.distrust();
        }
    }

    /// Whether the key was deleted.
    pub(crate) fn has_ended(&self) -> bool {
        self.state().epoch == ENDED
    }

    /// The key is no more. Only called under the registry's lock.
    pub(crate) fn end(&self) {
        let known = self.state.value().load_full();
        self.state.change(KeyState {
            standing: Standing::Revoked,
            secrets: SmallVec::new(),
            // What is held of them is nobody's now, least of all of a key of the same id.
            quotas: None,
            // It does not come back, whatever else changes.
            epoch: ENDED,
            good_until: u64::MAX,
            suspect: false,
            ..KeyState::clone(&known)
        });
    }
}

/// When a row was read: in which epoch, and at which tick of the clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    pub(super) epoch: u64,
    pub(super) ticks: u64,
}

/// A row that was read, and what follows from it.
#[derive(Clone, Debug)]
pub(crate) struct Row<'a> {
    pub(super) record: &'a KeyRecord,
    pub(super) rights: &'a Rights,
    pub(super) charter: Arc<Charter>,
    pub(super) read: Reading,
}

impl KeyState {
    pub(crate) fn new(row: &Row<'_>) -> Self {
        let limits = Arc::new(LimitSet::of(&row.charter.rules));
        let quotas = QuotaSet::of(&row.charter.quotas);
        Self::build(row, (limits, quotas), &[])
    }

    /// The state after `known`: what was spent stays spent.
    fn succeeding(known: &Self, row: &Row<'_>) -> Self {
        let charter = &*row.charter;
        let limits = if known.limits.implements(&charter.rules) {
            Arc::clone(&known.limits)
        } else {
            Arc::new(known.limits.succeeding(&charter.rules))
        };
        let quotas = match &known.quotas {
            None => QuotaSet::of(&charter.quotas),
            Some(same) if same.implements(&charter.quotas) => Some(Arc::clone(same)),
            Some(other) => Some(Arc::new(other.succeeding(&charter.quotas))),
        };
        Self::build(row, (limits, quotas), &known.secrets)
    }

    fn build(
        row: &Row<'_>,
        (limits, quotas): (Arc<LimitSet>, Option<Arc<QuotaSet>>),
        earlier: &[LiveSecret],
    ) -> Self {
        let secrets = row.record.credentials.iter();
        let good_for = row.rights.good_for.map_or(u64::MAX, |duration| {
            u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
        });
        Self {
            card: Card::of(&row.rights.info, Arc::clone(&row.charter)),
            limits,
            quotas,
            secrets: secrets
                .map(|secret| LiveSecret::of(secret, earlier))
                .collect(),
            epoch: row.read.epoch,
            read_at: row.read.ticks,
            good_until: row.read.ticks.saturating_add(good_for),
            suspect: false,
            standing: match row.record.status {
                KeyStatus::Revoked { .. } => Standing::Revoked,
                KeyStatus::Disabled => Standing::Disabled,
                KeyStatus::Active if !row.rights.owner_permits => Standing::OwnerBarred,
                KeyStatus::Active => Standing::Active,
            },
        }
    }

    pub(crate) fn id(&self) -> KeyId {
        self.card.id()
    }

    pub(super) fn owner(&self) -> Option<&OwnerId> {
        self.card.owner()
    }

    pub(super) fn plan(&self) -> Option<&PlanName> {
        self.charter().plan.as_ref()
    }

    pub(crate) fn charter(&self) -> &Arc<Charter> {
        self.card.charter()
    }

    /// Everything that may be shown of the key, written out.
    pub(crate) fn info(&self) -> KeyInfo {
        self.card.info()
    }

    /// What handlers ask for most.
    pub(crate) fn brief(&self) -> Brief<'_> {
        self.card.brief()
    }

    pub(crate) fn is_connection(&self) -> bool {
        self.card.is_connection()
    }

    pub(crate) fn expires_at(&self) -> Option<Timestamp> {
        self.card.expires_at()
    }

    /// What the key is granted.
    pub(crate) fn grants(&self) -> Grants<'_> {
        self.charter().grants()
    }

    /// What requests are charged to.
    pub(crate) fn allowance(&self) -> Allowance<'_> {
        Allowance {
            key: self.id(),
            limits: &self.limits,
            quotas: self.quotas.as_deref(),
        }
    }

    /// Of which write the state is; later than all of them, of a key that is no more.
    fn revision(&self) -> Revision {
        match self.epoch {
            ENDED => Revision::new(u64::MAX),
            _ => self.card.revision(),
        }
    }

    /// Where it is noted when a secret was accepted; nothing if it is none of the key's.
    pub(crate) fn last_used(&self, secret: SecretRef) -> Option<&LastUsed> {
        let known = self.secrets.iter().find(|known| known.which == secret);
        known.map(|known| &*known.last_used)
    }

    /// When its secrets were last accepted here.
    pub(super) fn uses(&self) -> impl Iterator<Item = KeyUse> {
        self.secrets.iter().filter_map(|known| {
            Some(KeyUse {
                key: self.id(),
                credential: known.which.id,
                at: known.last_used.at()?,
            })
        })
    }

    /// Until when a request with the secret passes for one of a key in force; in the far past if the
    /// key is not, or the secret is none of its.
    pub(crate) fn in_force_until(&self, secret: SecretRef) -> Timestamp {
        let known = self.secrets.iter().find(|known| known.which == secret);
        match known {
            Some(known) if self.standing == Standing::Active => {
                let ends = known.ends_at.time().into_iter().chain(self.expires_at());
                ends.min().unwrap_or(Timestamp::from_millis(i64::MAX))
            }
            _ => Timestamp::from_millis(i64::MIN),
        }
    }

    /// Whether the secret is (still) one of the key's.
    pub(crate) fn has(&self, secret: SecretRef, now: Timestamp) -> bool {
        self.secrets
            .iter()
            .any(|known| known.which == secret && known.ends_at.time().is_none_or(|end| now < end))
    }
}

impl KeyState {
    /// Whether the state may be relied upon at `ticks`: it was read after the last time that changes
    /// may have been missed, and what it depends on has not grown old. What was read for the request
    /// itself, which began to wait at `waiting_since`, is never too old for it.
    pub(crate) fn is_reliable(&self, epoch: u64, ticks: u64, waiting_since: Option<u64>) -> bool {
        let reliance = self.reliance();
        reliance.is_of(epoch) && (reliance.is_young(ticks) || self.was_read_after(waiting_since))
    }

    /// The part of [`is_reliable`](Self::is_reliable) that is asked on every request.
    pub(crate) fn reliance(&self) -> Reliance {
        Reliance {
            epoch: if self.suspect { NO_EPOCH } else { self.epoch },
            good_until: self.good_until,
        }
    }

    pub(crate) fn was_read_after(&self, waiting_since: Option<u64>) -> bool {
        waiting_since.is_some_and(|since| since <= self.read_at)
    }
}

impl Reliance {
    /// Whether nothing is known to have changed, or to have been missed, in this epoch.
    pub(crate) fn is_of(self, epoch: u64) -> bool {
        self.epoch == epoch || self.epoch == ENDED
    }

    /// Whether what the state depends on has not grown old at `ticks`.
    pub(crate) fn is_young(self, ticks: u64) -> bool {
        ticks < self.good_until
    }
}

#[cfg(test)]
impl LiveKey {
    /// The live key of a record that depends on nothing else.
    pub(crate) fn of(record: &KeyRecord) -> Self {
        let rights = Rights {
            info: Arc::new(KeyInfo::of(record).unwrap()),
            owner_permits: true,
            good_for: None,
        };
        let (epoch, ticks) = (1, 0);
        let row = Row {
            record,
            rights: &rights,
            charter: super::Charters::default().of(&rights.info),
            read: Reading { epoch, ticks },
        };
        Self::new(KeyState::new(&row))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::records::record;

    fn rights(record: &KeyRecord, good_for: Option<std::time::Duration>) -> Rights {
        Rights {
            info: Arc::new(KeyInfo::of(record).unwrap()),
            owner_permits: true,
            good_for,
        }
    }

    fn of_revision(number: u64) -> KeyRecord {
        let mut record = record(1);
        record.revision = Revision::new(number);
        record
    }

    fn row<'a>(record: &'a KeyRecord, rights: &'a Rights, read: Reading) -> Row<'a> {
        Row {
            record,
            rights,
            charter: crate::live::Charters::default().of(&rights.info),
            read,
        }
    }

    const READ: Reading = Reading {
        epoch: 1,
        ticks: 100,
    };

    /// This node wrote revision 2, somebody else revision 3, and the log was quicker than the
    /// announcement of the former.
    #[test]
    fn a_late_announcement_does_not_hide_a_later_write() {
        let first = of_revision(1);
        let live = LiveKey::new(KeyState::new(&row(&first, &rights(&first, None), READ)));
        let reliable = || live.state().is_reliable(1, 100, None);
        assert!(reliable());
        live.distrust_before(Revision::new(3));
        let second = of_revision(2);
        live.announce(&row(&second, &rights(&second, None), READ));
        assert!(!reliable(), "revision 3 has not been read");
        let third = of_revision(3);
        live.offer(&row(&third, &rights(&third, None), READ));
        assert!(reliable());
        live.distrust_before(Revision::new(3));
        assert!(reliable(), "that is the one which is known");
        // Nor is a state of before changes may have been missed made one of after.
        let later = Reading { epoch: 2, ..READ };
        live.announce(&row(&of_revision(4), &rights(&third, None), later));
        assert!(!live.state().is_reliable(2, 100, None));
    }

    #[test]
    fn what_is_good_for_no_time_serves_whoever_waited_for_it() {
        let first = of_revision(1);
        let rights = rights(&first, Some(std::time::Duration::ZERO));
        let live = LiveKey::new(KeyState::new(&row(&first, &rights, READ)));
        let state = live.state();
        assert!(!state.is_reliable(1, 100, None));
        assert!(state.is_reliable(1, 150, Some(100)));
        assert!(!state.is_reliable(1, 150, Some(101)));
        live.distrust();
        assert!(!live.state().is_reliable(1, 150, Some(100)));
    }

    #[test]
    fn a_key_that_is_no_more_is_so_for_good() {
        let first = of_revision(1);
        let some = rights(&first, Some(std::time::Duration::ZERO));
        let live = LiveKey::new(KeyState::new(&row(&first, &some, READ)));
        live.end();
        live.distrust_before(Revision::new(7));
        live.announce(&row(&of_revision(8), &some, READ));
        live.offer(&row(&of_revision(8), &some, READ));
        let state = live.state();
        assert_eq!(state.standing, Standing::Revoked);
        assert!(state.is_reliable(5, u64::MAX - 1, None));
    }
}
