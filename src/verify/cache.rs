//! What is remembered of presented keys: proofs, and for seconds, failures.

use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use moka::sync::Cache;

use super::{Fingerprint, Outcome};
use crate::clock::Clock;
use crate::live::{LiveKey, SecretRef};
use crate::rejection::RejectionKind;

/// That a presented text is a certain secret of a certain key. Not that it may be used: that is
/// read from the live key each time.
#[derive(Clone, Debug)]
pub(crate) struct Proof {
    live: Arc<LiveKey>,
    secret: SecretRef,
}

impl Proof {
    pub(super) fn new(live: Arc<LiveKey>, secret: SecretRef) -> Self {
        Self { live, secret }
    }

    pub(crate) fn live(&self) -> &Arc<LiveKey> {
        &self.live
    }

    pub(crate) fn secret(&self) -> SecretRef {
        self.secret
    }
}

/// What is remembered of a text.
#[derive(Debug)]
pub(super) enum Memory {
    /// It is a secret of this key.
    Proof(Proof),
    /// A moment ago it was no secret of any key, in this way.
    Failure(RejectionKind),
    Nothing,
}

/// How long, and of how many texts, a failure is remembered.
const FAILURES: u64 = 10_000;
const FAILURE_LASTS: Duration = Duration::from_secs(5);

pub(super) type ProofMap = Cache<u128, Proof, BuildHasherDefault<Identity>>;

/// Which keys there were when a text was looked up, as far as this node has added any.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Chapter(u64);

/// A failure, as it is remembered.
#[derive(Clone, Copy, Debug)]
struct Failure {
    kind: RejectionKind,
    until: u64,
    chapter: Chapter,
}

/// Two caches, so that a flood of wrong keys cannot push out proofs.
#[derive(Debug)]
pub(crate) struct ProofCache {
    proofs: ProofMap,
    failures: Cache<u128, Failure, BuildHasherDefault<Identity>>,
    chapter: AtomicU64,
    clock: Arc<dyn Clock>,
}

impl ProofCache {
    pub(super) fn new(capacity: u64, clock: Arc<dyn Clock>) -> Self {
        Self {
            proofs: Cache::builder()
                .max_capacity(capacity)
                .build_with_hasher(BuildHasherDefault::default()),
            failures: Cache::builder()
                .max_capacity(FAILURES)
                .build_with_hasher(BuildHasherDefault::default()),
            chapter: AtomicU64::new(0),
            clock,
        }
    }

    pub(super) fn recall(&self, fingerprint: Fingerprint) -> Memory {
        let number = fingerprint.as_u128();
        // First only looked for, so that a flood of wrong keys is no news for what stays in the cache.
        if self.proofs.contains_key(&number)
            && let Some(proof) = self.proofs.get(&number)
        {
            return Memory::Proof(proof);
        }
        match self.failures.get(&number) {
            Some(failure)
                if failure.chapter == self.chapter() && failure.until > self.clock.now().ticks =>
            {
                Memory::Failure(failure.kind)
            }
            _ => Memory::Nothing,
        }
    }

    /// Notes that a proof is in use, though it was not asked for here. If it has had to go, it is
    /// taken back: what it proves is true as long as its key is.
    pub(super) fn touch(&self, fingerprint: Fingerprint, proof: &Proof) {
        let number = fingerprint.as_u128();
        if self.proofs.get(&number).is_none() {
            self.proofs.insert(number, proof.clone());
        }
    }

    /// How many proofs are held, approximately.
    pub(super) fn len(&self) -> u64 {
        self.proofs.entry_count()
    }

    /// To be read before a text is looked up.
    pub(super) fn chapter(&self) -> Chapter {
        Chapter(self.chapter.load(Ordering::SeqCst))
    }

    /// Forgets all failures, those included that are being found out about at this moment: what
    /// was looked up in an earlier chapter no longer counts.
    pub(super) fn forget_failures(&self) {
        self.chapter.fetch_add(1, Ordering::SeqCst);
    }

    /// Remembers an outcome; that the store or the pool failed is not remembered.
    pub(super) fn remember(&self, fingerprint: Fingerprint, outcome: &Outcome, chapter: Chapter) {
        let kind = match outcome {
            Outcome::Proven(proof) => {
                self.proofs.insert(fingerprint.as_u128(), proof.clone());
                return;
            }
            Outcome::Unknown => RejectionKind::Unknown,
            Outcome::WrongSecret => RejectionKind::WrongSecret,
            Outcome::Unavailable => return,
        };
        // What it was a secret of is deleted.
        self.proofs.invalidate(&fingerprint.as_u128());
        let lasts = u64::try_from(FAILURE_LASTS.as_nanos()).unwrap_or(u64::MAX);
        let until = self.clock.now().ticks.saturating_add(lasts);
        let failure = Failure {
            kind,
            until,
            chapter,
        };
        self.failures.insert(fingerprint.as_u128(), failure);
    }
}

/// Fingerprints are evenly spread already; hashing them again would only cost time.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for (at, byte) in bytes.iter().enumerate() {
            self.0 ^= u64::from(*byte) << (8 * (at % 8));
        }
    }

    fn write_u128(&mut self, number: u128) {
        self.0 = number as u64;
    }
}

#[cfg(test)]
impl ProofCache {
    /// Forgets a text, as happens when others need the room.
    pub(super) fn lose(&self, fingerprint: Fingerprint) {
        self.proofs.invalidate(&fingerprint.as_u128());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use crate::testing::records::record;
    use crate::verify::Fingerprinter;

    #[test]
    fn a_proof_in_use_that_has_had_to_go_is_taken_back() {
        let cache = ProofCache::new(10, Arc::new(SystemClock::new()));
        let record = record(1);
        let live = Arc::new(LiveKey::of(&record));
        let proof = Proof::new(live, record.credentials.first().unwrap().into());
        let text = Fingerprinter::random().of(b"text");
        for _ in 0..2 {
            assert!(matches!(cache.recall(text), Memory::Nothing));
            cache.touch(text, &proof);
            assert!(matches!(cache.recall(text), Memory::Proof(_)));
            cache.lose(text);
        }
    }
}
