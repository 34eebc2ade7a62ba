//! Quotas: so much per calendar day or month, as values.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// At most so many units per day or month of the calendar, in UTC.
///
/// A [`RateLimit`](super::RateLimit) spreads use evenly and lives in memory; a quota is a budget: it
/// may be used up at once, is there again when the next day or month begins, and is counted in the
/// store, so that it holds over restarts and for all processes together. A request costs one unit
/// unless the layer says otherwise.
///
/// ```
/// use mcp_api_keys::key::Quota;
///
/// let quota: Quota = "100000/month".parse()?;
/// assert_eq!(quota, Quota::per_month(100_000));
/// assert_eq!(quota.to_string(), "100000/month");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    #[serde(default = "default_name")]
    name: String,
    amount: u64,
    per: QuotaPeriod,
}

fn default_name() -> String {
    Quota::DEFAULT_NAME.to_owned()
}

/// After which time a [`Quota`] is whole again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum QuotaPeriod {
    /// From midnight to midnight, UTC.
    Day,
    /// From the first of a month to the first of the next, UTC.
    Month,
}

impl QuotaPeriod {
    /// The period that `now` is in: when it began, and when the next one begins.
    pub fn around(self, now: Timestamp) -> (Timestamp, Timestamp) {
        match self {
            Self::Day => now.day(),
            Self::Month => now.month(),
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Month => "month",
        }
    }
}

impl Quota {
    /// The name of a quota that was given none.
    pub const DEFAULT_NAME: &str = "quota";

    /// The largest amount.
    pub const MAX: u64 = 1 << 53;

    /// `amount` units a day.
    pub fn per_day(amount: u64) -> Self {
        Self::new(amount, QuotaPeriod::Day)
    }

    /// `amount` units a month.
    pub fn per_month(amount: u64) -> Self {
        Self::new(amount, QuotaPeriod::Month)
    }

    /// `amount` units per `period`. Zero, and more than 2^53, are refused when the key is issued or
    /// changed.
    pub fn new(amount: u64, period: QuotaPeriod) -> Self {
        Self {
            name: default_name(),
            amount,
            per: period,
        }
    }

    /// The same quota under a name of its own: 1 to 32 lower-case letters, digits, `-` or `_`. What
    /// was used is noted under the name: a quota that is renamed starts afresh.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The quota's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many units per period.
    pub fn amount(&self) -> u64 {
        self.amount
    }

    /// The period.
    pub fn period(&self) -> QuotaPeriod {
        self.per
    }

    /// Whether it has the name and the period of `bound` and never admits more.
    pub(crate) fn is_within(&self, bound: &Self) -> bool {
        self.name == bound.name && self.per == bound.per && self.amount <= bound.amount
    }

    /// Says what is wrong with the quota, if anything is.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        if !super::limit::is_name(&self.name) {
            Some("a quota's name must be 1 to 32 lower-case letters, digits, '-' or '_'")
        } else if self.amount == 0 {
            Some("a quota must admit at least one unit")
        } else if self.amount > Self::MAX {
            Some("a quota must be at most 2^53")
        } else {
            None
        }
    }
}

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.amount, self.per.as_str())
    }
}

impl FromStr for Quota {
    type Err = ParseQuotaError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (amount, period) = text.split_once('/').ok_or(ParseQuotaError)?;
        if !amount.bytes().all(|b| b.is_ascii_digit()) {
            return Err(ParseQuotaError);
        }
        let amount = amount.parse().map_err(|_| ParseQuotaError)?;
        let period = match period {
            "d" | "day" => QuotaPeriod::Day,
            "month" => QuotaPeriod::Month,
            _ => return Err(ParseQuotaError),
        };
        Some(Self::new(amount, period))
            .filter(|quota| quota.fault().is_none())
            .ok_or(ParseQuotaError)
    }
}

/// A text that is no quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParseQuotaError;

impl fmt::Display for ParseQuotaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a quota such as 1000/day or 100000/month")
    }
}

impl std::error::Error for ParseQuotaError {}

/// How much of a quota has been used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct QuotaStatus {
    /// The quota.
    pub quota: Quota,
    /// How many units were taken from it in this period. Processes take several at a time, so some
    /// of these may not be used yet.
    pub used: u64,
    /// When it is whole again.
    pub resets_at: Timestamp,
}

impl QuotaStatus {
    /// The standing of `quota` at `now`.
    pub fn new(quota: Quota, used: u64, now: Timestamp) -> Self {
        let (_, resets_at) = quota.period().around(now);
        Self {
            quota,
            used,
            resets_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printing_and_parsing_are_inverse_and_nonsense_is_refused() {
        for text in ["1000/day", "9007199254740992/month"] {
            assert_eq!(text.parse::<Quota>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "1000",
            "/day",
            "0/day",
            "-1/day",
            "+1/day",
            "1/min",
            "1/day ",
            "9007199254740993/day",
        ] {
            assert_eq!(text.parse::<Quota>(), Err(ParseQuotaError), "{text}");
        }
    }
}
