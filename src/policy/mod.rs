//! What a genuine key may do: pure decisions, one file a rule.
//!
//! None of them reads a clock, a store or a header of its own accord; they are given [`Facts`].

mod access;
mod lifetime;
mod network;
mod scope;
mod server;
mod signing;

use std::fmt;
use std::net::IpAddr;

use http::request::Parts;

pub(crate) use self::access::check_full_access;
pub(crate) use self::lifetime::check_lifetime;
pub(crate) use self::network::check_network;
pub use self::scope::ScopeRule;
pub(crate) use self::server::ServerRule;
pub(crate) use self::signing::check_signing;
use crate::clock::Moment;
use crate::key::KeyInfo;
use crate::rejection::Rejection;

/// A rule of your own for keys that are genuine and in force.
///
/// It is asked on every request, after the built-in rules for address, server and scope and before
/// any limit is spent; twice, if the key is changed at that very moment. It must be quick, must not
/// block, and must not count.
///
/// ```
/// use mcp_api_keys::policy::{Facts, Policy};
/// use mcp_api_keys::Rejection;
///
/// #[derive(Debug)]
/// struct ReadOnlyOnSundays;
///
/// impl Policy for ReadOnlyOnSundays {
///     fn check(&self, facts: &Facts<'_>) -> Result<(), Rejection> {
///         let day = facts.now().wall.as_millis().div_euclid(86_400_000);
///         // The first of January 1970 was a Thursday.
///         let sunday = (day + 4).rem_euclid(7) == 0;
///         if sunday && facts.head().method != http::Method::GET {
///             return Err(Rejection::by_policy("sunday", "Only reads are allowed on Sundays"));
///         }
///         Ok(())
///     }
/// }
/// ```
pub trait Policy: fmt::Debug + Send + Sync + 'static {
    /// Allows the request, or says why not.
    fn check(&self, facts: &Facts<'_>) -> Result<(), Rejection>;
}

/// What a [`Policy`] may look at.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    key: &'a KeyInfo,
    head: &'a Parts,
    client: Option<IpAddr>,
    now: Moment,
}

impl<'a> Facts<'a> {
    pub(crate) fn new(
        key: &'a KeyInfo,
        head: &'a Parts,
        client: Option<IpAddr>,
        now: Moment,
    ) -> Self {
        Self {
            key,
            head,
            client,
            now,
        }
    }

    /// The key.
    pub fn key(&self) -> &'a KeyInfo {
        self.key
    }

    /// The request's head. The credential still stands in it: do not log it.
    pub fn head(&self) -> &'a Parts {
        self.head
    }

    /// The caller's address, if it is known.
    pub fn client(&self) -> Option<IpAddr> {
        self.client
    }

    /// The time of the request.
    pub fn now(&self) -> Moment {
        self.now
    }
}
