//! What a request with a known key is judged by.
//!
//! No verdict is kept in it, only what can be read off its copy of the state once for all, such as until
//! when the secret is in force. Whether that has passed, and whether the rules are met, is asked on every
//! request.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use super::{Fingerprint, Proof};
use crate::clock::Timestamp;
use crate::context::{KeyContext, Shown};
use crate::key::{
    Access, Carrier, CredentialId, Grants, KeyId, KeyInfo, NetworkRules, ScopeSet, Servers, Signing,
};
use crate::live::{LastUsed, Snapshot, Terms};

/// How often, in milliseconds, uses with the same pass are noted.
const NOTE_EVERY: i64 = 500;

/// A proof, the state of its key as it was last seen, and what handlers are told of it.
///
/// The state is only a copy at hand: it counts as long as the live key says that nothing has changed.
///
/// All that a request asks lies in one piece: with many keys in use, going from place to place for it
/// would cost more than all checks.
#[derive(Debug)]
pub(crate) struct Pass {
    fingerprint: Fingerprint,
    proof: Proof,
    seen: Snapshot,
    terms: Terms,
    /// Until when the secret is in force.
    in_force_until: Timestamp,
    last_used: Option<Arc<LastUsed>>,
    /// When a use was last noted with it.
    noted_at: AtomicI64,
    id: KeyId,
    carrier: Carrier,
    access: Access,
    signing: Signing,
    servers: Servers,
    scopes: ScopeSet,
    networks: NetworkRules,
}

impl Pass {
    /// A pass for what the key is now.
    pub(crate) fn new(fingerprint: Fingerprint, proof: Proof, carrier: Carrier) -> Self {
        let seen = proof.live().snapshot();
        let terms = seen.value().terms.clone();
        let last_used = seen.value().last_used(proof.secret());
        let in_force_until = seen.value().in_force_until(proof.secret());
        Self {
            fingerprint,
            proof,
            seen,
            in_force_until,
            last_used,
            noted_at: AtomicI64::new(i64::MIN),
            id: terms.info.id,
            carrier,
            access: terms.info.access,
            signing: terms.info.signing,
            servers: terms.info.servers.clone(),
            scopes: terms.info.scopes.clone(),
            networks: terms.info.networks.clone(),
            terms,
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

    /// The terms of the state that was seen.
    pub(crate) fn terms(&self) -> &Terms {
        &self.terms
    }

    /// What handlers are told.
    pub(crate) fn context(self: &Arc<Self>) -> KeyContext {
        KeyContext::new(Arc::clone(self) as Arc<dyn Shown>)
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
    pub(crate) fn fetch(&self) {
        black_box(self.proof.live().glance());
        black_box(self.terms.limits.glance());
        black_box(self.in_force_until);
        black_box(self.servers == Servers::All);
        black_box(self.networks.is_empty());
    }

    /// Where the key was presented.
    pub(crate) fn carrier(&self) -> Carrier {
        self.carrier
    }

    /// Whether key and secret are in force in the state that was seen. If not, that state says why.
    pub(crate) fn is_in_force(&self, now: Timestamp) -> bool {
        now < self.in_force_until
    }

    /// What the key was granted in the state that was seen.
    pub(crate) fn grants(&self) -> Grants<'_> {
        Grants {
            servers: &self.servers,
            scopes: &self.scopes,
            access: self.access,
        }
    }

    /// Where the key may be used from.
    pub(crate) fn networks(&self) -> &NetworkRules {
        &self.networks
    }

    /// Whether its requests must be signed.
    pub(crate) fn signing(&self) -> Signing {
        self.signing
    }

    /// Notes a use at `now`: the first, and again after a while. Returns whether it did. When keys were
    /// last used is written down every few seconds, so there is no need to be more exact than this.
    pub(crate) fn note_use(&self, now: Timestamp) -> bool {
        let last = self.noted_at.load(Ordering::Relaxed);
        let is_news = !(last..last.saturating_add(NOTE_EVERY)).contains(&now.as_millis());
        if is_news {
            self.noted_at.store(now.as_millis(), Ordering::Relaxed);
            if let Some(last_used) = &self.last_used {
                last_used.note(now);
            }
        }
        is_news
    }
}

impl Shown for Pass {
    fn key(&self) -> &KeyInfo {
        &self.terms.info
    }

    fn credential(&self) -> CredentialId {
        self.proof.secret().id
    }

    fn carrier(&self) -> Carrier {
        self.carrier
    }
}
