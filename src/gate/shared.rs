//! What all gates of one set of keys have in common.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::{Extensions, Uri};

use crate::client_ip::ClientIp;
use crate::clock::Clock;
use crate::key::KeyFormats;
use crate::limit::{FailureLimiter, SharedLimits};
use crate::usage::Recorder;
use crate::verify::Verifier;

/// The keys, and what is set for all gates to them.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) verifier: Arc<Verifier>,
    pub(crate) formats: KeyFormats,
    pub(crate) client_ip: ClientIp,
    pub(crate) failures: Option<FailureLimiter>,
    /// Where rate limits are counted, if not in this process.
    pub(crate) shared_limits: Option<SharedLimits>,
    /// Who takes note of requests, if anybody does.
    pub(crate) usage: Option<Arc<Recorder>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) missing_peer: MissingPeer,
    /// Where frameworks put the address of the connection's peer.
    pub(crate) peers: Vec<fn(&Extensions) -> Option<SocketAddr>>,
    /// Where frameworks keep a second copy of the request's URI.
    pub(crate) uri_copies: Vec<fn(&mut Extensions) -> Option<&mut Uri>>,
}

/// Says once that nobody tells the layer where connections come from.
#[derive(Debug, Default)]
pub(crate) struct MissingPeer(AtomicBool);

impl MissingPeer {
    pub(super) fn report(&self, peer: Option<IpAddr>) {
        if peer.is_none() && !self.0.swap(true, Ordering::Relaxed) {
            tracing::error!(
                "a key with rules on addresses is refused because the address of the connection \
                 is unknown; insert `PeerAddr` into the request's extensions, or serve with axum's \
                 `into_make_service_with_connect_info::<SocketAddr>()`"
            );
        }
    }
}
