//! Who is told of usage as it happens.

use std::fmt;

use std::net::IpAddr;

use super::{LastUse, UsageDelta};
use crate::clock::Timestamp;
use crate::key::KeyId;

/// Is told of usage about once a second, by the recorder's task and not by a request's.
///
/// What it does must be quick, since nothing is written down meanwhile: hand on what takes longer. A
/// panic ends nothing but this call.
pub trait UsageObserver: fmt::Debug + Send + Sync + 'static {
    /// Whether anybody is to be told at present. An update that nobody listens to is not put together.
    fn listens(&self) -> bool;

    /// Usage was noted.
    fn observed(&self, update: &UsageUpdate<'_>);
}

/// What was noted since the last update.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct UsageUpdate<'a> {
    /// When it was added up.
    pub at: Timestamp,
    /// Requests, added up.
    pub deltas: &'a [UsageDelta],
    /// Keys that were used, and from where. A key that is used more often than twice a second is not
    /// seen each time.
    pub uses: &'a [(KeyId, LastUse)],
    /// Genuine keys whose requests were turned away: the last request of each key and reason.
    pub refusals: &'a [UsageRefusal],
}

/// That a request of a genuine key was turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UsageRefusal {
    /// Whose it was.
    pub key: KeyId,
    /// Why: [`RejectionKind::as_str`](crate::RejectionKind::as_str).
    pub reason: &'static str,
    /// From where it came, if the address is known.
    pub address: Option<IpAddr>,
    /// When.
    pub at: Timestamp,
}

impl UsageRefusal {
    /// That a request of `key` was turned away.
    pub fn new(key: KeyId, reason: &'static str, address: Option<IpAddr>, at: Timestamp) -> Self {
        Self {
            key,
            reason,
            address,
            at,
        }
    }
}

/// What an update shows.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) at: Timestamp,
    pub(super) deltas: Vec<UsageDelta>,
    pub(super) uses: Vec<(KeyId, LastUse)>,
    pub(super) refusals: Vec<UsageRefusal>,
}

impl Seen {
    pub(super) fn update(&self) -> UsageUpdate<'_> {
        UsageUpdate {
            at: self.at,
            deltas: &self.deltas,
            uses: &self.uses,
            refusals: &self.refusals,
        }
    }
}
