//! Who is told of usage as it happens.

use std::fmt;

use super::{LastUse, UsageDelta};
use crate::clock::Timestamp;
use crate::key::KeyId;

/// Is told of usage about once a second, by the recorder's task and not by a request's.
///
/// What it does must be quick, since nothing is written down meanwhile: hand on what takes longer. A
/// panic ends nothing but this call.
pub trait UsageObserver: fmt::Debug + Send + Sync + 'static {
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
}
