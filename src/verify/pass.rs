//! What a request with a known key is judged by.
//!
//! No verdict is kept in it, only what can be read off its copy of the state once for all: until when the
//! secret is in force, and whether the key has rules on addresses at all. Whether the one has passed and
//! the others are met is asked on every request, as everything else is.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use super::{Fingerprint, Proof};
use crate::clock::Timestamp;
use crate::context::KeyContext;
use crate::key::Carrier;
use crate::live::Snapshot;

/// How often, in milliseconds, uses with the same pass are noted.
const NOTE_EVERY: i64 = 500;

/// A proof, the state of its key as it was last seen, and what handlers are told of it.
///
/// The state is only a copy at hand: it counts as long as the live key says that nothing has changed.
#[derive(Debug)]
pub(crate) struct Pass {
    fingerprint: Fingerprint,
    proof: Proof,
    seen: Snapshot,
    context: KeyContext,
    /// Until when the secret is in force.
    in_force_until: Timestamp,
    /// Whether the key may be used from everywhere.
    is_unbound: bool,
    /// When a use was last noted with it.
    noted_at: AtomicI64,
}

impl Pass {
    /// A pass for what the key is now.
    pub(crate) fn new(fingerprint: Fingerprint, proof: Proof, carrier: Carrier) -> Self {
        let seen = proof.live().snapshot();
        let info = Arc::clone(&seen.value().info);
        let is_unbound = info.networks.is_empty();
        let context = KeyContext::new(info, proof.secret().id, carrier);
        let in_force_until = seen.value().in_force_until(proof.secret());
        Self {
            fingerprint,
            proof,
            seen,
            context,
            in_force_until,
            is_unbound,
            noted_at: AtomicI64::new(i64::MIN),
        }
    }

    pub(crate) fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    pub(crate) fn proof(&self) -> &Proof {
        &self.proof
    }

    pub(crate) fn seen(&self) -> &Snapshot {
        &self.seen
    }

    pub(crate) fn context(&self) -> &KeyContext {
        &self.context
    }

    /// Whether the key is as the pass says, and was presented where it says.
    pub(crate) fn is_good(&self, carrier: Carrier) -> bool {
        self.proof.live().is_as(&self.seen) && self.context.carrier() == carrier
    }

    /// Whether key and secret are in force in the state that was seen. If not, that state says why.
    pub(crate) fn is_in_force(&self, now: Timestamp) -> bool {
        now < self.in_force_until
    }

    /// Whether the state that was seen has no rules on addresses.
    pub(crate) fn is_unbound(&self) -> bool {
        self.is_unbound
    }

    /// Whether a use at `now` is to be noted: the first, and again after a while. When keys were last
    /// used is written down every few seconds, so there is no need to be more exact than this.
    pub(crate) fn is_use_news(&self, now: Timestamp) -> bool {
        let last = self.noted_at.load(Ordering::Relaxed);
        let is_news = !(last..last.saturating_add(NOTE_EVERY)).contains(&now.as_millis());
        if is_news {
            self.noted_at.store(now.as_millis(), Ordering::Relaxed);
        }
        is_news
    }
}
