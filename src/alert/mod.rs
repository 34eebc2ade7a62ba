//! What looks wrong about a key: rules over what it does, and the alerts that they raise.
//!
//! 1. **One alert for a key and a rule.** It is raised once, stands while its reason does, and is
//!    resolved once. After that the rule is silent about the key for a while.
//! 2. **No storms.** At most so many alerts are told in a minute; of the rest the number is told. They
//!    stand in the list all the same.
//! 3. **What is held is bounded**: the keys that are watched, the networks of each, the open alerts. The
//!    keys that were not seen for longest are forgotten first, and then learned anew.
//! 4. **A restart raises nothing anew**: open alerts, and what is usual for a key, are kept in an
//!    [`AlertLedger`].
//!
//! Nothing here reads a clock or a store: what was seen, and when, is told to the rules. Each process
//! judges what it sees itself. A key that is used at several nodes has a baseline at each of them, and
//! one entry in the list.

mod habit;
mod ledger;
mod rule;
mod rules;
mod settings;
mod standing;

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use self::ledger::{AlertLedger, AlertPlace, AlertRequest, KeyHabits, UnknownPlace};
pub use self::rule::{AlertRule, UnknownAlertRule};
pub(crate) use self::rules::{KeyFacts, Rules, Tally};
pub use self::settings::AlertSettings;
pub(crate) use self::standing::Notice;
use crate::clock::Timestamp;
use crate::key::KeyId;

/// That something looks wrong about a key.
///
/// There is one for a key and a rule; when the rule has something to say again, it takes the place of
/// the resolved one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Alert {
    /// Which key.
    pub key: KeyId,
    /// What about it.
    pub rule: AlertRule,
    /// Whether it still is so.
    pub state: AlertState,
    /// Since when.
    pub raised_at: Timestamp,
    /// When it was seen last.
    pub seen_at: Timestamp,
    /// Until when, if it is over.
    pub resolved_at: Option<Timestamp>,
    /// What was measured when it was raised: [`AlertRule`] tells in which unit.
    pub value: u64,
    /// From what on it is raised.
    pub threshold: u64,
    /// The address that it is about, if it is about one.
    pub address: Option<IpAddr>,
    /// Who has seen to it.
    pub acknowledged: Option<Acknowledged>,
}

/// Whether an alert's reason still stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AlertState {
    /// It does.
    Open,
    /// It does not any more.
    Resolved,
}

impl AlertState {
    /// The state in a word: `open` or `resolved`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Resolved => "resolved",
        }
    }
}

impl fmt::Display for AlertState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for AlertState {
    type Err = UnknownAlertState;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "open" => Ok(Self::Open),
            "resolved" => Ok(Self::Resolved),
            _ => Err(UnknownAlertState(())),
        }
    }
}

/// A text that names no state of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownAlertState(());

impl fmt::Display for UnknownAlertState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("must be open or resolved")
    }
}

impl std::error::Error for UnknownAlertState {}

/// That somebody has seen to an alert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(
    clippy::exhaustive_structs,
    reason = "stores outside the crate build it"
)]
pub struct Acknowledged {
    /// Who.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

impl Alert {
    /// An alert as it is raised.
    pub fn new(key: KeyId, rule: AlertRule, at: Timestamp, value: u64, threshold: u64) -> Self {
        Self {
            key,
            rule,
            state: AlertState::Open,
            raised_at: at,
            seen_at: at,
            resolved_at: None,
            value,
            threshold,
            address: None,
            acknowledged: None,
        }
    }

    /// Whether its reason still stands.
    pub fn is_open(&self) -> bool {
        self.state == AlertState::Open
    }

    /// Where it stands in the order of the list.
    pub fn place(&self) -> AlertPlace {
        AlertPlace {
            state: self.state,
            raised_at: self.raised_at,
            key: self.key,
            rule: self.rule,
        }
    }

    /// What it says, in a sentence without the key.
    ///
    /// ```
    /// use mcp_api_keys::alert::{Alert, AlertRule};
    /// use mcp_api_keys::{Timestamp, key::KeyId};
    ///
    /// let now = Timestamp::from_millis(1_785_232_800_000);
    /// let alert = Alert::new(KeyId::generate(now), AlertRule::Errors, now, 80, 50);
    /// assert_eq!(alert.message(), "80 % of its requests fail (50 % is much)");
    /// ```
    pub fn message(&self) -> String {
        let (value, threshold) = (self.value, self.threshold);
        let from = || match self.address {
            Some(address) => format!(" from {address}"),
            None => String::new(),
        };
        match self.rule {
            AlertRule::Spike => {
                format!("{value} requests in a minute, where less than {threshold} are usual")
            }
            AlertRule::Errors => {
                format!("{value} % of its requests fail ({threshold} % is much)")
            }
            AlertRule::NewNetwork => format!("used{} for the first time", from()),
            AlertRule::RevokedUsed => format!("presented{} although it is revoked", from()),
            AlertRule::ExpiredUsed => format!("presented{} although it has expired", from()),
            AlertRule::NearLimit => {
                format!("{value} % of a rate limit is used (told from {threshold} % on)")
            }
            AlertRule::NearQuota => {
                format!("{value} % of a quota is used (told from {threshold} % on)")
            }
            AlertRule::ExpiringSoon => {
                format!("expires in {value} hours (told from {threshold} hours on)")
            }
            AlertRule::Idle => format!("not used for {value} days (told from {threshold} days on)"),
        }
    }
}
