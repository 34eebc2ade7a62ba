//! Where a key may be used from: address blocks, and the allow and deny lists made of them.
//!
//! The promise: a rule means exactly what it says, or it is refused when it is written.
//!
//! 1. Deny beats allow.
//! 2. An empty allow list allows every address that is not denied.
//! 3. A client whose address is unknown is refused as soon as there is any rule.
//! 4. IPv4-mapped IPv6 is IPv4, in clients and in rules: `::ffff:203.0.113.0/120` *is*
//!    `203.0.113.0/24`.
//! 5. IPv4 rules never match IPv6 clients, nor the reverse: "everyone" takes `0.0.0.0/0` and
//!    `::/0`.
//! 6. Text that could be read in two ways is refused, never corrected: host bits beyond the prefix,
//!    leading zeros, netmasks, ranges, short forms, zone identifiers, white space, host names.
//!
//! The rules judge the address they are given. Behind a proxy that is not declared as trusted,
//! every client has the address of that proxy.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use serde::de::Error as _;
use serde::ser::SerializeStruct as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use smallvec::SmallVec;

/// The first 96 bits of every IPv4-mapped IPv6 address are the same.
const MAPPED_PREFIX: u8 = 96;

/// A block of addresses, or a single one.
///
/// Parsed from a bare address or from CIDR notation, and printed the same way: a block of one
/// address prints without its prefix. Equal blocks are equal values, however they were written.
///
/// ```
/// use mcp_api_keys::key::Network;
///
/// let office: Network = "203.0.113.0/24".parse()?;
/// assert!(office.contains([203, 0, 113, 7].into()));
/// assert_eq!(office, "::ffff:203.0.113.0/120".parse()?);
///
/// let refused = "203.0.113.7/24".parse::<Network>().unwrap_err();
/// assert!(refused.to_string().ends_with("the block is 203.0.113.0/24"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network(IpNet);

impl Network {
    /// The block of all addresses that share the first `prefix` bits of `address`.
    ///
    /// # Errors
    ///
    /// Refuses a prefix longer than the address, bits set beyond the prefix, and an IPv4-mapped
    /// address with a prefix below 96, which would reach out of IPv4.
    pub fn new(address: IpAddr, prefix: u8) -> Result<Self, ParseNetworkError> {
        let canonical = address.to_canonical();
        let prefix = if canonical.is_ipv4() && address.is_ipv6() {
            prefix
                .checked_sub(MAPPED_PREFIX)
                .ok_or(ParseNetworkError(Problem::ReachesOutOfIpv4))?
        } else {
            prefix
        };
        let block =
            IpNet::new(canonical, prefix).map_err(|_| ParseNetworkError(Problem::PrefixTooLong))?;
        if block.addr() == block.network() {
            Ok(Self(block))
        } else {
            Err(ParseNetworkError(Problem::HostBits(block.trunc())))
        }
    }

    /// Whether `address` is in the block. IPv4-mapped IPv6 counts as IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }

    /// The same for a canonical address, by comparing plain integers, since it is asked on every
    /// request of a key. The block's own address has no bits set beyond its prefix.
    fn holds(&self, client: IpAddr) -> bool {
        match (self.0, client) {
            (IpNet::V4(block), IpAddr::V4(client)) => {
                client.to_bits() & block.netmask().to_bits() == block.addr().to_bits()
            }
            (IpNet::V6(block), IpAddr::V6(client)) => {
                client.to_bits() & block.netmask().to_bits() == block.addr().to_bits()
            }
            _ => false,
        }
    }

    /// Whether every address of `other` is in this block: what delegation asks of a rule.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self.0.contains(&other.0)
    }

    /// Whether the block holds every address of its family (`0.0.0.0/0`, `::/0`).
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.0.prefix_len() == 0
    }
}

impl From<IpAddr> for Network {
    /// The block that holds this address alone.
    fn from(address: IpAddr) -> Self {
        Self(IpNet::from(address.to_canonical()))
    }
}

impl FromStr for Network {
    type Err = ParseNetworkError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Some((address, prefix)) = text.split_once('/') else {
            return parse_address(text).map(Self::from);
        };
        Self::new(parse_address(address)?, parse_prefix(prefix)?)
    }
}

// The parsers of the standard library are as strict as rule 6 wants for addresses (no zone
// identifier, no leading zeros, no short form), and too lenient for numbers (`+8` and `008` pass).
// The tests guard both.
fn parse_address(text: &str) -> Result<IpAddr, ParseNetworkError> {
    text.parse()
        .map_err(|_| ParseNetworkError(Problem::NotAnAddress))
}

fn parse_prefix(text: &str) -> Result<u8, ParseNetworkError> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let padded = text.len() > 1 && text.starts_with('0');
    if !digits || padded {
        return Err(ParseNetworkError(Problem::NotAPrefix));
    }
    text.parse()
        .map_err(|_| ParseNetworkError(Problem::PrefixTooLong))
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.prefix_len() == self.0.max_prefix_len() {
            self.0.addr().fmt(f)
        } else {
            self.0.fmt(f)
        }
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Network({self})")
    }
}

impl Serialize for Network {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

/// Why a text is no [`Network`]. Its `Display` tells the person who wrote the rule what to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseNetworkError(Problem);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Problem {
    NotAnAddress,
    NotAPrefix,
    PrefixTooLong,
    ReachesOutOfIpv4,
    HostBits(IpNet),
}

impl fmt::Display for ParseNetworkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Problem::NotAnAddress => f.write_str(
                "not an IPv4 or IPv6 address: \
                 write `203.0.113.7`, `203.0.113.0/24` or `2001:db8::/32`",
            ),
            Problem::NotAPrefix => {
                f.write_str("the prefix is not a plain number of bits such as the 24 in `/24`")
            }
            Problem::PrefixTooLong => f.write_str(
                "the prefix is longer than the address: at most 32 bits for IPv4, 128 for IPv6",
            ),
            Problem::ReachesOutOfIpv4 => f.write_str(
                "an IPv4-mapped address needs a prefix of at least 96: better write the IPv4 block",
            ),
            Problem::HostBits(block) => {
                write!(
                    f,
                    "host bits are set beyond the prefix: the block is {block}"
                )
            }
        }
    }
}

impl std::error::Error for ParseNetworkError {}

/// The allow and deny lists of one key.
///
/// No rules at all (the default) permit everyone, also a client whose address is unknown.
///
/// ```
/// use mcp_api_keys::key::NetworkRules;
///
/// let rules = NetworkRules::new(vec!["203.0.113.0/24".parse()?], vec!["203.0.113.66".parse()?]);
/// assert!(rules.permits(Some([203, 0, 113, 7].into())));
/// assert!(!rules.permits(Some([203, 0, 113, 66].into())));
/// assert!(!rules.permits(None));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(from = "RuleLists")]
pub struct NetworkRules {
    allow: SmallVec<[Network; 1]>,
    deny: SmallVec<[Network; 1]>,
}

impl NetworkRules {
    /// Rules from the two lists; an empty `allow` allows all that `deny` does not hold.
    #[must_use]
    pub fn new(allow: Vec<Network>, deny: Vec<Network>) -> Self {
        Self {
            allow: allow.into_iter().collect(),
            deny: deny.into_iter().collect(),
        }
    }

    /// The blocks a client must be in, unless there are none.
    #[must_use]
    pub fn allow(&self) -> &[Network] {
        &self.allow
    }

    /// The blocks a client must not be in.
    #[must_use]
    pub fn deny(&self) -> &[Network] {
        &self.deny
    }

    /// Whether there is no rule at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.allow.is_empty() && self.deny.is_empty()
    }

    /// Whether a client may use the key; `None` is a client whose address is unknown.
    #[must_use]
    pub fn permits(&self, client: Option<IpAddr>) -> bool {
        if self.is_empty() {
            return true;
        }
        let Some(client) = client.map(|address| address.to_canonical()) else {
            return false;
        };
        let is_in = |blocks: &[Network]| blocks.iter().any(|block| block.holds(client));
        !is_in(&self.deny) && (self.allow.is_empty() || is_in(&self.allow))
    }

    /// Whether a key with these rules may create one with the `other` rules.
    ///
    /// Each allowed block of the other lies in a single allowed block of this one, and each block
    /// denied here is denied there; so whoever the other permits, these rules permit.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let within = |block: &Network| self.allow.iter().any(|wider| wider.covers(block));
        let inherited = |block: &Network| other.deny.iter().any(|wider| wider.covers(block));
        let allow =
            self.allow.is_empty() || (!other.allow.is_empty() && other.allow.iter().all(within));
        allow && self.deny.iter().all(inherited)
    }
}

impl fmt::Debug for NetworkRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NetworkRules")
            .field("allow", &self.allow)
            .field("deny", &self.deny)
            .finish()
    }
}

impl Serialize for NetworkRules {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut lists = serializer.serialize_struct("NetworkRules", 2)?;
        lists.serialize_field("allow", self.allow())?;
        lists.serialize_field("deny", self.deny())?;
        lists.end()
    }
}

/// The written form of [`NetworkRules`]. A misspelt list name is an error: ignored, it would open
/// the key.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleLists {
    #[serde(default)]
    allow: Vec<Network>,
    #[serde(default)]
    deny: Vec<Network>,
}

impl From<RuleLists> for NetworkRules {
    fn from(lists: RuleLists) -> Self {
        Self::new(lists.allow, lists.deny)
    }
}

#[cfg(test)]
mod tests;
