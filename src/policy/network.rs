//! A key is used only from where it may be.

use std::net::IpAddr;

use crate::key::NetworkRules;
use crate::rejection::{Rejection, RejectionKind};

/// An unknown address satisfies no rule.
pub(crate) fn check_network(rules: &NetworkRules, client: Option<IpAddr>) -> Result<(), Rejection> {
    if rules.permits(client) {
        Ok(())
    } else {
        Err(Rejection::new(RejectionKind::AddressDenied))
    }
}
