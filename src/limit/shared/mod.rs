//! Rate limits that several processes share.

mod batches;
mod outage;

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

pub(crate) use self::outage::{Answer, Taking};
pub use self::outage::{OutageMode, SharedLimits};
use crate::error::Error;
use crate::key::{KeyId, LimitStatus, RateLimit};

/// Counts the rate limits of keys for several processes together.
///
/// It is asked about a request that nothing else refuses, and that is not known to be over a limit.
/// [`redis`](crate::redis) has one; `testing::limiter` (feature `testing`) is the suite for others.
///
/// # Contract
///
/// 1. A request is charged to all limits or to none. Where several refuse, the first is named.
/// 2. A limit counts as [`RateLimit`] says (GCRA): at most its burst at once, and its rate after
///    that, however many ask at the same moment.
/// 3. What is counted is counted under the key and the limit's name. If the rate or burst of a limit
///    changes, what was spent stays spent: the time until the whole burst is there again.
/// 4. Time is the limiter's own, the same for all who ask. A limit that has its whole burst again may
///    be forgotten, no other.
/// 5. It answers, or fails, within the time that a request may wait for it. While it knows that it
///    cannot answer it fails at once. After a second it is taken to have failed.
#[async_trait]
pub trait SharedLimiter: fmt::Debug + Send + Sync + 'static {
    /// Charges a request of `key` to these limits. There is at least one; their names differ; no cost
    /// is larger than its limit's burst.
    ///
    /// # Errors
    ///
    /// `Unavailable`, if it cannot tell. What happens then is for [`OutageMode`] to say.
    async fn take(&self, key: KeyId, charges: &[Charge]) -> Result<Decision, Error>;

    /// Takes back what a request was charged that was refused after all.
    ///
    /// # Errors
    ///
    /// `Unavailable`, if that may not have happened. It is then left at that.
    async fn give_back(&self, key: KeyId, charges: &[Charge]) -> Result<(), Error>;
}

/// What a request takes of one limit.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Charge {
    /// The limit.
    pub limit: Arc<RateLimit>,
    /// How much of it.
    pub cost: NonZeroU32,
}

impl Charge {
    /// A charge of `cost` to `limit`.
    pub fn new(limit: Arc<RateLimit>, cost: NonZeroU32) -> Self {
        Self { limit, cost }
    }
}

/// What a [`SharedLimiter`] decided.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "limiters outside the crate build it, and there is no third answer"
)]
pub enum Decision {
    /// All limits were charged. Where they stand now, in the order of the charges.
    Taken(Vec<LimitStatus>),
    /// No limit was charged.
    Refused {
        /// The limit that refused, with nothing remaining.
        limit: LimitStatus,
        /// When it would admit this request, if nobody else asked.
        retry_after: Duration,
    },
}

macro_rules! forward_to_inner {
    ($($pointer:ty),+) => {$(
        #[async_trait]
        impl<T: SharedLimiter + ?Sized> SharedLimiter for $pointer {
            async fn take(&self, key: KeyId, charges: &[Charge]) -> Result<Decision, Error> {
                (**self).take(key, charges).await
            }

            async fn give_back(&self, key: KeyId, charges: &[Charge]) -> Result<(), Error> {
                (**self).give_back(key, charges).await
            }
        }
    )+};
}

forward_to_inner!(Box<T>, Arc<T>);
