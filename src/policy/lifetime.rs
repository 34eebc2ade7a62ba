//! A key is refused at the instant it expires and after.

use crate::clock::Timestamp;
use crate::rejection::{Rejection, RejectionKind};

/// Judged by the clock at each use, so that expiry needs nobody to notice it.
pub(crate) fn check_lifetime(
    expires_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<(), Rejection> {
    match expires_at {
        Some(end) if now >= end => Err(Rejection::new(RejectionKind::Expired)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_instant_itself_is_too_late() {
        let at = Timestamp::from_millis;
        assert!(check_lifetime(None, at(5)).is_ok());
        assert!(check_lifetime(Some(at(5)), at(4)).is_ok());
        assert!(check_lifetime(Some(at(5)), at(5)).is_err());
        assert!(check_lifetime(Some(at(5)), at(6)).is_err());
    }
}
