//! Whether requests are to be signed.

use std::time::Duration;

use http::HeaderMap;

use super::{Claim, SignatureFault};
use crate::clock::Timestamp;
use crate::key::Signing;

/// What is asked of requests, from the least to the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(
    clippy::exhaustive_enums,
    reason = "whoever handles the modes must handle all of them"
)]
pub enum SigningMode {
    /// Signatures are not looked at.
    Off,
    /// A request may be signed. One that claims to be is verified, and refused if it is not.
    Optional,
    /// A request must be signed.
    Required,
}

impl SigningMode {
    /// What is asked of a request with this key: the more of what the layer and the key ask.
    #[must_use]
    pub fn with_key(self, key: Signing) -> Self {
        match key {
            Signing::Required => Self::Required,
            Signing::ByLayer => self,
        }
    }

    /// What of a signature can be judged before the body is there: the claim to verify, or nothing
    /// if the request may pass as it is.
    ///
    /// # Errors
    ///
    /// Every fault but `Mismatch` and `Replayed`.
    pub fn claim(
        self,
        headers: &HeaderMap,
        now: Timestamp,
        tolerance: Duration,
    ) -> Result<Option<Claim>, SignatureFault> {
        if self == Self::Off {
            return Ok(None);
        }
        match Claim::read(headers)? {
            Some(claim) => claim.check_age(now, tolerance).map(|()| Some(claim)),
            None if self == Self::Required => Err(SignatureFault::Missing),
            None => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::super::TIMESTAMP_HEADER;
    use super::*;

    #[test]
    fn a_key_can_ask_for_more_than_the_layer_and_never_for_less() {
        use SigningMode::*;
        for mode in [Off, Optional, Required] {
            assert_eq!(mode.with_key(Signing::ByLayer), mode);
            assert_eq!(mode.with_key(Signing::Required), Required);
        }
    }

    #[test]
    fn half_a_signature_is_never_none() {
        let tolerance = Duration::from_secs(300);
        let claim = |mode: SigningMode, headers: &HeaderMap| {
            let claim = mode.claim(headers, Timestamp::from_millis(0), tolerance);
            claim.map(|claim| claim.is_some())
        };
        let mut headers = HeaderMap::new();
        assert_eq!(claim(SigningMode::Off, &headers), Ok(false));
        assert_eq!(claim(SigningMode::Optional, &headers), Ok(false));
        let missing = Err(SignatureFault::Missing);
        assert_eq!(claim(SigningMode::Required, &headers), missing);
        headers.insert(TIMESTAMP_HEADER, HeaderValue::from_static("0"));
        assert_eq!(claim(SigningMode::Off, &headers), Ok(false));
        assert_eq!(claim(SigningMode::Optional, &headers), missing);
        assert_eq!(claim(SigningMode::Required, &headers), missing);
    }
}
