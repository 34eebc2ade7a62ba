//! What a proven secret gains: this crate's own hash in place of a foreign one, and a code under
//! the current pepper.

use std::sync::atomic::Ordering;

use zeroize::Zeroizing;

use super::scheme::{self, StoredHash};
use super::{Work, credential_of_mut};
use crate::key::{Credential, KeyRecord};

impl Work {
    /// Stores what the credential of a key that was just proven lacks, so that it never needs a
    /// foreign hash again, nor with a pepper a slow one.
    ///
    /// Losing a race for the row is no loss: whoever won it is newer, and the next cold
    /// verification tries again. Proofs go by the number and the time of a secret, not by its
    /// hash, so they hold before and after.
    pub(super) async fn upgrade(&self, mut record: KeyRecord, handle: &str, text: &[u8]) {
        let Some(credential) = credential_of_mut(&mut record, handle) else {
            return;
        };
        let hash = self.own_hash(credential, text).await;
        let verifier = self
            .peppers
            .missing_verifier(credential.verifier.as_ref(), text);
        if hash.is_none() && verifier.is_none() {
            return;
        }
        if let Some(hash) = hash {
            credential.hash = hash;
        }
        if verifier.is_some() {
            credential.verifier = verifier;
        }
        let write = tokio::time::timeout(self.deadline, self.store.amend(&record)).await;
        if !matches!(write, Ok(Ok(()))) {
            tracing::debug!(%handle, "an upgraded hash could not be stored; the next time will do");
        }
    }

    /// The slow hash in place of a foreign one. Nobody waits for it: while other keys need the
    /// pool to be verified at all, a key that is proven already stays as it is.
    async fn own_hash(&self, credential: &Credential, text: &[u8]) -> Option<String> {
        let is_foreign = StoredHash::parse(&credential.hash).is_ok_and(|hash| hash.is_foreign());
        if !is_foreign {
            return None;
        }
        let text = Zeroizing::new(Box::<[u8]>::from(text));
        let params = self.argon2;
        let hash = self
            .pool
            .run_if_free(move |memory| scheme::hash_new(&text, params, memory))
            .await
            .ok()?;
        self.counts.slow_hashes.fetch_add(1, Ordering::Relaxed);
        hash.ok()
    }
}
