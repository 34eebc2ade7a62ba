//! Is this the secret we issued?
//!
//! 1. A text seen before is recognised by a keyed fingerprint; the cache holds proofs, never
//!    verdicts and never clear text.
//! 2. A text not seen before costs at most one store lookup, and one slow hash only if its tag
//!    fits; imported keys have none. However many requests present it at once, it is worked on
//!    once, in a task of its own.
//! 3. A wrong text is remembered for seconds, a failing store never.
//! 4. Nothing that grew old makes the slow hash run again: proof and freshness are separate.

mod cache;
mod countdown;
mod fingerprint;
mod flight;
mod front;
mod pass;
mod pepper;
mod pool;
mod scheme;
mod upgrade;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use self::cache::{Chapter, Memory};
pub(crate) use self::cache::{Proof, ProofCache};
pub(crate) use self::fingerprint::{Fingerprint, Fingerprinter};
use self::flight::Flights;
use self::front::Fronts;
pub(crate) use self::pass::Pass;
pub use self::pepper::Pepper;
pub(crate) use self::pepper::Peppers;
use self::pool::{HashPool, Memory as Blocks};
pub(crate) use self::scheme::StoredHash;
pub use self::scheme::{Argon2Params, InvalidArgon2Params};
use crate::clock::{Clock, Timestamp};
use crate::error::{Error, ErrorKind};
use crate::event::Events;
use crate::key::{ApiKey, Carrier, Credential, CredentialId, Handle, KeyRecord, ParsedKey};
use crate::live::Live;
use crate::rejection::RejectionKind;
use crate::store::KeyStore;

/// Rows that changed under our hands this often in a row are left to a later request.
const ATTEMPTS: usize = 4;

/// Decides whether a presented text is a secret that was issued.
#[derive(Debug)]
pub(crate) struct Verifier {
    work: Arc<Work>,
    flights: Flights<(Fingerprint, Chapter), Outcome>,
    fingerprints: Fingerprinter,
    fronts: Fronts,
}

/// What verification needs; shared with the tasks that carry it out.
#[derive(Debug)]
struct Work {
    store: Arc<dyn KeyStore>,
    live: Arc<Live>,
    cache: ProofCache,
    pool: HashPool,
    peppers: Peppers,
    argon2: Argon2Params,
    lookups: tokio::sync::Semaphore,
    deadline: Duration,
    clock: Arc<dyn Clock>,
    events: Events,
    counts: Arc<Counts>,
}

/// What cold verifications have cost so far.
#[derive(Debug, Default)]
struct Counts {
    lookups: AtomicU64,
    slow_hashes: AtomicU64,
}

/// What verifying keys has cost this process so far.
///
/// A key that is remembered costs none of it. For monitoring: in a steady state both numbers
/// hardly move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifyStats {
    /// Rows that were looked up by handle.
    pub lookups: u64,
    /// Slow hashes that were started, those of new keys included.
    pub slow_hashes: u64,
    /// Proven keys that are remembered, approximately.
    pub cached_keys: u64,
    /// Slow hashes that run at this moment.
    pub hashes_running: u64,
    /// Slow hashes that wait for their turn.
    pub hashes_waiting: u64,
    /// Slow hashes that were refused, because too many waited or their turn did not come in time. Each
    /// was answered with a 503.
    pub hashes_refused: u64,
}

/// What verification of one text came to.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    Proven(Proof),
    Unknown,
    WrongSecret,
    Unavailable,
}

/// What is remembered of a text.
#[derive(Debug)]
pub(crate) enum Recall {
    /// It is a secret of a key.
    Pass(Arc<Pass>),
    /// A moment ago it was no secret of any key, in this way.
    Failure(RejectionKind),
    Nothing,
}

/// How a verifier is set up.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) peppers: Peppers,
    pub(crate) argon2: Argon2Params,
    pub(crate) hash_permits: usize,
    pub(crate) hash_queue: usize,
    pub(crate) lookups: usize,
    pub(crate) deadline: Duration,
    pub(crate) cached_keys: u64,
    pub(crate) keys_at_hand: usize,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) events: Events,
}

impl Verifier {
    pub(crate) fn new(store: Arc<dyn KeyStore>, live: Arc<Live>, settings: Settings) -> Self {
        Self {
            work: Arc::new(Work {
                store,
                live,
                cache: ProofCache::new(settings.cached_keys, Arc::clone(&settings.clock)),
                pool: HashPool::new(
                    settings.hash_permits,
                    settings.hash_queue,
                    settings.deadline,
                    settings
                        .argon2
                        .blocks()
                        .max(Argon2Params::default().blocks()),
                ),
                peppers: settings.peppers,
                argon2: settings.argon2,
                lookups: tokio::sync::Semaphore::new(settings.lookups),
                deadline: settings.deadline,
                clock: Arc::clone(&settings.clock),
                events: settings.events,
                counts: Arc::default(),
            }),
            flights: Flights::default(),
            fingerprints: Fingerprinter::random(),
            fronts: Fronts::new(settings.keys_at_hand),
        }
    }

    /// The fingerprint under which a text is remembered on this node.
    pub(crate) fn fingerprint(&self, text: &[u8]) -> Fingerprint {
        self.fingerprints.of(text)
    }

    /// The pass for a text, if this thread has it at hand. Neither waits nor, while nothing changes,
    /// allocates.
    pub(crate) fn at_hand(&self, fingerprint: Fingerprint, carrier: Carrier) -> Option<Arc<Pass>> {
        let pass = self.fronts.recall(fingerprint)?;
        if pass.carrier() == carrier && pass.is_current() {
            return Some(pass);
        }
        if pass.proof().live().has_ended() {
            self.fronts.forget(fingerprint);
            return None;
        }
        let proof = pass.proof().clone();
        Some(self.keep(Pass::new(fingerprint, proof, carrier)))
    }

    /// What is remembered of a text that this thread has not at hand. Does not wait.
    pub(crate) fn recall(&self, fingerprint: Fingerprint, carrier: Carrier) -> Recall {
        match self.work.cache.recall(fingerprint) {
            Memory::Proof(proof) => Recall::Pass(self.keep(Pass::new(fingerprint, proof, carrier))),
            Memory::Failure(kind) => Recall::Failure(kind),
            Memory::Nothing => Recall::Nothing,
        }
    }

    /// Notes that a pass is in use, as often as that is news, so that the cache knows it too.
    #[cold]
    pub(crate) fn note_use(&self, pass: &Pass, now: Timestamp) {
        if pass.is_due(now) {
            self.work.cache.touch(pass.fingerprint(), pass.proof());
        }
    }

    fn keep(&self, pass: Pass) -> Arc<Pass> {
        let pass = Arc::new(pass);
        self.fronts.remember(&pass);
        pass
    }

    /// A pass for a text that was just proven.
    pub(crate) fn admit(
        &self,
        fingerprint: Fingerprint,
        proof: Proof,
        carrier: Carrier,
    ) -> Arc<Pass> {
        self.keep(Pass::new(fingerprint, proof, carrier))
    }

    /// Finds out about a text that is not remembered, together with everybody who asks meanwhile.
    pub(crate) async fn prove(&self, fingerprint: Fingerprint, presented: Presented) -> Outcome {
        let work = Arc::clone(&self.work);
        // Work that began before a key was imported may have missed it, so nobody joins it after.
        let chapter = work.cache.chapter();
        let flight = self
            .flights
            .join((fingerprint, chapter), move || async move {
                let outcome = work.prove(&presented).await;
                work.cache.remember(fingerprint, &outcome, chapter);
                outcome
            });
        flight.await.unwrap_or(Outcome::Unavailable)
    }

    /// Reads the row of a known key again, without any hashing: its live state has grown old.
    pub(crate) async fn renew(&self, proof: &Proof) -> Result<(), Error> {
        let (work, proof) = (Arc::clone(&self.work), proof.clone());
        // In a task of its own, as proving is: a store that panics is one that does not answer.
        let renewal = tokio::spawn(async move { work.renew(&proof).await });
        renewal.await.unwrap_or_else(|panic| {
            let message = "the key store failed while a key was read again";
            Err(Error::new(ErrorKind::Unavailable, message).with_source(panic))
        })
    }

    /// The stored form of a new key.
    pub(crate) async fn enrol(
        &self,
        key: &ApiKey,
        id: CredentialId,
        parsed: (Handle, String),
        created_at: Timestamp,
    ) -> Result<Credential, Error> {
        self.work.enrol(key, id, parsed, created_at).await
    }

    /// Forgets which texts were no keys: one that was refused a moment ago may be a key now.
    pub(crate) fn forget_failures(&self) {
        self.work.cache.forget_failures();
    }

    pub(crate) fn stats(&self) -> VerifyStats {
        let load = self.work.pool.load();
        VerifyStats {
            hashes_running: load.running,
            hashes_waiting: load.waiting,
            hashes_refused: load.refused,
            lookups: self.work.counts.lookups.load(Ordering::Relaxed),
            slow_hashes: self.work.counts.slow_hashes.load(Ordering::Relaxed),
            cached_keys: self.work.cache.len(),
        }
    }

    /// The node's live state.
    pub(crate) fn live(&self) -> &Arc<Live> {
        &self.work.live
    }
}

/// A well-formed key on its way to be verified: a copy that wipes itself.
pub(crate) struct Presented {
    text: Zeroizing<Box<[u8]>>,
    handle: Box<str>,
}

impl From<ParsedKey<'_>> for Presented {
    fn from(key: ParsedKey<'_>) -> Self {
        Self {
            text: Zeroizing::new(key.secret_text().into()),
            handle: key.handle().into(),
        }
    }
}

impl Work {
    async fn prove(&self, presented: &Presented) -> Outcome {
        // Once the slow hash has said yes, a changed row is only read again.
        let mut proven: Option<Box<str>> = None;
        for _ in 0..ATTEMPTS {
            let read_at = self.live.capture();
            let record = match self.find(&presented.handle).await {
                Ok(Some(record)) => record,
                Ok(None) => return Outcome::Unknown,
                Err(error) => return unavailable(&presented.handle, &error),
            };
            let Some(credential) = credential_of(&record, &presented.handle) else {
                return Outcome::Unknown;
            };
            if proven.as_deref() != Some(&*credential.hash) {
                match self.matches(credential, &presented.text).await {
                    Ok(true) => proven = Some(credential.hash.as_str().into()),
                    Ok(false) => return Outcome::WrongSecret,
                    Err(error) => return unavailable(&presented.handle, &error),
                }
            }
            let adopted = match self.live.adopt(&record, read_at).await {
                Ok(adopted) => adopted,
                Err(error) => return unavailable(&presented.handle, &error),
            };
            if let Ok(live) = adopted {
                let proof = Proof::new(live, credential.into());
                if let Err(error) = self.start_countdown(&record, credential.id).await {
                    return unavailable(&presented.handle, &error);
                }
                self.upgrade(record, &presented.handle, &presented.text)
                    .await;
                return Outcome::Proven(proof);
            }
        }
        tracing::warn!(handle = %presented.handle, "a key kept changing while it was verified");
        Outcome::Unavailable
    }

    async fn find(&self, handle: &str) -> Result<Option<KeyRecord>, Error> {
        let lookup = async {
            let _permit = self.lookups.acquire().await;
            self.counts.lookups.fetch_add(1, Ordering::Relaxed);
            self.store.find_by_handle(handle).await
        };
        match tokio::time::timeout(self.deadline, lookup).await {
            Ok(answer) => answer,
            Err(_) => Err(crate::live::timed_out()),
        }
    }

    /// Whether `text` is the credential's: by the quick tag, by a pepper, or by the
    /// stored hash in its own scheme.
    async fn matches(&self, credential: &Credential, text: &[u8]) -> Result<bool, Error> {
        if credential.tag().is_some_and(|tag| tag != scheme::tag(text)) {
            return Ok(false);
        }
        if let Some(expected) = &credential.verifier
            && let Some(mac) = self.peppers.mac(expected.pepper(), text)
        {
            return Ok(bool::from(mac.ct_eq(expected.mac())));
        }
        match StoredHash::parse(&credential.hash)? {
            StoredHash::Quick(hash) => Ok(hash.verify(text)),
            StoredHash::Slow(hash) => {
                let text = Zeroizing::new(Box::<[u8]>::from(text));
                self.slow(move |memory| hash.verify(&text, memory)).await
            }
        }
    }

    async fn slow<T: Send + 'static>(
        &self,
        hash: impl FnOnce(&mut Blocks) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let counts = Arc::clone(&self.counts);
        let counted = move |memory: &mut Blocks| {
            // Counted where it begins: what finds no place in the queue costs nothing.
            counts.slow_hashes.fetch_add(1, Ordering::Relaxed);
            hash(memory)
        };
        self.pool.run(counted).await.map_err(Error::from)?
    }

    async fn renew(&self, proof: &Proof) -> Result<(), Error> {
        let id = proof.live().state().id();
        for _ in 0..ATTEMPTS {
            let read_at = self.live.capture();
            let lookup = async {
                let _permit = self.lookups.acquire().await;
                self.store.get(id).await
            };
            let record = tokio::time::timeout(self.deadline, lookup)
                .await
                .map_err(|_| crate::live::timed_out())??;
            match record {
                None => {
                    if self.live.missed(id, read_at).is_ok() {
                        return Ok(());
                    }
                }
                Some(record) => {
                    if self.live.adopt(&record, read_at).await?.is_ok() {
                        return Ok(());
                    }
                }
            }
        }
        Err(crate::live::timed_out())
    }

    async fn enrol(
        &self,
        key: &ApiKey,
        id: CredentialId,
        (handle, prefix): (Handle, String),
        created_at: Timestamp,
    ) -> Result<Credential, Error> {
        let text = key.expose_secret().as_bytes();
        let owned = Zeroizing::new(Box::<[u8]>::from(text));
        let params = self.argon2;
        let hash = self
            .slow(move |memory| scheme::hash_new(&owned, params, memory))
            .await?;
        let mut credential = Credential::new(id, handle, prefix, hash, created_at);
        credential.set_tag(Some(scheme::tag(text)));
        credential.verifier = self.peppers.missing_verifier(None, text);
        Ok(credential)
    }
}

fn credential_of<'r>(record: &'r KeyRecord, handle: &str) -> Option<&'r Credential> {
    record
        .credentials
        .iter()
        .find(|credential| credential.handle.as_str() == handle)
}

fn credential_of_mut<'r>(record: &'r mut KeyRecord, handle: &str) -> Option<&'r mut Credential> {
    record
        .credentials
        .iter_mut()
        .find(|credential| credential.handle.as_str() == handle)
}

fn unavailable(handle: &str, error: &Error) -> Outcome {
    tracing::warn!(%handle, %error, kind = ?error.kind(), "a key could not be verified");
    Outcome::Unavailable
}

#[cfg(test)]
impl Verifier {
    /// Forgets a text in the cache that threads share, as happens when others need the room.
    pub(crate) fn lose(&self, fingerprint: Fingerprint) {
        self.work.cache.lose(fingerprint);
    }

    /// Whether that cache knows a text.
    pub(crate) fn remembers(&self, fingerprint: Fingerprint) -> bool {
        matches!(self.work.cache.recall(fingerprint), Memory::Proof(_))
    }
}
