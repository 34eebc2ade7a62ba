//! What a request with a known key is judged by.
//!
//! No verdict is kept in it, only what can be read off its copy of the state once for all, such as until
//! when the secret is in force. Whether that has passed, and whether the rules are met, is asked on every
//! request.

use std::hint::black_box;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};

use super::{Fingerprint, Proof};
use crate::clock::Timestamp;
use crate::context::{Brief, KeyContext, Shown};
use crate::key::{Access, Carrier, CredentialId, KeyId, KeyInfo};
use crate::limit::LimitSet;
use crate::live::{Allowance, Charter, Reliance, Snapshot};

/// How often, in milliseconds, uses with the same pass are noted.
const NOTE_EVERY: i64 = 500;

/// How often, in milliseconds, the cache is told that a pass is in use. It would have to take in as many
/// keys as it holds meanwhile to forget one that is.
const TELL_EVERY: i64 = 10_000;

/// A proof, the state of its key as it was last seen, and what handlers are told of it.
///
/// The state is only a copy at hand: it counts as long as the live key says that nothing has changed.
///
/// What a request asks of it lies together at the beginning, on two cache lines: with many keys in use,
/// fetching more would cost more than all checks. What it asks of the [`Charter`] many keys share.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Pass {
    fingerprint: Fingerprint,
    proof: Proof,
    seen: Snapshot,
    charter: Arc<Charter>,
    limits: Arc<LimitSet>,
    reliance: Reliance,
    /// Until when the secret is in force.
    in_force_until: Timestamp,
    /// When a use was last noted with it.
    noted_at: AtomicI64,
    carrier: Carrier,
    has_quotas: bool,
    /// What handlers were told that asked for all.
    info: OnceLock<Box<KeyInfo>>,
    id: KeyId,
    /// When the cache was last told that it is in use; [`NEVER`] for a new one, which comes from there.
    told_at: AtomicI64,
}

const NEVER: i64 = i64::MIN;

impl Pass {
    /// A pass for what the key is now.
    pub(crate) fn new(fingerprint: Fingerprint, proof: Proof, carrier: Carrier) -> Self {
        let seen = proof.live().snapshot();
        let state = seen.value();
        Self {
            fingerprint,
            charter: Arc::clone(state.charter()),
            limits: Arc::clone(&state.limits),
            reliance: state.reliance(),
            in_force_until: state.in_force_until(proof.secret()),
            noted_at: AtomicI64::new(NEVER),
            carrier,
            has_quotas: state.quotas.is_some(),
            info: OnceLock::new(),
            id: state.id(),
            told_at: AtomicI64::new(NEVER),
            proof,
            seen,
        }
    }

    pub(crate) fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// Of which key.
    pub(crate) fn id(&self) -> KeyId {
        self.id
    }

    pub(crate) fn proof(&self) -> &Proof {
        &self.proof
    }

    pub(crate) fn seen(&self) -> &Snapshot {
        &self.seen
    }

    /// Whether the state that was seen may be relied upon, as [`KeyState::is_reliable`] says.
    ///
    /// [`KeyState::is_reliable`]: crate::live::KeyState::is_reliable
    pub(crate) fn is_reliable(&self, epoch: u64, ticks: u64, waiting_since: Option<u64>) -> bool {
        self.reliance.is_of(epoch)
            && (self.reliance.is_young(ticks) || self.seen.value().was_read_after(waiting_since))
    }

    /// What the key was granted, and where it may be used from, in the state that was seen.
    pub(crate) fn charter(&self) -> &Charter {
        &self.charter
    }

    /// What requests are charged to.
    pub(crate) fn allowance(&self) -> Allowance<'_> {
        Allowance {
            key: self.id,
            limits: &self.limits,
            quotas: match self.has_quotas {
                true => self.seen.value().quotas.as_deref(),
                false => None,
            },
        }
    }

    /// What handlers are told.
    pub(crate) fn context(self: &Arc<Self>) -> KeyContext {
        KeyContext::new(Arc::clone(self) as Arc<dyn Shown>)
    }

    /// Everything that may be shown of the key.
    pub(crate) fn info(&self) -> &KeyInfo {
        let written_out = || Box::new(self.seen.value().info());
        self.info.get_or_init(written_out)
    }

    /// A pass for what the key is by now.
    #[cold]
    pub(crate) fn renewed(&self) -> Arc<Self> {
        Arc::new(Self::new(
            self.fingerprint,
            self.proof.clone(),
            self.carrier,
        ))
    }

    /// Whether the key is as the pass says.
    pub(crate) fn is_current(&self) -> bool {
        self.proof.live().is_as(&self.seen)
    }

    /// Reads a word of everything that the checks will read. The processor fetches all of it at the same
    /// time then, and not one after the other as the checks come to it.
    pub(super) fn fetch(&self) {
        black_box(self.proof.live().glance());
        black_box(self.limits.glance());
        black_box(self.in_force_until);
        black_box(self.charter.access == Access::Full);
    }

    /// Where the key was presented.
    pub(crate) fn carrier(&self) -> Carrier {
        self.carrier
    }

    /// Whether key and secret are in force in the state that was seen. If not, that state says why.
    pub(crate) fn is_in_force(&self, now: Timestamp) -> bool {
        now < self.in_force_until
    }

    /// Notes a use at `now`: the first, and again after a while. Returns whether it did. When keys were
    /// last used is written down every few seconds, so there is no need to be more exact than this.
    pub(crate) fn note_use(&self, now: Timestamp) -> bool {
        let last = self.noted_at.load(Ordering::Relaxed);
        let is_news = !(last..last.saturating_add(NOTE_EVERY)).contains(&now.as_millis());
        if is_news {
            self.noted_at.store(now.as_millis(), Ordering::Relaxed);
            if let Some(last_used) = self.seen.value().last_used(self.proof.secret()) {
                last_used.note(now);
            }
        }
        is_news
    }

    /// Whether it is time to tell the cache that the pass is in use. Once asked, it is not for a while.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        let (now, last) = (now.as_millis(), self.told_at.load(Ordering::Relaxed));
        if (last..last.saturating_add(TELL_EVERY)).contains(&now) {
            return false;
        }
        self.told_at.store(now, Ordering::Relaxed);
        last != NEVER
    }
}

impl Shown for Pass {
    fn key(&self) -> &KeyInfo {
        self.info()
    }

    fn brief(&self) -> Brief<'_> {
        self.seen.value().brief()
    }

    fn credential(&self) -> CredentialId {
        self.proof.secret().id
    }

    fn carrier(&self) -> Carrier {
        self.carrier
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::LiveKey;
    use crate::testing::records::record;
    use crate::verify::Fingerprinter;

    #[test]
    fn the_cache_is_told_of_a_use_now_and_then() {
        let record = record(1);
        let live = Arc::new(LiveKey::of(&record));
        let proof = Proof::new(live, record.credentials.first().unwrap().into());
        let pass = Pass::new(Fingerprinter::random().of(b"text"), proof, Carrier::Bearer);
        let told: Vec<_> = [0, 1, 9_999, 10_000, 10_001, 19_999, 20_000, 5_000, 5_001]
            .into_iter()
            .filter(|millis| pass.is_due(Timestamp::from_millis(*millis)))
            .collect();
        // The last but one time is that of a clock that was set back.
        assert_eq!(told, [10_000, 20_000, 5_000]);
    }
}
