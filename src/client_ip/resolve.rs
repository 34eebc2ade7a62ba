//! The walk from the connection to the client.

use std::net::IpAddr;
use std::sync::Arc;

use http::header::{HeaderMap, HeaderName};

use super::{entry, forwarded};
use crate::key::network::Network;

static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Where the address of the client is read. One place, never a chain of fall-backs: whichever
/// header a proxy does not set, a client can.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientIpSource {
    /// The other end of the connection; headers are ignored.
    #[default]
    Peer,
    /// `X-Forwarded-For`, to which each proxy appends the address it was called from.
    XForwardedFor,
    /// `Forwarded`, as in RFC 7239.
    Forwarded,
    /// A header in which the proxy names the client, such as `X-Real-IP` or `CF-Connecting-IP`.
    /// Should there be more than one address in it, it is read as `X-Forwarded-For` is: the
    /// rightmost one that is not trusted.
    Header(HeaderName),
}

/// How the address of the client is found. The default believes the connection alone.
///
/// ```
/// use http::HeaderMap;
/// use mcp_api_keys::client_ip::{ClientIp, ClientIpSource};
///
/// let client_ip = ClientIp::behind(["10.0.0.0/8".parse()?], ClientIpSource::XForwardedFor);
///
/// let mut headers = HeaderMap::new();
/// headers.insert("x-forwarded-for", "6.6.6.6, 203.0.113.7, 10.0.0.2".parse()?);
///
/// // From a trusted proxy: the first address from the right that is no proxy of ours.
/// let proxy = Some([10, 0, 0, 1].into());
/// assert_eq!(client_ip.resolve(proxy, &headers), Some([203, 0, 113, 7].into()));
///
/// // From anyone else: the header is the caller's invention.
/// let stranger = Some([198, 51, 100, 9].into());
/// assert_eq!(client_ip.resolve(stranger, &headers), stranger);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct ClientIp {
    trusted: Arc<[Network]>,
    source: ClientIpSource,
    trust_local_peer: bool,
}

impl ClientIp {
    /// The other end of the connection is the client.
    #[must_use]
    pub fn peer() -> Self {
        Self::default()
    }

    /// Requests come through the `trusted` proxies, which name the client in `source`.
    #[must_use]
    pub fn behind(trusted: impl IntoIterator<Item = Network>, source: ClientIpSource) -> Self {
        Self {
            trusted: trusted.into_iter().collect(),
            source,
            trust_local_peer: false,
        }
    }

    /// Whether a connection without a peer address counts as a trusted proxy. For servers on a unix
    /// socket, where the permissions of the file decide who may connect. Off by default, because a
    /// server on TCP that forgot to pass the address on looks the same. It has no effect on a peer
    /// with a loopback address.
    #[must_use]
    pub fn trust_local_peer(mut self, trust: bool) -> Self {
        self.trust_local_peer = trust;
        self
    }

    /// Whether the trusted networks hold a whole address family, so that every caller can choose
    /// its own address. Worth a warning when a server starts.
    #[must_use]
    pub fn trusts_everyone(&self) -> bool {
        self.source != ClientIpSource::Peer && self.trusted.iter().any(Network::is_everything)
    }

    /// Whether what the peer says about the request before it is believed.
    #[cfg(feature = "admin")]
    pub(crate) fn believes(&self, peer: Option<IpAddr>) -> bool {
        self.source != ClientIpSource::Peer
            && peer.map_or(self.trust_local_peer, |address| {
                self.trusts(address.to_canonical())
            })
    }

    /// The address of the client, always canonical, or `None` if it cannot be told.
    ///
    /// Allocates nothing but for `Forwarded`.
    #[must_use]
    pub fn resolve(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> Option<IpAddr> {
        let peer = peer.map(|address| address.to_canonical());
        if self.source == ClientIpSource::Peer {
            return peer;
        }
        let believed = peer.map_or(self.trust_local_peer, |address| self.trusts(address));
        if !believed {
            return peer;
        }
        match &self.source {
            ClientIpSource::Peer => peer,
            ClientIpSource::XForwardedFor => {
                self.walk(peer, list_from_the_right(headers, &X_FORWARDED_FOR))
            }
            ClientIpSource::Header(name) => self.walk(peer, list_from_the_right(headers, name)),
            ClientIpSource::Forwarded => {
                let addresses = forwarded::addresses(&forwarded::field(headers)).ok()?;
                self.walk(peer, addresses.into_iter().rev())
            }
        }
    }

    /// Goes from the peer through the entries, the nearest first, for as long as each can be
    /// believed about the next. An entry without address ends the walk in the unknown.
    fn walk(
        &self,
        peer: Option<IpAddr>,
        entries: impl Iterator<Item = Option<IpAddr>>,
    ) -> Option<IpAddr> {
        let mut client = peer;
        for entry in entries {
            let address = entry?;
            client = Some(address);
            if !self.trusts(address) {
                break;
            }
        }
        client
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(address))
    }
}

fn list_from_the_right<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = Option<IpAddr>> + use<'a> {
    headers
        .get_all(name)
        .iter()
        .rev()
        .flat_map(|line| line.as_bytes().rsplit(|&byte| byte == b','))
        .map(trim_white_space)
        .filter(|element| !element.is_empty())
        .map(entry::list_address)
}

// White space in a list is a space or a tab; the standard library would also trim form feeds.
fn trim_white_space(mut element: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = element {
        element = rest;
    }
    element
}
