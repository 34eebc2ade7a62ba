//! What every [`UsageSink`] promises, as tests.
//!
//! ```
//! use mcp_api_keys::store::MemoryStore;
//! use mcp_api_keys::testing::usage;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! usage::run_all(|| async { MemoryStore::new() }).await;
//! # }
//! ```

use std::time::Duration;

use crate::clock::Timestamp;
use crate::error::Error;
use crate::key::{Carrier, CredentialId, KeyId};
use crate::testing::records::NOON;
use crate::usage::{
    BatchId, LastUse, LatencyHistogram, UsageBatch, UsageCounts, UsageDelta, UsageDimension,
    UsageOf, UsageOutcome, UsagePoint, UsageQuery, UsageRequest, UsageRetention, UsageSink,
    UsageStatus, UsageStep,
};

/// Checks every promise, each on a fresh sink.
///
/// # Panics
///
/// If a promise is broken.
pub async fn run_all<S, F>(mut empty_sink: impl FnMut() -> F)
where
    S: UsageSink,
    F: Future<Output = S>,
{
    adds_up_by_hour_and_by_day(&empty_sink().await).await;
    takes_a_batch_once(&empty_sink().await).await;
    tells_apart_what_is_asked_for(&empty_sink().await).await;
    counts_every_request_in_the_sums(&empty_sink().await).await;
    keeps_names_as_they_are(&empty_sink().await).await;
    takes_many_rows_at_once(&empty_sink().await).await;
    keeps_the_latest_use(&empty_sink().await).await;
    forgets_what_is_old(&empty_sink().await).await;
}

const KEY: KeyId = KeyId::from_u128(1 << 80);
const OTHER: KeyId = KeyId::from_u128(2 << 80);

fn hour(number: i64) -> Timestamp {
    let noon = UsageStep::Hour.start_of(NOON).as_millis();
    Timestamp::from_millis(noon + number * 3_600_000)
}

fn batch(number: u64, rows: Vec<UsageDelta>) -> UsageBatch {
    let id = BatchId {
        recorder: u128::MAX - 5,
        number,
    };
    UsageBatch::new(id, NOON, rows)
}

fn row(key: KeyId, at: i64, requests: u64) -> UsageDelta {
    let mut row = UsageDelta::new(hour(at), Some(key), requests);
    row.cost = 2 * requests;
    row.latency.add(Duration::from_millis(3), requests);
    row
}

fn series(of: UsageOf, step: UsageStep, by: Option<UsageDimension>) -> UsageRequest {
    let mut query = UsageQuery::new(hour(-48), hour(48), step);
    query.by = by;
    UsageRequest::new(of, &query)
}

async fn read(
    sink: &dyn UsageSink,
    of: UsageOf,
    step: UsageStep,
    by: Option<UsageDimension>,
) -> Vec<UsagePoint> {
    ok(sink.read(&series(of, step, by)).await)
}

fn of(key: KeyId) -> UsageOf {
    UsageOf::Keys(vec![key])
}

/// Label and requests of each point.
fn told(points: &[UsagePoint]) -> Vec<(Option<&str>, u64)> {
    let points = points.iter();
    points
        .map(|point| (point.label.as_deref(), point.counts.requests))
        .collect()
}

/// Batches add up in the hours and days that their rows name, and a question is answered for the steps
/// that it asks for.
pub async fn adds_up_by_hour_and_by_day(sink: &dyn UsageSink) {
    assert_eq!(read(sink, of(KEY), UsageStep::Hour, None).await, []);
    ok(sink
        .write(&batch(
            1,
            vec![row(KEY, 0, 2), row(KEY, 1, 3), row(OTHER, 0, 50)],
        ))
        .await);
    ok(sink
        .write(&batch(2, vec![row(KEY, 1, 4), row(KEY, 24, 5)]))
        .await);

    let points = read(sink, of(KEY), UsageStep::Hour, None).await;
    let expected: Vec<_> = [(0, 2), (1, 7), (24, 5)]
        .map(|(at, requests)| {
            let mut latency = LatencyHistogram::default();
            latency.add(Duration::from_millis(3), requests);
            let mut counts = UsageCounts::default();
            (counts.requests, counts.allowed, counts.cost) = (requests, requests, 2 * requests);
            counts.latency = latency;
            UsagePoint::new(hour(at), None, counts)
        })
        .into();
    assert_eq!(points, expected);
    let points = read(sink, of(KEY), UsageStep::Day, None).await;
    let days = [hour(0), hour(24)].map(|at| UsageStep::Day.start_of(at));
    assert_eq!(
        points.iter().map(|point| point.at).collect::<Vec<_>>(),
        days
    );
    assert_eq!(told(&points), [(None, 9), (None, 5)]);
    assert_eq!(points[0].counts.latency.count(), 9);

    // From the step that the beginning is in, to before the one that only begins at the end.
    let half = Timestamp::from_millis(hour(0).as_millis() + 1_800_000);
    for (from, until, expected) in [
        (half, hour(1), vec![2]),
        (
            half,
            Timestamp::from_millis(hour(1).as_millis() + 1),
            vec![2, 7],
        ),
        (hour(1), hour(1), vec![]),
        (hour(2), hour(24), vec![]),
        (hour(9), hour(1), vec![]),
    ] {
        let query = UsageQuery::new(from, until, UsageStep::Hour);
        let points = ok(sink.read(&UsageRequest::new(of(KEY), &query)).await);
        let requests: Vec<_> = points.iter().map(|point| point.counts.requests).collect();
        assert_eq!(requests, expected, "{from} {until}");
    }
    let both = UsageOf::Keys(vec![KEY, OTHER, KeyId::from_u128(3)]);
    let points = read(sink, both, UsageStep::Hour, None).await;
    assert_eq!(told(&points), [(None, 52), (None, 7), (None, 5)]);
    assert_eq!(
        read(sink, UsageOf::Keys(vec![]), UsageStep::Hour, None).await,
        []
    );
}

/// A batch that is sent again changes nothing, whatever came of the first time; those of another
/// recorder count for themselves.
pub async fn takes_a_batch_once(sink: &dyn UsageSink) {
    let first = batch(1, vec![row(KEY, 0, 1)]);
    ok(sink.write(&first).await);
    ok(sink.write(&first).await);
    let second = batch(2, vec![row(KEY, 0, 10)]);
    ok(sink.write(&second).await);
    ok(sink.write(&first).await);
    ok(sink.write(&second).await);
    let mut others = batch(1, vec![row(KEY, 0, 100)]);
    others.id.recorder = 7;
    ok(sink.write(&others).await);
    ok(sink.write(&others).await);
    for step in [UsageStep::Hour, UsageStep::Day] {
        assert_eq!(told(&read(sink, of(KEY), step, None).await), [(None, 111)]);
        assert_eq!(
            told(&read(sink, UsageOf::All, step, None).await),
            [(None, 111)]
        );
    }
}

fn varied() -> Vec<UsageDelta> {
    let with = |requests, change: fn(&mut UsageDelta)| {
        let mut row = row(KEY, 0, requests);
        change(&mut row);
        row
    };
    vec![
        with(1, |row| {
            row.credential = Some(CredentialId::FIRST);
            row.carrier = Some(Carrier::Bearer);
            row.server = Some("files".into());
            row.operation = Some("read".into());
        }),
        with(10, |row| {
            row.credential = Some(CredentialId::FIRST.next());
            row.carrier = Some(Carrier::Path);
            row.server = Some("mail".into());
            row.operation = Some("send".into());
            row.status = UsageStatus::ServerError;
        }),
        with(100, |row| row.status = UsageStatus::ClientError),
        with(1_000, |row| row.status = UsageStatus::Cancelled),
        with(10_000, |row| row.status = UsageStatus::Failed),
        with(100_000, |row| {
            row.outcome = UsageOutcome::Denied("revoked");
            row.status = UsageStatus::Denied;
        }),
    ]
}

/// Each dimension has its labels, and what has no name has none.
pub async fn tells_apart_what_is_asked_for(sink: &dyn UsageSink) {
    ok(sink.write(&batch(1, varied())).await);
    let unnamed = 111_100;
    for (by, expected) in [
        (
            UsageDimension::Outcome,
            vec![(Some("allowed"), 11_111), (Some("revoked"), 100_000)],
        ),
        (
            UsageDimension::Server,
            vec![(None, unnamed), (Some("files"), 1), (Some("mail"), 10)],
        ),
        (
            UsageDimension::Operation,
            vec![(None, unnamed), (Some("read"), 1), (Some("send"), 10)],
        ),
        (
            UsageDimension::Carrier,
            vec![(None, unnamed), (Some("bearer"), 1), (Some("path"), 10)],
        ),
        (
            UsageDimension::Status,
            vec![
                (Some("2xx"), 1),
                (Some("4xx"), 100),
                (Some("5xx"), 10),
                (Some("cancelled"), 1_000),
                (Some("denied"), 100_000),
                (Some("failed"), 10_000),
            ],
        ),
    ] {
        for whose in [of(KEY), UsageOf::All] {
            for step in [UsageStep::Hour, UsageStep::Day] {
                let points = read(sink, whose.clone(), step, Some(by)).await;
                assert_eq!(told(&points), expected, "{by:?} {whose:?}");
            }
        }
    }
    let secrets = read(sink, of(KEY), UsageStep::Hour, Some(UsageDimension::Secret)).await;
    assert_eq!(
        told(&secrets),
        [(None, unnamed), (Some("1"), 1), (Some("2"), 10)]
    );
    let all = read(sink, of(KEY), UsageStep::Hour, None).await;
    let counts = &all[0].counts;
    assert_eq!(
        (
            counts.requests,
            counts.allowed,
            counts.denied,
            counts.client_errors
        ),
        (111_111, 11_111, 100_000, 100)
    );
    assert_eq!(
        (counts.server_errors, counts.cancelled, counts.cost),
        (10_010, 1_000, 222_222)
    );
}

/// What has no key is counted in the sums over all.
pub async fn counts_every_request_in_the_sums(sink: &dyn UsageSink) {
    let mut nobody = UsageDelta::new(hour(0), None, 1_000);
    nobody.outcome = UsageOutcome::Denied("unknown");
    nobody.status = UsageStatus::Denied;
    ok(sink
        .write(&batch(1, vec![row(KEY, 0, 1), row(OTHER, 0, 10), nobody]))
        .await);
    let points = read(
        sink,
        UsageOf::All,
        UsageStep::Day,
        Some(UsageDimension::Outcome),
    )
    .await;
    assert_eq!(
        told(&points),
        [(Some("allowed"), 11), (Some("unknown"), 1_000)]
    );
    let points = read(sink, UsageOf::All, UsageStep::Hour, None).await;
    assert_eq!(told(&points), [(None, 1_011)]);
}

/// Names come back as they were written, and two that look alike are two.
pub async fn keeps_names_as_they_are(sink: &dyn UsageSink) {
    let names = [
        "a", "A", "a ", "'; --", "%_\\", "\"[1]\"", "é", "e\u{301}", "日本", "*", "**",
    ];
    let rows = names.iter().map(|name| {
        let mut row = row(KEY, 0, 1);
        row.operation = Some((*name).into());
        row
    });
    ok(sink.write(&batch(1, rows.collect())).await);
    for whose in [of(KEY), UsageOf::All] {
        let by = Some(UsageDimension::Operation);
        let points = read(sink, whose, UsageStep::Hour, by).await;
        let mut expected: Vec<_> = names.iter().map(|name| (Some(*name), 1)).collect();
        expected.sort_unstable();
        assert_eq!(told(&points), expected);
    }
}

/// A batch may be large.
pub async fn takes_many_rows_at_once(sink: &dyn UsageSink) {
    let rows = |requests| {
        (0..2_000_u32).map(move |number| {
            let mut row = row(KeyId::from_u128(u128::from(number % 500)), 0, requests);
            row.operation = Some(format!("tool {}", number / 500).into());
            row
        })
    };
    ok(sink.write(&batch(1, rows(1).collect())).await);
    ok(sink.write(&batch(2, rows(2).collect())).await);
    assert_eq!(
        told(&read(sink, UsageOf::All, UsageStep::Day, None).await),
        [(None, 6_000)]
    );
    let key = of(KeyId::from_u128(499));
    let points = read(sink, key, UsageStep::Day, Some(UsageDimension::Operation)).await;
    assert_eq!(points.len(), 4);
    assert!(points.iter().all(|point| point.counts.requests == 3));
}

/// A key's last use is the latest that was told, from wherever it was told.
pub async fn keeps_the_latest_use(sink: &dyn UsageSink) {
    let used = |second: u64, address: Option<&str>| {
        let at = NOON.saturating_add(Duration::from_secs(second));
        let mut last = LastUse::new(at, Carrier::Header, CredentialId::FIRST.next());
        last.address = address.map(|address| address.parse().expect("an address"));
        last.server = Some("files".into());
        last
    };
    let told = |number, uses: Vec<(KeyId, LastUse)>| {
        let mut batch = batch(number, Vec::new());
        batch.last_uses = uses;
        batch
    };
    assert_eq!(ok(sink.last_uses(&[KEY]).await), []);
    let first = used(5, Some("2001:db8::1"));
    ok(sink
        .write(&told(1, vec![(KEY, first.clone()), (OTHER, used(1, None))]))
        .await);
    ok(sink
        .write(&told(2, vec![(KEY, used(4, Some("192.0.2.1")))]))
        .await);
    assert_eq!(ok(sink.last_uses(&[KEY]).await), [(KEY, first)]);
    let later = used(6, Some("192.0.2.1"));
    ok(sink.write(&told(3, vec![(KEY, later.clone())])).await);
    let mut uses = ok(sink.last_uses(&[OTHER, KEY, KeyId::from_u128(9)]).await);
    uses.sort_by_key(|(key, _)| *key);
    assert_eq!(uses, [(KEY, later), (OTHER, used(1, None))]);
}

/// What is older than is to be kept goes, and nothing else.
pub async fn forgets_what_is_old(sink: &dyn UsageSink) {
    let rows = (-100..3).map(|at| row(KEY, at * 24, 1));
    ok(sink.write(&batch(1, rows.collect())).await);
    let kept = UsageRetention {
        hours: Duration::from_secs(10 * 86_400),
        days: Duration::from_secs(50 * 86_400),
    };
    let mut rounds = 0;
    while ok(sink.prune(kept, NOON).await) {
        rounds += 1;
        assert!(rounds < 100, "there is always more to forget");
    }
    for whose in [of(KEY), UsageOf::All] {
        for (step, expected) in [(UsageStep::Hour, 10 + 3), (UsageStep::Day, 50 + 3)] {
            let query = UsageQuery::new(hour(-24 * 200), hour(24 * 5), step);
            let points = ok(sink.read(&UsageRequest::new(whose.clone(), &query)).await);
            assert_eq!(points.len(), expected, "{step:?} {whose:?}");
        }
    }
    // What is told again of a time that was forgotten is no worse than any other.
    ok(sink.write(&batch(2, vec![row(KEY, 0, 1)])).await);
    assert_eq!(
        told(&read(sink, of(KEY), UsageStep::Hour, None).await)[2],
        (None, 2)
    );
}

#[track_caller]
fn ok<T>(result: Result<T, Error>) -> T {
    result.expect("the sink answers")
}
