//! A read-only key changes nothing.

use crate::key::Access;
use crate::rejection::{Rejection, RejectionKind};

/// Checks the level of a key where full access is asked for.
pub(crate) fn check_full_access(held: Access) -> Result<(), Rejection> {
    match held {
        Access::Full => Ok(()),
        Access::ReadOnly => Err(Rejection::new(RejectionKind::ReadOnly)),
    }
}
