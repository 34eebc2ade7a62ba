//! How long an answer takes where there is much: keys with a year of days and a month of hours.

use std::time::{Duration, Instant};

use mcp_api_keys::Timestamp;
use mcp_api_keys::key::KeyId;
use mcp_api_keys::store::SqliteStore;
use mcp_api_keys::usage::{
    UsageDimension, UsageOf, UsageQuery, UsageRequest, UsageSink, UsageStep,
};
use sqlx::query;

/// As `MCP_KEYS_LONG` wants it.
fn keys() -> u128 {
    let keys = std::env::var("MCP_KEYS_USAGE_KEYS");
    match keys.ok().and_then(|keys| keys.parse().ok()) {
        Some(keys) => keys,
        None if std::env::var_os("MCP_KEYS_LONG").is_some() => 100_000,
        None => 1_000,
    }
}

const DAY: i64 = 86_400_000;

/// Until the end of this day.
const TODAY: i64 = 20_662;

/// Four series for each key, a year of days of two of them, a month of every sixth hour of one; and sums.
async fn fill(store: &SqliteStore) {
    let ids: Vec<String> = (1..=keys())
        .map(|number| KeyId::from_u128(number << 64).to_string())
        .chain(["*", "*server", "*operation", "*carrier"].map(str::to_owned))
        .collect();
    for ids in ids.chunks(10_000) {
        let ids = serde_json::to_string(ids).unwrap();
        query(
            "INSERT INTO api_usage_series
                 (whose, credential, server, operation, outcome, status, carrier)
             SELECT value, 1, 'files', o.name, 'allowed', o.status, 'bearer' FROM json_each(?1),
                 (SELECT 'read' AS name, '2xx' AS status UNION SELECT 'read', '5xx'
                  UNION SELECT 'write', '2xx' UNION SELECT 'list', '4xx') o",
        )
        .bind(ids)
        .execute(store.pool())
        .await
        .unwrap();
    }
    for (table, last, steps, every, of) in [
        ("days", TODAY, 365, 1, "operation IN ('read')"),
        (
            "hours",
            TODAY * 24 + 23,
            720,
            6,
            "operation = 'read' AND status = '2xx'",
        ),
        (
            "hours",
            TODAY * 24 + 23,
            720,
            1,
            "whose < 'a' AND operation = 'write'",
        ),
    ] {
        let sql = format!(
            "WITH RECURSIVE n (at) AS (
                 SELECT {last} UNION ALL SELECT at - {every} FROM n WHERE at > {last} - {steps})
             INSERT OR IGNORE INTO api_usage_{table} (series, at, requests, cost, latency)
             SELECT s.id, n.at, 7, 7, '12:3 14:4' FROM api_usage_series s, n WHERE {of}"
        );
        query(sqlx::AssertSqlSafe(sql))
            .execute(store.pool())
            .await
            .unwrap();
    }
}

#[tokio::test]
#[allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "it is measured"
)]
async fn a_series_is_read_in_no_time_among_many() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("keys.db").display());
    let store = SqliteStore::connect(&url).await.unwrap();
    let begun = Instant::now();
    fill(&store).await;
    println!("{} keys, filled within {:?}", keys(), begun.elapsed());
    let end = Timestamp::from_millis((TODAY + 1) * DAY);
    let days = |days: u64| end.saturating_sub(Duration::from_secs(days * 86_400));
    let one = || UsageOf::Keys(vec![KeyId::from_u128((keys() / 2) << 64)]);
    let some = UsageOf::Keys((1..=50).map(|key| KeyId::from_u128(key << 64)).collect());
    for (what, of, from, step, by, points) in [
        ("a key's year", one(), days(365), UsageStep::Day, None, 365),
        (
            "a key's year by status",
            one(),
            days(365),
            UsageStep::Day,
            Some(UsageDimension::Status),
            730,
        ),
        ("a key's month", one(), days(30), UsageStep::Hour, None, 120),
        (
            "a year of fifty keys",
            some,
            days(365),
            UsageStep::Day,
            None,
            365,
        ),
        (
            "a day of all",
            UsageOf::All,
            days(1),
            UsageStep::Hour,
            None,
            24,
        ),
        (
            "a month of all by operation",
            UsageOf::All,
            days(30),
            UsageStep::Hour,
            Some(UsageDimension::Operation),
            840,
        ),
        (
            "a year of all",
            UsageOf::All,
            days(365),
            UsageStep::Day,
            None,
            365,
        ),
    ] {
        let mut query = UsageQuery::new(from, end, step);
        query.by = by;
        let request = UsageRequest::new(of, &query);
        let mut times = Vec::new();
        for _ in 0..5 {
            let begun = Instant::now();
            let read = store.read(&request).await.unwrap();
            times.push(begun.elapsed());
            assert_eq!(read.len(), points, "{what}");
        }
        times.sort_unstable();
        println!("{what}: {:?} at the first, median {:?}", times[4], times[2]);
        assert!(times[2] < Duration::from_millis(300), "{what}: {times:?}");
    }
}
