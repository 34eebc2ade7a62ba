//! How sinks keep usage: as series, each of numbers by the hour and by the day.
//!
//! A key has a series for each combination of what is told apart. Over all requests there are sums, so
//! that they need not be added up from those of a hundred thousand keys: one set of series for each
//! dimension that has many values, which tells nothing apart but that one, outcome and status.

use std::collections::BTreeMap;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
use std::collections::HashSet;
use std::sync::Arc;

use super::{
    LatencyHistogram, UsageBatch, UsageCounts, UsageDelta, UsageDimension, UsageOf, UsageOutcome,
    UsagePoint, UsageRequest, UsageStatus, UsageStep,
};
use crate::clock::Timestamp;
use crate::key::{Carrier, CredentialId};

/// What a series is about, as a sink writes it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SeriesName {
    /// The id of a key, or one of the names of sums.
    pub(crate) whose: Arc<str>,
    /// Zero for one that is not known.
    pub(crate) credential: u32,
    /// Empty for none, as all that follow.
    pub(crate) server: Arc<str>,
    pub(crate) operation: Arc<str>,
    pub(crate) outcome: &'static str,
    pub(crate) status: &'static str,
    pub(crate) carrier: &'static str,
}

/// Numbers of requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) requests: u64,
    pub(crate) cost: u64,
    pub(crate) latency: LatencyHistogram,
}

impl Sum {
    pub(crate) fn add(&mut self, other: &Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.cost = self.cost.saturating_add(other.cost);
        self.latency.merge(&other.latency);
    }

    /// The numbers as they are told, of requests that ended like this.
    pub(crate) fn counts(&self, outcome: &str, status: &str) -> UsageCounts {
        let is_allowed = outcome == UsageOutcome::Allowed.as_str();
        let if_it = |is: bool| if is { self.requests } else { 0 };
        let is_one_of =
            |those: &[UsageStatus]| is_allowed && those.iter().any(|one| one.as_str() == status);
        UsageCounts {
            requests: self.requests,
            allowed: if_it(is_allowed),
            denied: if_it(!is_allowed),
            client_errors: if_it(is_one_of(&[UsageStatus::ClientError])),
            server_errors: if_it(is_one_of(&[UsageStatus::ServerError, UsageStatus::Failed])),
            cancelled: if_it(is_one_of(&[UsageStatus::Cancelled])),
            cost: self.cost,
            latency: self.latency.clone(),
        }
    }
}

/// The names of sums over all requests, with what they tell apart.
const ALL: &str = "*";
const ALL_BY_SERVER: &str = "*server";
const ALL_BY_OPERATION: &str = "*operation";
const ALL_BY_CARRIER: &str = "*carrier";

/// A batch, as it is added to series.
#[derive(Debug)]
pub(crate) struct Spread {
    pub(crate) series: Vec<SeriesName>,
    /// What to add to which of the series in which hour, counted since 1970.
    pub(crate) hours: Vec<Entry>,
    /// And in which day.
    pub(crate) days: Vec<Entry>,
}

/// What to add to one series in one step.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) series: usize,
    pub(crate) at: i64,
    pub(crate) sum: Sum,
}

impl Spread {
    /// What a batch adds. Keys that are gone keep nothing but their share in the sums.
    pub(crate) fn of(batch: &UsageBatch, is_gone: impl Fn(&str) -> bool) -> Self {
        let mut names = BTreeMap::new();
        let (mut hours, mut days) = (BTreeMap::new(), BTreeMap::new());
        let mut ids = BTreeMap::new();
        for row in &batch.rows {
            let key = row.key.map(|key| {
                let id: &mut Arc<str> = ids.entry(key).or_insert_with(|| key.to_string().into());
                Arc::clone(id)
            });
            let key = key.filter(|key| !is_gone(key));
            let sum = Sum {
                requests: row.requests,
                cost: row.cost,
                latency: row.latency.clone(),
            };
            for name in names_of(row, key) {
                let next = names.len();
                let series = *names.entry(name).or_insert(next);
                for (step, entries) in [(UsageStep::Hour, &mut hours), (UsageStep::Day, &mut days)]
                {
                    let place = (series, number_of(step, row.hour));
                    let known: &mut Sum = entries.entry(place).or_default();
                    known.add(&sum);
                }
            }
        }
        let mut series: Vec<_> = names.into_iter().collect();
        series.sort_by_key(|(_, number)| *number);
        let entries = |all: BTreeMap<(usize, i64), Sum>| {
            let all = all.into_iter();
            all.map(|((series, at), sum)| Entry { series, at, sum })
                .collect()
        };
        Self {
            series: series.into_iter().map(|(name, _)| name).collect(),
            hours: entries(hours),
            days: entries(days),
        }
    }
}

/// The ids of the keys that a batch is about.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub(crate) fn keys_of(batch: &UsageBatch) -> Vec<String> {
    let of_rows = batch.rows.iter().filter_map(|row| row.key);
    let of_uses = batch.last_uses.iter().map(|(key, _)| *key);
    let keys: HashSet<_> = of_rows.chain(of_uses).collect();
    keys.into_iter().map(|key| key.to_string()).collect()
}

/// The series that a row adds to.
fn names_of(row: &UsageDelta, key: Option<Arc<str>>) -> impl Iterator<Item = SeriesName> {
    let nothing: Arc<str> = "".into();
    let or_nothing = |text: &Option<Arc<str>>| text.clone().unwrap_or_else(|| Arc::clone(&nothing));
    let (server, operation) = (or_nothing(&row.server), or_nothing(&row.operation));
    let carrier = row.carrier.map_or("", Carrier::as_str);
    let bare = SeriesName {
        whose: ALL.into(),
        credential: 0,
        server: Arc::clone(&nothing),
        operation: Arc::clone(&nothing),
        outcome: row.outcome.as_str(),
        status: row.status.as_str(),
        carrier: "",
    };
    let own = key.map(|whose| SeriesName {
        whose,
        credential: row.credential.map_or(0, CredentialId::as_u32),
        server: Arc::clone(&server),
        operation: Arc::clone(&operation),
        carrier,
        ..bare.clone()
    });
    let by_server = SeriesName {
        whose: ALL_BY_SERVER.into(),
        server,
        ..bare.clone()
    };
    let by_operation = SeriesName {
        whose: ALL_BY_OPERATION.into(),
        operation,
        ..bare.clone()
    };
    let by_carrier = SeriesName {
        whose: ALL_BY_CARRIER.into(),
        carrier,
        ..bare.clone()
    };
    own.into_iter()
        .chain([bare, by_server, by_operation, by_carrier])
}

/// Whose series to read for an answer.
pub(crate) fn whose(request: &UsageRequest) -> Vec<String> {
    match &request.of {
        UsageOf::Keys(keys) => keys.iter().map(ToString::to_string).collect(),
        UsageOf::All => {
            let name = match request.by {
                Some(UsageDimension::Server) => ALL_BY_SERVER,
                Some(UsageDimension::Operation) => ALL_BY_OPERATION,
                Some(UsageDimension::Carrier) => ALL_BY_CARRIER,
                Some(UsageDimension::Outcome | UsageDimension::Status | UsageDimension::Secret)
                | None => ALL,
            };
            vec![name.to_owned()]
        }
    }
}

/// The number of a step since 1970.
pub(crate) fn number_of(step: UsageStep, at: Timestamp) -> i64 {
    at.as_millis().div_euclid(step.as_millis())
}

/// The numbers of the steps that an answer is about: from the first to before the last.
pub(crate) fn numbers_of(request: &UsageRequest) -> (i64, i64) {
    let step = request.step.as_millis();
    let first = number_of(request.step, request.from);
    let millis = request.until.as_millis();
    let end = millis.div_euclid(step) + i64::from(millis.rem_euclid(step) > 0);
    (first, end)
}

/// An answer that is being put together.
#[derive(Debug)]
pub(crate) struct Answer {
    step: UsageStep,
    points: BTreeMap<(i64, Option<String>), UsageCounts>,
}

impl Answer {
    pub(crate) fn to(request: &UsageRequest) -> Self {
        Self {
            step: request.step,
            points: BTreeMap::new(),
        }
    }

    /// Adds what a series has in a step. No label, an empty one and `0` say that there is none.
    pub(crate) fn add(&mut self, at: i64, label: &str, (outcome, status): (&str, &str), sum: &Sum) {
        let label = Some(label).filter(|label| !matches!(*label, "" | "0"));
        let label = label.map(str::to_owned);
        let counts = self.points.entry((at, label)).or_default();
        counts.add(&sum.counts(outcome, status));
    }

    pub(crate) fn points(self) -> Vec<UsagePoint> {
        let step = self.step.as_millis();
        let points = self.points.into_iter();
        points
            .map(|((at, label), counts)| {
                let at = Timestamp::from_millis(at.saturating_mul(step));
                UsagePoint::new(at, label, counts)
            })
            .collect()
    }
}

impl SeriesName {
    /// What it is called in a dimension.
    pub(crate) fn label(&self, by: Option<UsageDimension>) -> String {
        match by {
            None => String::new(),
            Some(UsageDimension::Outcome) => self.outcome.to_owned(),
            Some(UsageDimension::Server) => self.server.to_string(),
            Some(UsageDimension::Operation) => self.operation.to_string(),
            Some(UsageDimension::Secret) => self.credential.to_string(),
            Some(UsageDimension::Carrier) => self.carrier.to_owned(),
            Some(UsageDimension::Status) => self.status.to_owned(),
        }
    }
}

#[cfg(any(test, feature = "postgres", feature = "sqlite"))]
impl LatencyHistogram {
    /// The buckets that hold something, as text: `12:3 14:1`.
    pub(crate) fn to_text(&self) -> String {
        let counts = self.counts().iter().enumerate();
        let filled = counts.filter(|(_, count)| **count > 0);
        filled
            .map(|(bucket, count)| format!("{bucket}:{count}"))
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// The histogram that was written as this text.
    pub(crate) fn from_text(text: &str) -> Option<Self> {
        let mut all = Self::default();
        for part in text.split_ascii_whitespace() {
            let (bucket, count) = part.split_once(':')?;
            all.add_to(bucket.parse().ok()?, count.parse().ok()?);
        }
        Some(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::KeyId;
    use crate::usage::BatchId;

    fn batch(rows: Vec<UsageDelta>) -> UsageBatch {
        let id = BatchId {
            recorder: 1,
            number: 1,
        };
        UsageBatch::new(id, Timestamp::from_millis(0), rows)
    }

    #[test]
    fn each_request_is_in_each_sum_once() {
        let hour = Timestamp::from_millis(25 * 3_600_000);
        let row = |key: u128, server: &str, requests| {
            let key = (key > 0).then(|| KeyId::from_u128(key));
            let mut row = UsageDelta::new(hour, key, requests);
            row.server = Some(server.into());
            row
        };
        let rows = vec![
            row(1, "a", 1),
            row(2, "a", 2),
            row(2, "b", 4),
            row(0, "b", 8),
        ];
        let gone = KeyId::from_u128(1).to_string();
        let spread = Spread::of(&batch(rows), |key| key == gone);
        let total = |whose: &str, entries: &[Entry]| -> u64 {
            let of_it = |entry: &&Entry| &*spread.series[entry.series].whose == whose;
            entries.iter().filter(of_it).map(|e| e.sum.requests).sum()
        };
        for entries in [&spread.hours, &spread.days] {
            for name in [ALL, ALL_BY_SERVER, ALL_BY_OPERATION, ALL_BY_CARRIER] {
                assert_eq!(total(name, entries), 15, "{name}");
            }
            assert_eq!(total(&KeyId::from_u128(2).to_string(), entries), 6);
            assert_eq!(total(&gone, entries), 0);
        }
        assert!(spread.hours.iter().all(|entry| entry.at == 25));
        assert!(spread.days.iter().all(|entry| entry.at == 1));
    }

    #[test]
    fn a_histogram_reads_as_it_was_written() {
        let mut latency = LatencyHistogram::default();
        assert_eq!(latency.to_text(), "");
        latency.add_to(3, 7);
        latency.add_to(43, 1);
        assert_eq!(latency.to_text(), "3:7 43:1");
        assert_eq!(LatencyHistogram::from_text("3:7 43:1"), Some(latency));
        assert_eq!(LatencyHistogram::from_text("3"), None);
        assert_eq!(LatencyHistogram::from_text("x:1"), None);
    }
}
