//! What may be asked of usage, and what is answered.

use serde::{Deserialize, Serialize};

use super::LatencyHistogram;
use crate::clock::Timestamp;
use crate::key::{KeyId, OwnerId};

/// A question to [`KeyManager::usage`](crate::KeyManager::usage).
///
/// ```
/// use mcp_api_keys::Timestamp;
/// use mcp_api_keys::usage::{UsageDimension, UsageQuery, UsageStep};
///
/// let noon: Timestamp = "2026-07-28T12:00:00Z".parse()?;
/// let evening: Timestamp = "2026-07-28T18:00:00Z".parse()?;
/// let query = UsageQuery::new(noon, evening, UsageStep::Hour).by(UsageDimension::Outcome);
/// assert_eq!(query.steps().count(), 6);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UsageQuery {
    /// The usage of this key only.
    pub key: Option<KeyId>,
    /// The usage of this owner's keys only.
    pub owner: Option<OwnerId>,
    /// From the step that this time is in.
    pub from: Timestamp,
    /// Until this time, the step that it is in included, unless that only begins then.
    pub until: Timestamp,
    /// How long the steps are.
    pub step: UsageStep,
    /// What to tell apart; nothing for sums.
    pub by: Option<UsageDimension>,
}

impl UsageQuery {
    /// The usage of all keys, or of all that one may see.
    pub fn new(from: Timestamp, until: Timestamp, step: UsageStep) -> Self {
        Self {
            key: None,
            owner: None,
            from,
            until,
            step,
            by: None,
        }
    }

    /// The usage of this key only.
    #[must_use]
    pub fn of_key(mut self, key: KeyId) -> Self {
        self.key = Some(key);
        self
    }

    /// The usage of this owner's keys only.
    #[must_use]
    pub fn of_owner(mut self, owner: OwnerId) -> Self {
        self.owner = Some(owner);
        self
    }

    /// Tells apart what differs in this.
    #[must_use]
    pub fn by(mut self, dimension: UsageDimension) -> Self {
        self.by = Some(dimension);
        self
    }

    /// When its steps begin, one after the other: for filling in those without any request, of which
    /// there is no point in the answer.
    pub fn steps(&self) -> impl Iterator<Item = Timestamp> + use<> {
        let (step, until) = (self.step, self.until);
        let first = Some(step.start_of(self.from));
        let next = move |at: &Timestamp| {
            let next = step.next(*at);
            (next > *at).then_some(next)
        };
        std::iter::successors(first, next).take_while(move |at| *at < until)
    }
}

/// A question to a [`UsageSink`](super::UsageSink).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UsageRequest {
    /// Whose usage.
    pub of: UsageOf,
    /// From the step that this time is in.
    pub from: Timestamp,
    /// Until this time, the step that it is in included, unless that only begins then.
    pub until: Timestamp,
    /// How long the steps are.
    pub step: UsageStep,
    /// What to tell apart; nothing for sums.
    pub by: Option<UsageDimension>,
}

impl UsageRequest {
    /// What `query` asks, of these keys.
    pub fn new(of: UsageOf, query: &UsageQuery) -> Self {
        Self {
            of,
            from: query.step.start_of(query.from),
            until: query.until,
            step: query.step,
            by: query.by,
        }
    }
}

/// Whose usage is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a sink must answer every question")]
pub enum UsageOf {
    /// That of every request, whether with a key or without. Which secret it was is not told apart.
    All,
    /// That of these keys.
    Keys(Vec<KeyId>),
}

/// How long a step of a series is. Steps begin at full hours or at midnight, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(clippy::exhaustive_enums, reason = "a sink must answer every question")]
pub enum UsageStep {
    /// An hour.
    Hour,
    /// A day.
    Day,
}

impl UsageStep {
    /// How many milliseconds it has.
    pub const fn as_millis(self) -> i64 {
        match self {
            Self::Hour => 3_600_000,
            Self::Day => 86_400_000,
        }
    }

    /// When the step begins that `time` is in.
    pub fn start_of(self, time: Timestamp) -> Timestamp {
        let millis = time.as_millis();
        Timestamp::from_millis(millis - millis.rem_euclid(self.as_millis()))
    }

    /// When the next step begins after the one that begins at `start`.
    pub fn next(self, start: Timestamp) -> Timestamp {
        Timestamp::from_millis(start.as_millis().saturating_add(self.as_millis()))
    }
}

/// What a series may tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(clippy::exhaustive_enums, reason = "a sink must answer every question")]
pub enum UsageDimension {
    /// `allowed`, or why not: [`RejectionKind::as_str`](crate::RejectionKind::as_str).
    Outcome,
    /// The name of the server. Without a label: that of layers that name none.
    Server,
    /// The tool or method of an MCP server, or the method of HTTP, or what the integrator named.
    Operation,
    /// The number of the key's secret. Without a label: not known.
    Secret,
    /// Where the key was presented: `bearer`, `header`, `path` or `other`.
    Carrier,
    /// How the request was answered: [`UsageStatus::as_str`](super::UsageStatus::as_str).
    Status,
}

/// What was counted in one step, under one label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct UsagePoint {
    /// When the step begins.
    pub at: Timestamp,
    /// What it has in common in the asked dimension; nothing without one, and for what has no name.
    pub label: Option<String>,
    /// How much there was.
    #[serde(flatten)]
    pub counts: UsageCounts,
}

impl UsagePoint {
    /// A point of these counts.
    pub fn new(at: Timestamp, label: Option<String>, counts: UsageCounts) -> Self {
        Self { at, label, counts }
    }
}

/// How many requests there were, and how they ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct UsageCounts {
    /// All of them.
    pub requests: u64,
    /// Those that were let through.
    pub allowed: u64,
    /// Those that were turned away.
    pub denied: u64,
    /// Those let through that the service answered by a status of 4xx.
    pub client_errors: u64,
    /// Those let through that the service answered by a status of 5xx, or failed to answer.
    pub server_errors: u64,
    /// Those let through whose caller went before the answer began.
    pub cancelled: u64,
    /// What they took of each limit in sum.
    pub cost: u64,
    /// How long it took until answers began. Under heavy load a sample is timed and stands for the
    /// rest.
    pub latency: LatencyHistogram,
}

impl UsageCounts {
    /// Adds what another count holds.
    pub fn add(&mut self, other: &Self) {
        let sums = [
            (&mut self.requests, other.requests),
            (&mut self.allowed, other.allowed),
            (&mut self.denied, other.denied),
            (&mut self.client_errors, other.client_errors),
            (&mut self.server_errors, other.server_errors),
            (&mut self.cancelled, other.cancelled),
            (&mut self.cost, other.cost),
        ];
        for (sum, more) in sums {
            *sum = sum.saturating_add(more);
        }
        self.latency.merge(&other.latency);
    }

    /// Which share of the requests that were let through ended in an error of either kind, from 0 to 1;
    /// nothing if none was let through.
    pub fn error_rate(&self) -> Option<f64> {
        let errors = self.client_errors.saturating_add(self.server_errors);
        (self.allowed > 0).then(|| ratio(errors, self.allowed))
    }

    /// Which share of the requests were turned away, from 0 to 1; nothing if there were none.
    pub fn denial_rate(&self) -> Option<f64> {
        (self.requests > 0).then(|| ratio(self.denied, self.requests))
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a share of 2^53 requests and more is no less true for being rounded"
)]
fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn steps_begin_at_full_hours_and_at_midnight() {
        let (from, until) = (at("2026-07-28T10:30:00Z"), at("2026-07-28T12:00:00Z"));
        let hours = UsageQuery::new(from, until, UsageStep::Hour);
        let expected = ["2026-07-28T10:00:00Z", "2026-07-28T11:00:00Z"].map(at);
        assert_eq!(hours.steps().collect::<Vec<_>>(), expected);
        let days = UsageQuery::new(from, until, UsageStep::Day);
        assert_eq!(
            days.steps().collect::<Vec<_>>(),
            [at("2026-07-28T00:00:00Z")]
        );
        let nothing = UsageQuery::new(until, from, UsageStep::Hour);
        assert_eq!(nothing.steps().count(), 0);
        // Steps end where time does.
        let end = Timestamp::from_millis(i64::MAX);
        let last = UsageQuery::new(end, end, UsageStep::Day);
        assert!(last.steps().count() <= 1);
    }

    #[test]
    fn shares_are_of_what_they_are_about() {
        let counts = UsageCounts {
            requests: 10,
            allowed: 8,
            denied: 2,
            client_errors: 1,
            server_errors: 1,
            ..UsageCounts::default()
        };
        assert_eq!(counts.error_rate(), Some(0.25));
        assert_eq!(counts.denial_rate(), Some(0.2));
        assert_eq!(UsageCounts::default().error_rate(), None);
        let mut twice = counts.clone();
        twice.add(&counts);
        assert_eq!((twice.requests, twice.denied), (20, 4));
    }

    #[test]
    fn a_point_reads_as_json_with_plain_names() {
        let point = UsagePoint::new(at("2026-07-28T10:00:00Z"), None, UsageCounts::default());
        let json = serde_json::to_value(&point).unwrap();
        for name in [
            "at",
            "label",
            "requests",
            "allowed",
            "denied",
            "client_errors",
            "server_errors",
            "cancelled",
            "cost",
            "latency",
        ] {
            assert!(json.get(name).is_some(), "{name}");
        }
        assert_eq!(json["latency"]["timed"], 0);
    }
}
