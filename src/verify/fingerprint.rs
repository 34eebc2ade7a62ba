//! Under which number a presented key is remembered.
//!
//! SipHash-2-4 with 128 bits of output, under a random key that is made at start and never leaves
//! the process. A hit in the cache *is* the authentication, so the function has to be a
//! pseudo-random function, not merely a good hash: without the key nobody can compute the
//! fingerprint of any text, nor find two texts that share one other than by luck. With a million
//! keys cached and a million million guesses that luck is about 3e-21.
//!
//! Comparing fingerprints needs no constant time: how far a comparison runs tells something about
//! a number that the caller can neither compute nor steer.

use siphasher::sip128::SipHasher24;

use crate::key::fill_random;

/// A number that stands for one presented text, on this node only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Fingerprint(u128);

impl Fingerprint {
    pub(crate) fn as_u128(self) -> u128 {
        self.0
    }
}

/// Makes fingerprints under the key of this process.
pub(crate) struct Fingerprinter(SipHasher24);

impl Fingerprinter {
    /// A fingerprinter under a new random key.
    pub(crate) fn random() -> Self {
        let mut key = zeroize::Zeroizing::new([0; 16]);
        fill_random(&mut *key);
        Self(SipHasher24::new_with_key(&key))
    }

    pub(crate) fn of(&self, text: &[u8]) -> Fingerprint {
        Fingerprint(self.0.hash(text).as_u128())
    }
}

impl std::fmt::Debug for Fingerprinter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Fingerprinter(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_agree_within_a_process_and_differ_between_keys() {
        let (one, other) = (Fingerprinter::random(), Fingerprinter::random());
        assert_eq!(one.of(b"text"), one.of(b"text"));
        assert_ne!(one.of(b"text"), one.of(b"texts"));
        assert_ne!(one.of(b"text"), other.of(b"text"));
    }
}
