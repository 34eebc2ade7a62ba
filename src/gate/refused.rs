//! Why a proven key is not admitted, or not yet.

use crate::rejection::Rejection;

/// Why a proven key could not be judged at once.
pub(super) enum Refused {
    By(Rejection),
    /// What is known of it has grown old.
    Aged,
    /// More of a quota has to be asked for.
    NotHeld,
    /// The limiter has to be asked that several processes share.
    Unasked,
}

impl From<Rejection> for Refused {
    fn from(rejection: Rejection) -> Self {
        Self::By(rejection)
    }
}
