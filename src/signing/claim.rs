//! What a request says of its signature.

use std::fmt;
use std::time::Duration;

use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::mac::{self, Verification};
use super::{SIGNATURE_HEADER, SignatureFault, TIMESTAMP_HEADER};
use crate::clock::Timestamp;

/// The claim of a request to have been signed: well-formed, and not verified yet.
///
/// ```
/// use std::time::Duration;
/// use http::HeaderMap;
/// use mcp_api_keys::Timestamp;
/// use mcp_api_keys::signing::{Claim, SignatureFault, Signer};
///
/// let now = Timestamp::from_millis(1_790_000_000_000);
/// let mut headers = HeaderMap::new();
/// assert!(Claim::read(&headers)?.is_none());
///
/// Signer::new("the key").sign(now, b"{}").set(&mut headers);
/// let claim = Claim::read(&headers)?.unwrap();
/// claim.check_age(now, Duration::from_secs(300))?;
/// claim.verify("the key", b"{}")?;
/// assert_eq!(claim.verify("the key", b"{ }"), Err(SignatureFault::Mismatch));
/// # Ok::<(), SignatureFault>(())
/// ```
#[derive(Clone, Copy)]
pub struct Claim {
    timestamp: u64,
    signature: [u8; mac::LENGTH],
}

impl Claim {
    /// Reads the two headers; nothing if the request has neither.
    ///
    /// Spaces and tabs around a value are no part of it.
    ///
    /// # Errors
    ///
    /// If a header stands twice, only one of the two is there, or one is malformed.
    pub fn read(headers: &HeaderMap) -> Result<Option<Self>, SignatureFault> {
        let timestamp = only(headers, &TIMESTAMP_HEADER)?;
        let signature = only(headers, &SIGNATURE_HEADER)?;
        let (timestamp, signature) = match (timestamp, signature) {
            (None, None) => return Ok(None),
            (Some(timestamp), Some(signature)) => (timestamp, signature),
            _ => return Err(SignatureFault::Missing),
        };
        let timestamp = seconds(timestamp).ok_or(SignatureFault::MalformedTimestamp)?;
        let signature = mac::from_hex(signature).ok_or(SignatureFault::MalformedSignature)?;
        Ok(Some(Self {
            timestamp,
            signature,
        }))
    }

    /// When the request claims to have been signed, in seconds since 1970.
    pub fn timestamp(&self) -> u64 {
        self.timestamp
    }

    /// Whether the timestamp is within `tolerance` of `now`, either way and both ends included.
    ///
    /// Both are taken in whole seconds, as the header has them.
    ///
    /// # Errors
    ///
    /// `Stale` or `Future`, if it is not.
    pub fn check_age(&self, now: Timestamp, tolerance: Duration) -> Result<(), SignatureFault> {
        let age = i128::from(now.as_millis().div_euclid(1_000)) - i128::from(self.timestamp);
        let tolerance = i128::from(tolerance.as_secs());
        if age > tolerance {
            Err(SignatureFault::Stale)
        } else if age < -tolerance {
            Err(SignatureFault::Future)
        } else {
            Ok(())
        }
    }

    /// Whether the signature is that of the timestamp and `body` under `key`, the whole text.
    ///
    /// Says nothing of the time, nor of whether the signature was used before.
    ///
    /// # Errors
    ///
    /// `Mismatch`, if it is not.
    pub fn verify(&self, key: &str, body: &[u8]) -> Result<(), SignatureFault> {
        let mut verification = self.verification(key.as_bytes())?;
        verification.update(body);
        verification.finish().map(|_| ())
    }

    /// Begins to verify the signature of a body that arrives in parts.
    pub(crate) fn verification(&self, key: &[u8]) -> Result<Verification, SignatureFault> {
        Verification::begin(key, self.timestamp, self.signature).ok_or(SignatureFault::Mismatch)
    }

    /// What a handler is told once the claim has been verified.
    pub(crate) fn signed(&self) -> Signed {
        let millis = i64::try_from(self.timestamp).map_or(i64::MAX, |s| s.saturating_mul(1_000));
        Signed {
            at: Timestamp::from_millis(millis),
        }
    }
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim")
            .field("timestamp", &self.timestamp)
            .finish_non_exhaustive()
    }
}

/// The mark of a request whose signature was verified, in its extensions.
///
/// Where signing is optional, a handler can ask for it: `request.extensions().get::<Signed>()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signed {
    at: Timestamp,
}

impl Signed {
    /// When the request was signed, by the caller's clock.
    pub fn at(&self) -> Timestamp {
        self.at
    }
}

/// The value of a header that may stand once, without the padding around it.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h [u8]>, SignatureFault> {
    let mut lines = headers.get_all(name).iter();
    let line = lines.next();
    match lines.next() {
        Some(_) => Err(SignatureFault::Duplicate),
        None => Ok(line.map(HeaderValue::as_bytes).map(trim)),
    }
}

fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// Exactly what is signed is a number without sign, fraction or leading zero: so the number can be
/// written again as it stood.
fn seconds(text: &[u8]) -> Option<u64> {
    let digits = (1..=19).contains(&text.len()) && text.iter().all(u8::is_ascii_digit);
    let canonical = text == b"0" || text.first() != Some(&b'0');
    (digits && canonical)
        .then(|| std::str::from_utf8(text).ok()?.parse().ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_790_000_000;

    fn claim(timestamp: u64) -> Claim {
        Claim {
            timestamp,
            signature: [0; 32],
        }
    }

    #[test]
    fn a_timestamp_is_a_plain_number_of_at_most_19_digits() {
        for (text, number) in [
            ("0", Some(0)),
            ("7", Some(7)),
            ("1790000000", Some(1_790_000_000)),
            ("9999999999999999999", Some(9_999_999_999_999_999_999)),
            ("10000000000000000000", None),
            ("", None),
            ("00", None),
            ("01", None),
            ("+1", None),
            ("-1", None),
            ("1.0", None),
            ("1e3", None),
            ("1 2", None),
            ("0x1", None),
            ("١", None),
        ] {
            assert_eq!(seconds(text.as_bytes()), number, "{text}");
        }
    }

    #[test]
    fn the_tolerance_holds_both_ways_and_its_ends_belong_to_it() {
        let tolerance = Duration::from_secs(300);
        for (age, verdict) in [
            (0, Ok(())),
            (300, Ok(())),
            (301, Err(SignatureFault::Stale)),
            (-300, Ok(())),
            (-301, Err(SignatureFault::Future)),
        ] {
            let claim = claim(u64::try_from(NOW - age).unwrap());
            for millis in [0, 999] {
                let now = Timestamp::from_millis(NOW * 1_000 + millis);
                assert_eq!(claim.check_age(now, tolerance), verdict, "{age}");
            }
        }
        let now = Timestamp::from_millis(NOW * 1_000);
        let most = Duration::MAX;
        assert_eq!(claim(u64::MAX).check_age(now, most), Ok(()));
        assert_eq!(
            claim(9_999_999_999_999_999_999).check_age(now, tolerance),
            Err(SignatureFault::Future)
        );
        let before_1970 = Timestamp::from_millis(-1);
        assert_eq!(claim(0).check_age(before_1970, tolerance), Ok(()));
        assert_eq!(
            claim(0).check_age(before_1970, Duration::ZERO),
            Err(SignatureFault::Future)
        );
    }

    #[test]
    fn faults_are_named_in_their_order() {
        use SignatureFault::*;
        const GOOD: &str = "05f09ac90de193460b83595881742a1bd6aed7fd780b3bda1ca9d29ae806c5b1";
        for (timestamps, signatures, fault) in [
            (&["x", "x"][..], &[][..], Duplicate),
            (&[], &[GOOD, GOOD], Duplicate),
            (&["x"], &["y", "y"], Duplicate),
            (&["x"], &[], Missing),
            (&[], &["y"], Missing),
            (&["x"], &["y"], MalformedTimestamp),
            (&["1"], &["y"], MalformedSignature),
            (&["1"], &[""], MalformedSignature),
        ] {
            let mut headers = HeaderMap::new();
            for text in timestamps {
                headers.append(TIMESTAMP_HEADER, HeaderValue::from_static(text));
            }
            for text in signatures {
                headers.append(SIGNATURE_HEADER, HeaderValue::from_static(text));
            }
            assert_eq!(Claim::read(&headers).unwrap_err(), fault);
        }
    }

    #[test]
    fn padding_is_spaces_and_tabs_around_a_value_alone() {
        assert_eq!(trim(b" \t a b\t "), b"a b");
        assert_eq!(trim(b" \t "), b"");
        assert_eq!(trim(b"\x0ca"), b"\x0ca");
    }
}
