//! What happens, as metrics of the [`metrics`](https://docs.rs/metrics) facade: counters and gauges that
//! any exporter of it shows.
//!
//! 1. Requests pay nothing: the numbers come from the stream of usage, and from counters that are there
//!    in any case, once a second.
//! 2. **At most 64 series.** Labels are words of closed lists; no key, name, path or address is one.
//!
//! | metric | label | tells |
//! |---|---|---|
//! | `mcp_api_keys_requests_total` | `outcome` | requests, by whether they were let through or why not |
//! | `mcp_api_keys_responses_total` | `class` | requests that were let through, by how they were answered |
//! | `mcp_api_keys_response_seconds_bucket` | `le` | those that took at most so long until their answer began; a counter for each bound, as `histogram_quantile` wants them |
//! | `mcp_api_keys_store_lookups_total` | | keys that were looked up in the store; what is above this of all requests came from memory |
//! | `mcp_api_keys_slow_hashes_total` | | slow hashes that were started |
//! | `mcp_api_keys_cached_keys` | | proven keys that are remembered |
//! | `mcp_api_keys_change_log_age_seconds` | | how long ago the store's changes were read |
//! | `mcp_api_keys_shared_limiter_failing` | | 1 while the shared limiter does not answer, else 0 |
//! | `mcp_api_keys_usage_noted_total` | | requests that were noted |
//! | `mcp_api_keys_usage_dropped_total` | | requests that were not, for want of room |
//! | `mcp_api_keys_usage_waiting_rows` | | rows of usage that wait to be written |
//! | `mcp_api_keys_alerts_total` | `rule` | alerts that were raised |
//! | `mcp_api_keys_alerts_open` | | alerts that are open |
//! | `mcp_api_keys_webhooks_total` | `result` | messages that were `delivered`, attempts that were `failed`, messages that were `dead` |

use std::time::Duration;

use metrics::{Counter, Gauge, counter, describe_counter, describe_gauge, gauge};

use crate::alert::AlertRule;
use crate::usage::{
    LatencyHistogram, UsageObserver, UsageOutcome, UsageStats, UsageStatus, UsageUpdate,
};
use crate::verify::VerifyStats;

/// The words for outcomes, and which kinds of refusal each stands for.
const OUTCOMES: [(&str, &[&str]); 17] = [
    ("allowed", &[]),
    ("missing", &["missing", "ambiguous"]),
    ("malformed", &["malformed"]),
    ("unknown", &["unknown", "wrong_secret"]),
    ("revoked", &["revoked"]),
    ("expired", &["expired", "token_expired"]),
    ("disabled", &["disabled", "owner_barred"]),
    ("address", &["address_denied"]),
    ("server", &["server_denied"]),
    ("scope", &["scope_missing", "read_only"]),
    ("tool", &["tool_denied", "policy"]),
    (
        "signature",
        &[
            "signature_missing",
            "signature_ambiguous",
            "signature_invalid",
            "timestamp_stale",
            "replayed",
        ],
    ),
    ("rate_limited", &["rate_limited"]),
    ("quota_exceeded", &["quota_exceeded"]),
    ("too_many_failures", &["too_many_failures"]),
    ("unavailable", &["unavailable"]),
    // The rest: bodies and messages that could not be judged.
    ("body", &[]),
];

/// The bounds of what is told of response times, as the labels write them. They are bounds of the
/// buckets that usage counts in.
const BOUNDS: [(&str, Duration); 10] = [
    ("0.000512", Duration::from_micros(512)),
    ("0.002048", Duration::from_micros(2_048)),
    ("0.008192", Duration::from_micros(8_192)),
    ("0.032768", Duration::from_micros(32_768)),
    ("0.131072", Duration::from_micros(131_072)),
    ("0.262144", Duration::from_micros(262_144)),
    ("0.524288", Duration::from_micros(524_288)),
    ("1.048576", Duration::from_micros(1_048_576)),
    ("4.194304", Duration::from_micros(4_194_304)),
    ("16.777216", Duration::from_micros(16_777_216)),
];

/// What counters stand at, that others keep.
#[derive(Clone, Debug)]
pub(crate) struct Readings {
    pub(crate) verify: VerifyStats,
    pub(crate) usage: UsageStats,
    pub(crate) change_log_age: Duration,
    pub(crate) is_limiter_failing: bool,
    /// In the order of [`AlertRule::ALL`].
    pub(crate) alerts: [u64; AlertRule::ALL.len()],
    pub(crate) open_alerts: usize,
    /// Delivered, failed, dead.
    pub(crate) webhooks: [u64; 3],
}

/// The metrics, each looked up once.
pub(crate) struct Meter {
    outcomes: Vec<Counter>,
    statuses: Vec<(UsageStatus, Counter)>,
    latency: Vec<Counter>,
    lookups: Counter,
    slow_hashes: Counter,
    cached: Gauge,
    log_age: Gauge,
    limiter: Gauge,
    noted: Counter,
    dropped: Counter,
    waiting: Gauge,
    alerts: Vec<Counter>,
    open: Gauge,
    webhooks: Vec<Counter>,
}

impl Meter {
    /// Registers everything with the recorder that is installed.
    pub(crate) fn new() -> Self {
        describe();
        let outcomes = OUTCOMES.iter();
        let statuses = UsageStatus::ALL.iter();
        let bounds = BOUNDS.iter().map(|(text, _)| *text).chain(["+Inf"]);
        Self {
            outcomes: outcomes
                .map(|(word, _)| counter!("mcp_api_keys_requests_total", "outcome" => *word))
                .collect(),
            statuses: statuses
                .filter(|status| **status != UsageStatus::Denied)
                .map(|status| {
                    let class = status.as_str();
                    let counter = counter!("mcp_api_keys_responses_total", "class" => class);
                    (*status, counter)
                })
                .collect(),
            latency: bounds
                .map(|bound| counter!("mcp_api_keys_response_seconds_bucket", "le" => bound))
                .collect(),
            lookups: counter!("mcp_api_keys_store_lookups_total"),
            slow_hashes: counter!("mcp_api_keys_slow_hashes_total"),
            cached: gauge!("mcp_api_keys_cached_keys"),
            log_age: gauge!("mcp_api_keys_change_log_age_seconds"),
            limiter: gauge!("mcp_api_keys_shared_limiter_failing"),
            noted: counter!("mcp_api_keys_usage_noted_total"),
            dropped: counter!("mcp_api_keys_usage_dropped_total"),
            waiting: gauge!("mcp_api_keys_usage_waiting_rows"),
            alerts: AlertRule::ALL
                .iter()
                .map(|rule| counter!("mcp_api_keys_alerts_total", "rule" => rule.as_str()))
                .collect(),
            open: gauge!("mcp_api_keys_alerts_open"),
            webhooks: ["delivered", "failed", "dead"]
                .into_iter()
                .map(|result| counter!("mcp_api_keys_webhooks_total", "result" => result))
                .collect(),
        }
    }

    /// Sets what others count.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a gauge shows the order of magnitude"
    )]
    pub(crate) fn set(&self, readings: &Readings) {
        self.lookups.absolute(readings.verify.lookups);
        self.slow_hashes.absolute(readings.verify.slow_hashes);
        self.cached.set(readings.verify.cached_keys as f64);
        self.log_age.set(readings.change_log_age.as_secs_f64());
        self.limiter.set(f64::from(readings.is_limiter_failing));
        self.noted.absolute(readings.usage.noted);
        self.dropped.absolute(readings.usage.dropped);
        self.waiting.set(readings.usage.waiting_rows as f64);
        self.open.set(readings.open_alerts as f64);
        for (counter, count) in self.alerts.iter().zip(readings.alerts) {
            counter.absolute(count);
        }
        for (counter, count) in self.webhooks.iter().zip(readings.webhooks) {
            counter.absolute(count);
        }
    }

    fn add_latency(&self, latency: &LatencyHistogram) {
        if latency.counts().is_empty() {
            return;
        }
        let within = |most: Duration| {
            let buckets = latency.counts().iter().enumerate();
            let within = buckets.filter(|(bucket, _)| {
                LatencyHistogram::bound(*bucket).is_some_and(|bound| bound <= most)
            });
            within.map(|(_, count)| count).sum::<u64>()
        };
        let counts = BOUNDS.iter().map(|(_, bound)| within(*bound));
        let counts = counts.chain([latency.count()]);
        for (counter, count) in self.latency.iter().zip(counts) {
            counter.increment(count);
        }
    }
}

impl UsageObserver for Meter {
    fn observed(&self, update: &UsageUpdate<'_>) {
        let mut latency = LatencyHistogram::default();
        for delta in update.deltas {
            let place = place_of(delta.outcome);
            if let Some(counter) = self.outcomes.get(place) {
                counter.increment(delta.requests);
            }
            let mut statuses = self.statuses.iter();
            if let Some((_, counter)) = statuses.find(|(status, _)| *status == delta.status) {
                counter.increment(delta.requests);
            }
            latency.merge(&delta.latency);
        }
        self.add_latency(&latency);
    }
}

fn place_of(outcome: UsageOutcome) -> usize {
    match outcome {
        UsageOutcome::Allowed => 0,
        UsageOutcome::Denied(reason) => {
            let mut known = OUTCOMES.iter();
            let place = known.position(|(_, reasons)| reasons.contains(&reason));
            place.unwrap_or(OUTCOMES.len() - 1)
        }
    }
}

fn describe() {
    describe_counter!("mcp_api_keys_requests_total", "Requests, by outcome");
    describe_counter!(
        "mcp_api_keys_responses_total",
        "Requests that were let through, by class of the answer"
    );
    describe_counter!(
        "mcp_api_keys_response_seconds_bucket",
        "Requests answered within so many seconds"
    );
    describe_counter!(
        "mcp_api_keys_store_lookups_total",
        "Keys that were looked up in the store"
    );
    describe_counter!(
        "mcp_api_keys_slow_hashes_total",
        "Slow hashes that were started"
    );
    describe_gauge!(
        "mcp_api_keys_cached_keys",
        "Proven keys that are remembered"
    );
    describe_gauge!(
        "mcp_api_keys_change_log_age_seconds",
        "How long ago the store's changes were read"
    );
    describe_gauge!(
        "mcp_api_keys_shared_limiter_failing",
        "1 while the shared limiter does not answer"
    );
    describe_counter!("mcp_api_keys_usage_noted_total", "Requests that were noted");
    describe_counter!(
        "mcp_api_keys_usage_dropped_total",
        "Requests that were not noted, for want of room"
    );
    describe_gauge!(
        "mcp_api_keys_usage_waiting_rows",
        "Rows of usage that wait to be written"
    );
    describe_counter!("mcp_api_keys_alerts_total", "Alerts that were raised");
    describe_gauge!("mcp_api_keys_alerts_open", "Alerts that are open");
    describe_counter!(
        "mcp_api_keys_webhooks_total",
        "Webhook messages delivered, attempts failed, messages given up"
    );
}

impl std::fmt::Debug for Meter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Meter").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rejection::RejectionKind;

    #[test]
    fn every_reason_has_one_word() {
        for kind in RejectionKind::ALL {
            let of = |(_, reasons): &&(&str, &[&str])| reasons.contains(&kind.as_str());
            assert!(OUTCOMES.iter().filter(of).count() <= 1, "{kind:?}");
        }
        let known: Vec<_> = RejectionKind::ALL
            .iter()
            .map(|kind| kind.as_str())
            .collect();
        for reason in OUTCOMES.iter().flat_map(|(_, reasons)| *reasons) {
            assert!(known.contains(reason), "{reason}");
        }
        let rest = RejectionKind::ALL
            .iter()
            .filter(|kind| place_of(UsageOutcome::Denied(kind.as_str())) == OUTCOMES.len() - 1);
        let rest: Vec<_> = rest.map(|kind| kind.as_str()).collect();
        assert_eq!(
            rest,
            [
                "body_too_large",
                "body_timeout",
                "body_incomplete",
                "message_unreadable",
                "media_type_unsupported",
                "session_unknown"
            ]
        );
    }

    #[test]
    fn the_bounds_are_those_of_buckets_and_are_written_as_they_are() {
        for (text, bound) in BOUNDS {
            let mut buckets = 0..LatencyHistogram::BUCKETS;
            assert!(buckets.any(|bucket| LatencyHistogram::bound(bucket) == Some(bound)));
            assert_eq!(text.parse::<f64>().unwrap(), bound.as_secs_f64());
        }
    }
}
