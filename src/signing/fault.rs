//! What can be wrong with a signature.

use std::fmt;

use crate::rejection::{Rejection, RejectionKind};

/// What is wrong with the signature of a request, in the order in which it is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum SignatureFault {
    /// One of the two headers stands in the request more than once.
    Duplicate,
    /// One of the two headers is missing; or both are, and the request must be signed.
    Missing,
    /// The timestamp is no number of seconds as it has to be written.
    MalformedTimestamp,
    /// The signature is not 64 hex digits.
    MalformedSignature,
    /// The request was signed longer ago than the tolerance.
    Stale,
    /// The request was signed further in the future than the tolerance.
    Future,
    /// The signature is not that of this timestamp and body under this key.
    Mismatch,
    /// The signature was used before.
    Replayed,
}

impl SignatureFault {
    /// Why a request with this fault is turned away.
    pub fn rejection_kind(self) -> RejectionKind {
        match self {
            Self::Duplicate => RejectionKind::SignatureAmbiguous,
            Self::Missing => RejectionKind::SignatureMissing,
            Self::MalformedTimestamp | Self::MalformedSignature | Self::Mismatch => {
                RejectionKind::SignatureInvalid
            }
            Self::Stale | Self::Future => RejectionKind::TimestampStale,
            Self::Replayed => RejectionKind::Replayed,
        }
    }
}

impl From<SignatureFault> for Rejection {
    fn from(fault: SignatureFault) -> Self {
        Self::new(fault.rejection_kind())
    }
}

impl fmt::Display for SignatureFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Duplicate => "a signing header stands more than once",
            Self::Missing => "a signing header is missing",
            Self::MalformedTimestamp => "the timestamp is malformed",
            Self::MalformedSignature => "the signature is malformed",
            Self::Stale => "the timestamp is too old",
            Self::Future => "the timestamp is too far in the future",
            Self::Mismatch => "the signature does not fit the request",
            Self::Replayed => "the signature was used before",
        })
    }
}

impl std::error::Error for SignatureFault {}
