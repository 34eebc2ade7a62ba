//! What is stored of a secret that is drawn from 256 random bits.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::hex;

/// The SHA-256 of a random secret, for one purpose.
///
/// Nobody can try out 256 random bits, so the hash need not be slow. It still is nothing to show:
/// it has no `Display`, and `Debug` keeps it to itself.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct SecretDigest(#[serde(with = "hex::bytes")] [u8; 32]);

impl SecretDigest {
    /// The digest of `secret`, which is told apart from others of the same text by its purpose.
    pub(super) fn of(purpose: &str, secret: &str) -> Self {
        let digest = Sha256::new()
            .chain_update(b"mcp-api-keys:")
            .chain_update(purpose)
            .chain_update(b"\0")
            .chain_update(secret)
            .finalize();
        Self(digest.into())
    }

    /// The bytes.
    pub(super) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether it is that of `secret`. How long that takes says nothing about either.
    pub(super) fn is_of(&self, purpose: &str, secret: &str) -> bool {
        bool::from(self.0.ct_eq(&Self::of(purpose, secret).0))
    }
}

impl fmt::Debug for SecretDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretDigest(…)")
    }
}
