//! What is worth an alert.

use std::time::Duration;

use super::AlertRule;

/// When rules raise alerts, and how many are told. The defaults are meant to be silent about a healthy
/// fleet of keys.
///
/// ```
/// use std::time::Duration;
/// use mcp_api_keys::alert::{AlertRule, AlertSettings};
///
/// let settings = AlertSettings::default()
///     .without(AlertRule::Idle)
///     .spike(10, 1_000)
///     .expiring_within(Duration::from_secs(14 * 86_400));
/// # let _ = settings;
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct AlertSettings {
    pub(super) off: u16,
    pub(super) spike_factor: u32,
    pub(super) spike_requests: u32,
    pub(super) error_percent: u32,
    pub(super) error_requests: u32,
    pub(super) limit_percent: u32,
    pub(super) quota_percent: u32,
    pub(super) expiring_within: Duration,
    pub(super) idle_for: Duration,
    pub(super) cool_down: Duration,
    pub(super) told_per_minute: u32,
    pub(super) keys: usize,
    pub(super) open: usize,
}

impl Default for AlertSettings {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(86_400);
        Self {
            off: 0,
            spike_factor: 5,
            spike_requests: 100,
            error_percent: 50,
            error_requests: 50,
            limit_percent: 80,
            quota_percent: 80,
            expiring_within: DAY * 7,
            idle_for: DAY * 90,
            cool_down: Duration::from_secs(3_600),
            told_per_minute: 30,
            keys: 50_000,
            open: 10_000,
        }
    }
}

impl AlertSettings {
    /// Switches a rule off.
    pub fn without(mut self, rule: AlertRule) -> Self {
        self.off |= rule.bit();
        self
    }

    /// Raises [`Spike`](AlertRule::Spike) when a key makes `factor` times as many requests in a minute
    /// as in those minutes of the last hours in which it was used, and at least `requests`. Default: 5
    /// times and 100. A key is only judged after ten such minutes.
    pub fn spike(mut self, factor: u32, requests: u32) -> Self {
        (self.spike_factor, self.spike_requests) = (factor.max(2), requests.max(1));
        self
    }

    /// Raises [`Errors`](AlertRule::Errors) when so many percent of the requests of five minutes were
    /// refused or failed on the server's side, of at least `requests`. Default: 50 percent of 50.
    pub fn errors(mut self, percent: u32, requests: u32) -> Self {
        (self.error_percent, self.error_requests) = (percent.clamp(1, 100), requests.max(1));
        self
    }

    /// Raises [`NearLimit`](AlertRule::NearLimit) from this many percent of a rate limit on, or when
    /// ten requests of five minutes were over it. Default: 80.
    pub fn near_limit(mut self, percent: u32) -> Self {
        self.limit_percent = percent.clamp(1, 100);
        self
    }

    /// Raises [`NearQuota`](AlertRule::NearQuota) from this many percent of a quota on. Default: 80.
    pub fn near_quota(mut self, percent: u32) -> Self {
        self.quota_percent = percent.clamp(1, 100);
        self
    }

    /// Raises [`ExpiringSoon`](AlertRule::ExpiringSoon) so long before a key expires. Default: 7 days.
    pub fn expiring_within(mut self, time: Duration) -> Self {
        self.expiring_within = time;
        self
    }

    /// Raises [`Idle`](AlertRule::Idle) when a key was not used for so long. Default: 90 days.
    pub fn idle_for(mut self, time: Duration) -> Self {
        self.idle_for = time;
        self
    }

    /// How long a rule says nothing of a key after its alert was resolved. Default: an hour.
    pub fn cool_down(mut self, time: Duration) -> Self {
        self.cool_down = time;
        self
    }

    /// How many alerts are told in a minute, over all keys. Default: 30.
    pub fn told_per_minute(mut self, alerts: u32) -> Self {
        self.told_per_minute = alerts;
        self
    }

    /// How many keys are watched at once; about 500 bytes each. Default: 50,000.
    pub fn watched_keys(mut self, keys: usize) -> Self {
        self.keys = keys.max(2);
        self
    }

    /// How many alerts may be open at once; those beyond are counted only. Default: 10,000.
    pub fn open_alerts(mut self, alerts: usize) -> Self {
        self.open = alerts.max(1);
        self
    }

    /// Whether a rule is in force.
    pub fn has(&self, rule: AlertRule) -> bool {
        self.off & rule.bit() == 0
    }

    /// How long a reason must not be seen before the alert is resolved.
    pub(super) fn settling(&self, rule: AlertRule) -> Duration {
        match rule {
            AlertRule::NewNetwork | AlertRule::RevokedUsed | AlertRule::ExpiredUsed => {
                Duration::from_secs(3_600)
            }
            _ => Duration::from_secs(600),
        }
    }

    /// From when to when a key counts as expiring soon.
    pub(crate) fn expiry_notice(&self) -> Duration {
        self.expiring_within
    }

    /// How long a key may be unused.
    pub(crate) fn idle_time(&self) -> Duration {
        self.idle_for
    }

    /// How many alerts may be open.
    pub(crate) fn most_open(&self) -> usize {
        self.open
    }

    /// How many keys are watched.
    pub(crate) fn most_keys(&self) -> usize {
        self.keys
    }
}
