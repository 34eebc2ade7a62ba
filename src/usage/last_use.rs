//! When, from where and for what a key was last used.

use std::net::IpAddr;
use std::sync::Arc;

use serde::Serialize;

use crate::clock::Timestamp;
use crate::key::{Carrier, CredentialId};

/// A key's last use, to within half a second.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LastUse {
    /// When.
    pub at: Timestamp,
    /// From where, if the address is known.
    pub address: Option<IpAddr>,
    /// Where in the request the key stood.
    pub carrier: Carrier,
    /// Which of its secrets.
    pub credential: CredentialId,
    /// At which server, if the layer names one.
    pub server: Option<Arc<str>>,
    /// For what: the tool or method of an MCP server, or the method of HTTP.
    pub operation: Option<Arc<str>>,
}

impl LastUse {
    /// A use of which only this is known.
    pub fn new(at: Timestamp, carrier: Carrier, credential: CredentialId) -> Self {
        Self {
            at,
            address: None,
            carrier,
            credential,
            server: None,
            operation: None,
        }
    }
}
