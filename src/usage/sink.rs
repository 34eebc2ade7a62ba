//! The port through which usage is stored and read.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::{LastUse, UsageBatch, UsagePoint, UsageRequest};
use crate::clock::Timestamp;
use crate::error::Error;
use crate::key::KeyId;

/// A place where usage is kept.
///
/// # Contract
///
/// 1. [`write`](Self::write) adds a whole batch or nothing. A batch whose id was taken already
///    changes nothing and succeeds: its writer does not know that it was taken.
/// 2. Every number of a row is added to what is stored for its hour and for its day (UTC).
/// 3. [`read`](Self::read) gives one point for each step and label with a request in it, by time and
///    then by label; `All` counts every request, of keys and of none.
/// 4. A sink that is also a [`KeyStore`](crate::store::KeyStore) removes a key's usage when the key
///    is deleted, and keeps what it counted for [`UsageOf::All`](super::UsageOf::All). A key that is
///    deleted already gets none.
/// 5. A sink that cannot answer says [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable).
///
/// The suite in `testing::usage` (feature `testing`) checks it. The trait has no default bodies: a
/// wrapper that forgets a method does not compile.
#[async_trait]
pub trait UsageSink: fmt::Debug + Send + Sync + 'static {
    /// Adds a batch.
    async fn write(&self, batch: &UsageBatch) -> Result<(), Error>;

    /// Reads a series.
    async fn read(&self, request: &UsageRequest) -> Result<Vec<UsagePoint>, Error>;

    /// Reads when these keys were last used, in no particular order.
    async fn last_uses(&self, keys: &[KeyId]) -> Result<Vec<(KeyId, LastUse)>, Error>;

    /// Forgets some of what is older than is to be kept. Returns whether there is more.
    async fn prune(&self, kept: UsageRetention, now: Timestamp) -> Result<bool, Error>;
}

/// How long usage is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "there are hours and days")]
pub struct UsageRetention {
    /// What is told by the hour. 30 days, unless set otherwise.
    pub hours: Duration,
    /// What is told by the day. 400 days, unless set otherwise.
    pub days: Duration,
}

impl Default for UsageRetention {
    fn default() -> Self {
        const DAY: u64 = 86_400;
        Self {
            hours: Duration::from_secs(30 * DAY),
            days: Duration::from_secs(400 * DAY),
        }
    }
}

macro_rules! forward_to_inner {
    ($($pointer:ty),+) => {$(
        #[async_trait]
        impl<T: UsageSink + ?Sized> UsageSink for $pointer {
            async fn write(&self, batch: &UsageBatch) -> Result<(), Error> {
                (**self).write(batch).await
            }

            async fn read(&self, request: &UsageRequest) -> Result<Vec<UsagePoint>, Error> {
                (**self).read(request).await
            }

            async fn last_uses(&self, keys: &[KeyId]) -> Result<Vec<(KeyId, LastUse)>, Error> {
                (**self).last_uses(keys).await
            }

            async fn prune(&self, kept: UsageRetention, now: Timestamp) -> Result<bool, Error> {
                (**self).prune(kept, now).await
            }
        }
    )+};
}

forward_to_inner!(Box<T>, Arc<T>);
