//! One key in use on this node.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

use crate::clock::Timestamp;
use crate::key::{Credential, CredentialId, KeyInfo, KeyRecord, KeyStatus, Revision};
use crate::limit::LimitSet;

/// The live state of one key: what every request is judged by, cached or not.
#[derive(Debug)]
pub(crate) struct LiveKey {
    state: ArcSwap<KeyState>,
}

/// The state of a key at one revision. It never changes; a change swaps in another.
#[derive(Debug)]
pub(crate) struct KeyState {
    pub(crate) standing: Standing,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) info: Arc<KeyInfo>,
    pub(crate) limits: Arc<LimitSet>,
    credentials: Box<[LiveSecret]>,
    /// A state of an earlier epoch may have missed changes and is read again before use.
    epoch: u64,
    revision: Revision,
    /// A write may have happened whose answer was lost.
    suspect: bool,
}

/// Which secret of a key a proof is about.
///
/// The number alone would not do: in a store restored from a backup it may come again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SecretRef {
    pub(crate) id: CredentialId,
    pub(crate) created_at: Timestamp,
}

#[derive(Clone, Copy, Debug)]
struct LiveSecret {
    which: SecretRef,
    ends_at: Option<Timestamp>,
}

impl From<&Credential> for LiveSecret {
    fn from(credential: &Credential) -> Self {
        Self {
            which: credential.into(),
            ends_at: credential.ends_at,
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

/// Whether a key works, as far as its own record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Active,
    Disabled,
    /// Withdrawn or deleted.
    Revoked,
}

impl LiveKey {
    pub(crate) fn new(state: KeyState) -> Self {
        Self {
            state: ArcSwap::from_pointee(state),
        }
    }

    /// The state as of now.
    pub(crate) fn state(&self) -> Guard<Arc<KeyState>> {
        self.state.load()
    }

    /// Takes over `record` unless what is known is newer. Only called under the registry's lock.
    pub(crate) fn offer(&self, record: &KeyRecord, info: &Arc<KeyInfo>, epoch: u64) {
        let known = self.state.load_full();
        if (epoch, record.revision) >= (known.epoch, known.revision) {
            let limits = if known.limits.implements(&record.limits) {
                Arc::clone(&known.limits)
            } else {
                Arc::new(known.limits.succeeding(&record.limits))
            };
            self.state
                .store(Arc::new(KeyState::with_limits(record, info, epoch, limits)));
        }
    }

    /// The state may be out of date: it is read again before it is used. Only called under the
    /// registry's lock.
    pub(crate) fn distrust(&self) {
        let known = self.state.load_full();
        self.state.store(Arc::new(KeyState {
            info: Arc::clone(&known.info),
            limits: Arc::clone(&known.limits),
            credentials: known.credentials.clone(),
            suspect: true,
            ..*known
        }));
    }

    /// The key is no more. Only called under the registry's lock.
    pub(crate) fn end(&self) {
        let known = self.state.load_full();
        self.state.store(Arc::new(KeyState {
            standing: Standing::Revoked,
            expires_at: None,
            info: Arc::clone(&known.info),
            limits: Arc::clone(&known.limits),
            credentials: Box::default(),
            epoch: known.epoch,
            revision: Revision::new(u64::MAX),
            suspect: false,
        }));
    }
}

impl KeyState {
    pub(crate) fn new(record: &KeyRecord, info: &Arc<KeyInfo>, epoch: u64) -> Self {
        Self::with_limits(record, info, epoch, Arc::new(LimitSet::new(&record.limits)))
    }

    fn with_limits(
        record: &KeyRecord,
        info: &Arc<KeyInfo>,
        epoch: u64,
        limits: Arc<LimitSet>,
    ) -> Self {
        Self {
            standing: match record.status {
                KeyStatus::Active => Standing::Active,
                KeyStatus::Disabled => Standing::Disabled,
                KeyStatus::Revoked { .. } => Standing::Revoked,
            },
            expires_at: record.expires_at,
            info: Arc::clone(info),
            limits,
            credentials: record.credentials.iter().map(LiveSecret::from).collect(),
            epoch,
            revision: record.revision,
            suspect: false,
        }
    }

    /// Whether the state was read after the last time that changes may have been missed.
    pub(crate) fn is_of(&self, epoch: u64) -> bool {
        self.epoch == epoch && !self.suspect
    }

    /// Whether the secret is (still) one of the key's.
    pub(crate) fn has(&self, secret: SecretRef, now: Timestamp) -> bool {
        self.credentials
            .iter()
            .any(|known| known.which == secret && known.ends_at.is_none_or(|end| now < end))
    }
}
