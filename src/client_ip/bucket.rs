//! What failed attempts are counted under.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// The part of an IPv6 address that a network operator assigns; the rest is the client's own
/// choice.
const V6_NETWORK: u128 = !(u64::MAX as u128);

/// The block of addresses that one client commands: a single IPv4 address, or an IPv6 /64.
///
/// A client with IPv6 has 2^64 addresses at hand, so that counting them one by one counts nothing.
///
/// ```
/// use mcp_api_keys::client_ip::AddressBucket;
///
/// let bucket = AddressBucket::of("2001:db8::7:443".parse()?);
/// assert_eq!(bucket, AddressBucket::of("2001:db8::1".parse()?));
/// assert_eq!(bucket.to_string(), "2001:db8::/64");
/// assert_eq!(AddressBucket::of("::ffff:203.0.113.7".parse()?).to_string(), "203.0.113.7/32");
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddressBucket(IpAddr);

impl AddressBucket {
    /// The bucket that `address` falls into. IPv4-mapped IPv6 counts as IPv4.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(IpAddr::V4(address)),
            IpAddr::V6(address) => Self(IpAddr::V6(Ipv6Addr::from_bits(
                address.to_bits() & V6_NETWORK,
            ))),
        }
    }
}

impl fmt::Display for AddressBucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = if self.0.is_ipv4() { 32 } else { 64 };
        write!(f, "{}/{prefix}", self.0)
    }
}
