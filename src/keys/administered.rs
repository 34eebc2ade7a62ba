//! What the rooms that serve pages and endpoints of their own need of the keys.

use std::net::IpAddr;

use http::request::Parts;

use super::ApiKeys;
use crate::clock::Clock;
use crate::gate::{Gate, Shared};

impl ApiKeys {
    /// What all gates to these keys have in common.
    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// The address of whoever made a request, as the layer sees it; nothing if it is unknown.
    pub(crate) fn caller_address(&self, head: &Parts) -> Option<IpAddr> {
        Gate::new(&self.shared).client(head)
    }

    /// The clock that everything here goes by.
    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.shared.clock
    }
}
