//! A series of usage, for people as a table with bars.

use std::collections::BTreeMap;
use std::time::Duration;

use mcp_api_keys::usage::{UsageCounts, UsagePoint, UsageQuery, UsageStep};

use super::output::{dash, table};

/// The length of the longest bar.
const WIDTH: u64 = 30;

/// How many steps without any request are shown before they are left out.
const STEPS: usize = 49;

/// The series as a table. Without a dimension a row for each step, also for those without requests,
/// unless there are very many of them.
pub(super) fn plot(query: &UsageQuery, points: &[UsagePoint]) -> String {
    if points.is_empty() {
        return "No requests were counted in this time.\n".to_owned();
    }
    let mut rows: BTreeMap<_, UsageCounts> = points
        .iter()
        .map(|point| ((point.at, point.label.clone()), point.counts.clone()))
        .collect();
    if query.by.is_none() && query.steps().nth(STEPS).is_none() {
        for at in query.steps() {
            rows.entry((at, None)).or_default();
        }
    }
    let most = rows.values().map(|counts| counts.requests).max();
    let cells: Vec<_> = rows
        .iter()
        .map(|((at, label), counts)| {
            let time = at.to_string();
            let length = if query.step == UsageStep::Day { 10 } else { 16 };
            let time = time.get(..length).unwrap_or(&time).replace('T', " ");
            let label = label.clone().unwrap_or_else(dash);
            (time, label, counts)
        })
        .collect();
    let numbers = |counts: &UsageCounts| {
        let errors = counts.client_errors.saturating_add(counts.server_errors);
        let time = |percent| counts.latency.percentile(percent).map_or_else(dash, millis);
        [
            counts.requests.to_string(),
            counts.denied.to_string(),
            errors.to_string(),
            time(50.0),
            time(99.0),
            bar(counts.requests, most.unwrap_or(0)),
        ]
    };
    if query.by.is_none() {
        let rows: Vec<_> = cells
            .into_iter()
            .map(|(time, _, counts)| {
                let [requests, denied, errors, p50, p99, bar] = numbers(counts);
                [time, requests, denied, errors, p50, p99, bar]
            })
            .collect();
        return table(
            ["TIME", "REQUESTS", "DENIED", "ERRORS", "P50", "P99", ""],
            &rows,
        );
    }
    let rows: Vec<_> = cells
        .into_iter()
        .map(|(time, label, counts)| {
            let [requests, denied, errors, p50, p99, bar] = numbers(counts);
            [time, label, requests, denied, errors, p50, p99, bar]
        })
        .collect();
    let head = [
        "TIME", "WHAT", "REQUESTS", "DENIED", "ERRORS", "P50", "P99", "",
    ];
    table(head, &rows)
}

/// A bar in proportion; what is there at all has some.
fn bar(part: u64, whole: u64) -> String {
    let scaled = u128::from(part) * u128::from(WIDTH);
    let length = scaled.div_ceil(u128::from(whole.max(1)));
    "█".repeat(usize::try_from(length).unwrap_or(0))
}

fn millis(time: Duration) -> String {
    let millis = time.as_secs_f64() * 1e3;
    if millis < 10.0 {
        format!("{millis:.1} ms")
    } else {
        format!("{millis:.0} ms")
    }
}

#[cfg(test)]
mod tests {
    use mcp_api_keys::Timestamp;
    use mcp_api_keys::usage::UsageDimension;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn point(time: &str, label: Option<&str>, requests: u64) -> UsagePoint {
        let mut counts = UsageCounts::default();
        (counts.requests, counts.allowed) = (requests, requests);
        counts.latency.add(Duration::from_millis(7), requests);
        UsagePoint::new(at(time), label.map(str::to_owned), counts)
    }

    #[test]
    fn every_hour_has_a_row_and_bars_are_in_proportion() {
        let (from, until) = (at("2026-07-28T10:30:00Z"), at("2026-07-28T14:00:00Z"));
        let query = UsageQuery::new(from, until, UsageStep::Hour);
        let points = [
            point("2026-07-28T10:00:00Z", None, 30),
            point("2026-07-28T12:00:00Z", None, 1),
        ];
        let text = plot(&query, &points);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 5, "{text}");
        assert!(lines[1].starts_with("2026-07-28 10:00"), "{text}");
        let bars: Vec<_> = lines.iter().map(|line| line.matches('█').count()).collect();
        assert_eq!(bars, [0, 30, 0, 1, 0]);
        let by = plot(
            &query.by(UsageDimension::Operation),
            &[point("2026-07-28T10:00:00Z", Some("a"), 3)],
        );
        assert_eq!(by.lines().count(), 2);
        assert!(
            plot(&UsageQuery::new(from, until, UsageStep::Day), &[]).starts_with("No requests")
        );
    }
}
