//! Who is calling: the address of the client, out of the connection and one trusted header.
//!
//! The promise: nobody but a trusted proxy has a say in the address, and where the truth cannot be
//! told the answer is "unknown", never a guess.
//!
//! 1. The peer is the other end of the connection. By default it is the client, and no header is
//!    read.
//! 2. Exactly one header is configured ([`ClientIpSource`]), and it is read only when the peer is a
//!    trusted proxy. There is no fall-back to another header.
//! 3. All lines of that header, in order, are one list; empty elements are dropped. The list is
//!    walked from the right: trusted addresses are skipped, the first other one is the client.
//! 4. An entry met on the walk that is no address makes the client unknown. Skipping it would let a
//!    client choose the entry left of it, and the proxy's own address would pass every allow list
//!    of internal ranges.
//! 5. If all entries are trusted, the leftmost is the client; if there are none, the peer is.
//! 6. `Forwarded` is read with the full grammar of RFC 7239. A syntax error anywhere makes the
//!    client unknown, since an open quote can swallow what a proxy has added.
//! 7. Without a peer (a unix socket, or a server that does not say) the client is unknown, unless
//!    [`trust_local_peer`](ClientIp::trust_local_peer) says that whoever can connect is a trusted
//!    proxy.
//! 8. IPv4-mapped IPv6 is IPv4 everywhere: peer, entries, trusted networks, answers.
//!
//! A trusted proxy must *append* to the header or overwrite it. A proxy that passes the client's
//! own line unchanged hands rule 3 a list written by the client; and trusting `0.0.0.0/0` makes
//! everybody a proxy.

use std::net::{IpAddr, SocketAddr};

mod bucket;
mod entry;
mod forwarded;
mod resolve;

pub use bucket::AddressBucket;
pub use resolve::{ClientIp, ClientIpSource};

/// The other end of a connection, as a request extension.
///
/// axum and tonic put their own type into the extensions of each request, which are understood too.
/// A server on bare hyper inserts this one, once for each request, from the address its listener
/// accepted:
///
/// ```
/// use std::net::SocketAddr;
///
/// use mcp_api_keys::client_ip::PeerAddr;
///
/// fn with_peer<B>(mut request: http::Request<B>, accepted_from: SocketAddr) -> http::Request<B> {
///     request.extensions_mut().insert(PeerAddr(accepted_from));
///     request
/// }
///
/// let request = with_peer(http::Request::new(()), ([203, 0, 113, 7], 50_000).into());
/// let peer = request.extensions().get::<PeerAddr>().map(PeerAddr::ip);
/// assert_eq!(peer, Some([203, 0, 113, 7].into()));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(
    clippy::exhaustive_structs,
    reason = "integrators make it from the address they have"
)]
pub struct PeerAddr(pub SocketAddr);

impl PeerAddr {
    /// The address without its port.
    #[must_use]
    pub fn ip(&self) -> IpAddr {
        self.0.ip()
    }
}

impl From<SocketAddr> for PeerAddr {
    fn from(address: SocketAddr) -> Self {
        Self(address)
    }
}

#[cfg(test)]
mod tests;
