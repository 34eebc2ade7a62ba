//! The port through which alerts are kept and read.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{Acknowledged, Alert, AlertRule};
use crate::clock::Timestamp;
use crate::error::Error;
use crate::key::{KeyId, Network};

/// A place where alerts are kept, and what is usual for keys.
///
/// # Contract
///
/// 1. There is one alert for a key and a rule. [`put`](Self::put) replaces it; its acknowledgement
///    stays if it was raised at the same time as the new one, and goes otherwise.
/// 2. [`read`](Self::read) gives those that match, the latest raised first.
/// 3. A ledger that is also a [`KeyStore`](crate::store::KeyStore) forgets what it holds of a key when
///    that is deleted, and takes nothing of a key that is not there.
/// 4. A ledger that cannot answer says [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable).
///
/// The trait has no default bodies: a wrapper that forgets a method does not compile.
#[async_trait]
pub trait AlertLedger: fmt::Debug + Send + Sync + 'static {
    /// Writes alerts, all or none.
    async fn put(&self, alerts: &[Alert]) -> Result<(), Error>;

    /// Reads alerts.
    async fn read(&self, request: &AlertRequest) -> Result<Vec<Alert>, Error>;

    /// Notes who has seen to an alert. Returns whether there is one.
    async fn acknowledge(
        &self,
        key: KeyId,
        rule: AlertRule,
        by: &Acknowledged,
    ) -> Result<bool, Error>;

    /// Writes what is usual for keys.
    async fn put_habits(&self, habits: &[KeyHabits]) -> Result<(), Error>;

    /// Reads what is usual for keys, of at most so many, those that were seen last.
    async fn habits(&self, most: usize) -> Result<Vec<KeyHabits>, Error>;

    /// Forgets alerts that were resolved before `time`, and the habits of keys not seen since.
    async fn forget_before(&self, time: Timestamp) -> Result<(), Error>;
}

/// Which alerts to read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AlertRequest {
    /// Only those about these keys.
    pub keys: Option<Vec<KeyId>>,
    /// Only those of this rule.
    pub rule: Option<AlertRule>,
    /// Only those that are open.
    pub open: bool,
    /// At most so many.
    pub most: usize,
}

impl AlertRequest {
    /// The latest of all.
    pub fn latest(most: usize) -> Self {
        Self {
            keys: None,
            rule: None,
            open: false,
            most,
        }
    }

    /// Only those that are open.
    #[must_use]
    pub fn open(mut self) -> Self {
        self.open = true;
        self
    }

    /// Only those of this rule.
    #[must_use]
    pub fn of_rule(mut self, rule: AlertRule) -> Self {
        self.rule = Some(rule);
        self
    }

    /// Only those about this key.
    #[must_use]
    pub fn of_key(mut self, key: KeyId) -> Self {
        self.keys = Some(vec![key]);
        self
    }

    /// Whether `alert` matches: the definition that every ledger's queries must agree with.
    pub fn matches(&self, alert: &Alert) -> bool {
        self.keys
            .as_ref()
            .is_none_or(|keys| keys.contains(&alert.key))
            && self.rule.is_none_or(|rule| alert.rule == rule)
            && (!self.open || alert.is_open())
    }
}

/// What is usual for a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(
    clippy::exhaustive_structs,
    reason = "stores outside the crate build it"
)]
pub struct KeyHabits {
    /// The key.
    pub key: KeyId,
    /// When it was seen.
    pub seen_at: Timestamp,
    /// The networks that it was used from, the last ones at the end.
    pub networks: Vec<Network>,
    /// How many requests it makes in a minute in which it is used, in thousandths.
    pub per_minute: u64,
    /// How many such minutes that was learned from.
    pub minutes: u32,
}

macro_rules! forward_to_inner {
    ($($pointer:ty),+) => {$(
        #[async_trait]
        impl<T: AlertLedger + ?Sized> AlertLedger for $pointer {
            async fn put(&self, alerts: &[Alert]) -> Result<(), Error> {
                (**self).put(alerts).await
            }

            async fn read(&self, request: &AlertRequest) -> Result<Vec<Alert>, Error> {
                (**self).read(request).await
            }

            async fn acknowledge(&self, key: KeyId, rule: AlertRule, by: &Acknowledged) -> Result<bool, Error> {
                (**self).acknowledge(key, rule, by).await
            }

            async fn put_habits(&self, habits: &[KeyHabits]) -> Result<(), Error> {
                (**self).put_habits(habits).await
            }

            async fn habits(&self, most: usize) -> Result<Vec<KeyHabits>, Error> {
                (**self).habits(most).await
            }

            async fn forget_before(&self, time: Timestamp) -> Result<(), Error> {
                (**self).forget_before(time).await
            }
        }
    )+};
}

forward_to_inner!(Box<T>, Arc<T>);
