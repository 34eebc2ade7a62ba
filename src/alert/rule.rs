//! What there is to be alerted to.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What may look wrong about a key. In brackets: in which unit an alert states value and threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AlertRule {
    /// It is used much more than usual (requests in a minute).
    Spike,
    /// Many of its requests are refused or fail (percent). Those over a limit do not count.
    Errors,
    /// It is used from a network that it was not used from before (times).
    NewNetwork,
    /// Somebody presents it although it is revoked, or its secret was replaced (times).
    RevokedUsed,
    /// Somebody presents it although it has expired (times).
    ExpiredUsed,
    /// Its requests are about to meet a rate limit, or do (percent of the limit).
    NearLimit,
    /// A quota of it is about to be used up, or is (percent of the quota).
    NearQuota,
    /// It expires soon (hours until then).
    ExpiringSoon,
    /// It was not used for long, and works all the same (days).
    Idle,
}

impl AlertRule {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Spike,
        Self::Errors,
        Self::NewNetwork,
        Self::RevokedUsed,
        Self::ExpiredUsed,
        Self::NearLimit,
        Self::NearQuota,
        Self::ExpiringSoon,
        Self::Idle,
    ];

    /// The rule in a word, such as `new_network`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Spike => "spike",
            Self::Errors => "errors",
            Self::NewNetwork => "new_network",
            Self::RevokedUsed => "revoked_used",
            Self::ExpiredUsed => "expired_used",
            Self::NearLimit => "near_limit",
            Self::NearQuota => "near_quota",
            Self::ExpiringSoon => "expiring_soon",
            Self::Idle => "idle",
        }
    }

    /// A bit of its own.
    pub(super) const fn bit(self) -> u16 {
        1 << self as u8
    }

    /// Whether the rule's reason stands until it is known to be gone, rather than until it was not
    /// seen for a while.
    pub(super) const fn stands_until_told(self) -> bool {
        matches!(self, Self::NearQuota | Self::ExpiringSoon | Self::Idle)
    }
}

impl fmt::Display for AlertRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for AlertRule {
    type Err = UnknownAlertRule;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut all = Self::ALL.into_iter();
        all.find(|rule| rule.as_str() == text)
            .ok_or(UnknownAlertRule(()))
    }
}

/// A text that names no rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownAlertRule(());

impl fmt::Display for UnknownAlertRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no such rule; those are")?;
        for (place, rule) in AlertRule::ALL.iter().enumerate() {
            write!(f, "{} {rule}", if place == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl std::error::Error for UnknownAlertRule {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_has_a_word_and_a_bit_of_its_own() {
        let mut bits = 0;
        for rule in AlertRule::ALL {
            assert_eq!(rule.as_str().parse(), Ok(rule));
            assert_eq!(serde_json::to_value(rule).unwrap(), rule.as_str());
            assert_eq!(bits & rule.bit(), 0);
            bits |= rule.bit();
        }
        assert!("".parse::<AlertRule>().is_err());
        let error = "spikes".parse::<AlertRule>().unwrap_err();
        assert!(error.to_string().contains("spike, errors"), "{error}");
    }
}
