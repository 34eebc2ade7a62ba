//! What all requests to the page share.

use std::net::IpAddr;

use http::header::{AUTHORIZATION, COOKIE, HeaderName};
use http::request::Parts;
use http::{Extensions, HeaderMap, Request};

use super::sessions::Sessions;
use crate::clock::Moment;
use crate::gate::Gate;
use crate::keys::ApiKeys;
use crate::manager::KeyManager;

static FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
static API_KEY: HeaderName = HeaderName::from_static("x-api-key");

#[derive(Debug)]
pub(super) struct Desk {
    keys: ApiKeys,
    https: bool,
    /// Signing in is a use of the key like any other.
    pub(super) door: Gate,
    /// What a session asks for is charged to nobody.
    pub(super) inside: Gate,
    pub(super) sessions: Sessions,
}

impl Desk {
    pub(super) fn new(keys: &ApiKeys, https: bool) -> Self {
        let layer = keys.layer().any_server();
        Self {
            door: layer.gate().clone(),
            inside: layer.cost(0).gate().clone(),
            keys: keys.clone(),
            https,
            sessions: Sessions::default(),
        }
    }

    /// The manager, in nobody's hands.
    pub(super) fn manager(&self) -> &KeyManager {
        self.keys.manager()
    }

    pub(super) fn now(&self) -> Moment {
        self.keys.shared().clock.now()
    }

    /// Whether the browser speaks TLS, to us or to a proxy that can be believed.
    pub(super) fn is_tls(&self, head: &Parts) -> bool {
        let proxies = &self.keys.shared().client_ip;
        self.https
            || proxies.believes(self.peer(&head.extensions)) && last_proto(&head.headers) == "https"
    }

    /// Where the browser is.
    pub(super) fn client(&self, head: &Parts) -> Option<IpAddr> {
        let shared = self.keys.shared();
        shared
            .client_ip
            .resolve(self.peer(&head.extensions), &head.headers)
    }

    /// The head of a request from the same place as `head`, which presents nothing.
    pub(super) fn bare(&self, head: &Parts) -> Parts {
        let (mut bare, ()) = Request::new(()).into_parts();
        bare.headers = head.headers.clone();
        bare.extensions = head.extensions.clone();
        for name in [&AUTHORIZATION, &COOKIE, &API_KEY] {
            bare.headers.remove(name);
        }
        bare
    }

    fn peer(&self, extensions: &Extensions) -> Option<IpAddr> {
        let mut peers = self.keys.shared().peers.iter();
        peers
            .find_map(|peer| peer(extensions))
            .map(|address| address.ip())
    }
}

/// What the nearest proxy says.
fn last_proto(headers: &HeaderMap) -> &str {
    let mut lines = headers.get_all(&FORWARDED_PROTO).iter();
    let last = lines.next_back().and_then(|line| line.to_str().ok());
    last.and_then(|line| line.rsplit(',').next())
        .map_or("", str::trim)
}
