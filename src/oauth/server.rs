//! What all endpoints share.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;

use super::document::Documents;
use super::issuer::Issuer;
use super::register::Registrar;
use super::resource::Place;
use super::seal::Seal;
use super::sign_in::SignIn;
use super::vault::Vault;
use crate::client_ip::AddressBucket;
use crate::clock::Clock;
use crate::keys::ApiKeys;
use crate::limit::FailureLimiter;

/// An authorization server.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) keys: ApiKeys,
    pub(super) issuer: Issuer,
    pub(super) places: Vec<Arc<Place>>,
    pub(super) sign_in: Arc<dyn SignIn>,
    pub(super) seal: Seal,
    pub(super) documents: Option<Documents>,
    pub(super) registrar: Option<Registrar>,
    /// Documents that are fetched, by the address that they are fetched for.
    pub(super) fetches: Option<FailureLimiter>,
    pub(super) lifetimes: Lifetimes,
}

/// How long tokens live.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lifetimes {
    pub(super) access: Duration,
    pub(super) refresh: Duration,
    /// How long a connection may be renewed; nothing for ever.
    pub(super) longest: Option<Duration>,
}

impl Server {
    pub(super) fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    pub(super) fn clock(&self) -> &dyn Clock {
        self.keys.clock()
    }

    pub(super) fn vault(&self) -> Vault<'_> {
        Vault::new(self.keys.manager())
    }

    /// The resource that a request means: the only one, if it names none.
    pub(super) fn place(&self, named: Option<&str>) -> Option<Arc<Place>> {
        match (named, self.places.as_slice()) {
            (Some(text), places) => places
                .iter()
                .find(|place| place.is_meant_by(text))
                .map(Arc::clone),
            (None, [only]) => Some(Arc::clone(only)),
            (None, _) => None,
        }
    }

    /// The address of whoever makes a request.
    pub(super) fn caller(&self, head: &Parts) -> Option<IpAddr> {
        self.keys.caller_address(head)
    }

    /// How long an address has to wait that failed too often, with keys or with tokens.
    pub(super) fn blocked_for(&self, from: Option<IpAddr>) -> Option<Duration> {
        let limit = self.keys.shared().failures.as_ref()?;
        limit.blocked_for(AddressBucket::of(from?), self.clock().now().ticks)
    }

    /// Counts a failure of an address, beside those with keys.
    pub(super) fn count_failure(&self, from: Option<IpAddr>) {
        if let Some((limit, from)) = self.keys.shared().failures.as_ref().zip(from) {
            limit.record(AddressBucket::of(from), self.clock().now().ticks);
        }
    }
}
