//! What all requests to the page share.

use std::net::IpAddr;

use std::time::Duration;

use http::header::HeaderName;
use http::request::Parts;
use http::{Extensions, HeaderMap};

use super::notes::Notes;
use crate::browser::{Cookie, Door, Lasts, SessionHash};
use crate::clock::Moment;
use crate::keys::ApiKeys;
use crate::manager::KeyManager;

static FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Stands for somebody who has signed in.
pub(super) const SESSION: Cookie = Cookie::strict("__Host-mcp-keys-session");

/// Stands for a browser that was shown the form to sign in, so that nobody else can send it.
pub(super) const SIGN_IN: Cookie = Cookie::strict("__Host-mcp-keys-sign-in");

const LASTS: Lasts = Lasts {
    idle: Duration::from_secs(30 * 60),
    longest: Duration::from_secs(12 * 3_600),
};

#[derive(Debug)]
pub(super) struct Desk {
    keys: ApiKeys,
    https: bool,
    pub(super) door: Door<Notes>,
}

impl Desk {
    pub(super) fn new(keys: &ApiKeys, https: bool) -> Self {
        Self {
            door: Door::new(keys.layer().any_server(), SESSION, LASTS),
            keys: keys.clone(),
            https,
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

    /// Does something with what is noted of a session; nothing if it has ended.
    pub(super) fn note<R>(
        &self,
        session: &SessionHash,
        act: impl FnOnce(&mut Notes) -> R,
    ) -> Option<R> {
        self.door.sessions.with(session, act)
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
