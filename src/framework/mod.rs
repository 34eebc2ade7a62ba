//! What each framework needs to be told, one file each. The layer itself is the same everywhere.

#[cfg(feature = "axum")]
pub mod axum;
#[cfg(feature = "rmcp")]
pub mod rmcp;
#[cfg(feature = "tonic")]
pub mod tonic;

use std::net::SocketAddr;

use http::{Extensions, Uri};

use crate::client_ip::PeerAddr;

/// Where the frameworks in use put the address of the connection's peer.
pub(crate) fn peers() -> Vec<fn(&Extensions) -> Option<SocketAddr>> {
    vec![
        |extensions| extensions.get::<PeerAddr>().map(|peer| peer.0),
        #[cfg(feature = "axum")]
        axum::peer,
        #[cfg(feature = "tonic")]
        tonic::peer,
    ]
}

/// Where the frameworks in use keep a second copy of the request's URI.
pub(crate) fn uri_copies() -> Vec<fn(&mut Extensions) -> Option<&mut Uri>> {
    vec![
        #[cfg(feature = "axum")]
        axum::original_uri,
    ]
}
