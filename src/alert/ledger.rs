//! The port through which alerts are kept and read.

use std::cmp::Reverse;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{Acknowledged, Alert, AlertRule, AlertState};
use crate::clock::Timestamp;
use crate::error::Error;
use crate::key::{KeyId, Network};

/// A place where alerts are kept, and what is usual for keys.
///
/// # Contract
///
/// 1. There is one alert for a key and a rule. [`put`](Self::put) replaces it; its acknowledgement
///    stays if it was raised at the same time as the new one, and goes otherwise.
/// 2. [`read`](Self::read) gives those that match: the open ones first, and of either kind the latest
///    raised first. What was raised at the same time stands in the order of the texts of keys and rules.
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
    /// Only those in this state.
    pub state: Option<AlertState>,
    /// Only those that come after this place in the order.
    pub after: Option<AlertPlace>,
    /// At most so many.
    pub most: usize,
}

/// Where an alert stands in the order of the list.
///
/// Its text holds nothing that would have to be escaped in a URL.
///
/// ```
/// use mcp_api_keys::alert::{Alert, AlertPlace, AlertRule};
/// use mcp_api_keys::{Timestamp, key::KeyId};
///
/// let now = Timestamp::from_millis(1_785_232_800_000);
/// let place = Alert::new(KeyId::generate(now), AlertRule::Idle, now, 95, 90).place();
/// assert_eq!(place.to_string().parse(), Ok(place));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "stores outside the crate compare it"
)]
pub struct AlertPlace {
    /// Whether it is open.
    pub state: AlertState,
    /// When it was raised.
    pub raised_at: Timestamp,
    /// Which key it is about.
    pub key: KeyId,
    /// What about it.
    pub rule: AlertRule,
}

impl AlertPlace {
    /// Whether this place comes after `other`: the order of every ledger.
    pub fn is_after(&self, other: &Self) -> bool {
        self.rank() > other.rank()
    }

    /// Places compare as these do.
    pub(crate) fn rank(&self) -> (bool, Reverse<Timestamp>, String, &'static str) {
        (
            self.state != AlertState::Open,
            Reverse(self.raised_at),
            self.key.to_string(),
            self.rule.as_str(),
        )
    }
}

impl fmt::Display for AlertPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, rule, .. } = self;
        let (state, at) = (self.state.as_str(), self.raised_at.as_millis());
        write!(f, "{state}.{at}.{key}.{rule}")
    }
}

impl FromStr for AlertPlace {
    type Err = UnknownPlace;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split('.');
        let mut part = || parts.next().ok_or(UnknownPlace(()));
        let (state, at, key, rule) = (part()?, part()?, part()?, part()?);
        if parts.next().is_some() {
            return Err(UnknownPlace(()));
        }
        Ok(Self {
            state: state.parse().map_err(|_| UnknownPlace(()))?,
            raised_at: Timestamp::from_millis(at.parse().map_err(|_| UnknownPlace(()))?),
            key: key.parse().map_err(|_| UnknownPlace(()))?,
            rule: rule.parse().map_err(|_| UnknownPlace(()))?,
        })
    }
}

/// A text that names no place in the list of alerts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownPlace(());

impl fmt::Display for UnknownPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("is no place in the list of alerts")
    }
}

impl std::error::Error for UnknownPlace {}

impl AlertRequest {
    /// The first of all: the open ones, and then the latest of the others.
    pub fn latest(most: usize) -> Self {
        Self {
            keys: None,
            rule: None,
            state: None,
            after: None,
            most,
        }
    }

    /// Only those that are open.
    #[must_use]
    pub fn open(self) -> Self {
        self.in_state(AlertState::Open)
    }

    /// Only those in this state.
    #[must_use]
    pub fn in_state(mut self, state: AlertState) -> Self {
        self.state = Some(state);
        self
    }

    /// Only those after this place: the last one's of the page before.
    #[must_use]
    pub fn after(mut self, place: AlertPlace) -> Self {
        self.after = Some(place);
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
            && self.state.is_none_or(|state| alert.state == state)
            && self
                .after
                .is_none_or(|place| alert.place().is_after(&place))
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
