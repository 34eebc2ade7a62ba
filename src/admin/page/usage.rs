//! What keys were used for: plots, and where the requests went.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::response::Response;
use maud::{Markup, html};

use super::parts;
use super::plot;
use super::shell::Section;
use super::times;
use super::visit::Visit;
use crate::admin::rights::Act;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::key::KeyInfo;
use crate::usage::{UsageCounts, UsageDimension, UsagePoint, UsageQuery, UsageStep};

const DAY: Duration = Duration::from_secs(86_400);

/// How many rows a table of names shows.
const ROWS: usize = 12;

/// How far to look back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Window {
    word: &'static str,
    name: &'static str,
    length: Duration,
    step: UsageStep,
}

const WINDOWS: [Window; 3] = [
    Window {
        word: "day",
        name: "24 hours",
        length: DAY,
        step: UsageStep::Hour,
    },
    Window {
        word: "month",
        name: "30 days",
        length: DAY.saturating_mul(30),
        step: UsageStep::Day,
    },
    Window {
        word: "quarter",
        name: "90 days",
        length: DAY.saturating_mul(90),
        step: UsageStep::Day,
    },
];

impl Window {
    fn asked(visit: &Visit) -> Self {
        let word = visit.query.get("window");
        let [first, ..] = WINDOWS;
        let found = WINDOWS.into_iter().find(|window| window.word == word);
        found.unwrap_or(first)
    }

    fn query(self, now: Timestamp) -> UsageQuery {
        // The step that is under way is the last one.
        let from = now.saturating_sub(self.length);
        let from = self.step.next(self.step.start_of(from));
        UsageQuery::new(from, now, self.step)
    }
}

/// The page about all keys, or about one's own.
pub(super) async fn overview(visit: Visit) -> Response {
    let shown = async {
        visit.require(Act::SeeUsage)?;
        let window = Window::asked(&visit);
        let shown = shown(&visit, "/usage", window, &window.query(visit.now), OVERVIEW).await?;
        let content = html! {
            h1 { "Usage" }
            p.quiet { (if visit.is_admin { "All requests, those without a genuine key included." } else { "All requests with your keys." }) }
            (shown)
        };
        Ok(visit.page(Section::Usage, "Usage", &content))
    };
    let shown = shown.await;
    visit.answer(shown)
}

const OVERVIEW: &[(UsageDimension, &str)] = &[
    (UsageDimension::Operation, "By tool or method"),
    (UsageDimension::Server, "By project"),
    (UsageDimension::Outcome, "By outcome"),
];

const OF_KEY: &[(UsageDimension, &str)] = &[
    (UsageDimension::Operation, "By tool or method"),
    (UsageDimension::Outcome, "By outcome"),
    (UsageDimension::Secret, "By secret"),
];

/// The part of a key's page about its usage.
pub(super) async fn of_key(visit: &Visit, key: &KeyInfo) -> Result<Markup, Error> {
    let window = Window::asked(visit);
    let query = window.query(visit.now).of_key(key.id);
    let path = format!("/keys/{}", key.id);
    let shown = shown(visit, &path, window, &query, OF_KEY).await?;
    Ok(html! {
        section aria-labelledby="usage" {
            h2 #usage { "Usage" }
            (shown)
        }
    })
}

async fn shown(
    visit: &Visit,
    path: &str,
    window: Window,
    query: &UsageQuery,
    dimensions: &[(UsageDimension, &str)],
) -> Result<Markup, Error> {
    if !visit.manager.records_usage() {
        return Ok(parts::empty("Usage is not recorded here.", &html! {}));
    }
    let points = visit.manager.usage(query).await?;
    let series = filled(query, &points);
    let mut sum = UsageCounts::default();
    points.iter().for_each(|point| sum.add(&point.counts));
    let mut tables = Vec::new();
    if sum.requests > 0 {
        for (dimension, name) in dimensions {
            let query = query.clone().by(*dimension);
            let points = visit.manager.usage(&query).await?;
            tables.push((name, by_label(&points)));
        }
    }
    Ok(html! {
        ul.tabs {
            @for known in WINDOWS {
                @let current = (known == window).then_some("true");
                li { a href={ (visit.link_with(path, [("window", known.word)])) "#usage" } aria-current=[current] { (known.name) } }
            }
        }
        @if sum.requests == 0 {
            (parts::empty("No requests in this time.", &html! {}))
        } @else {
            (facts(&sum))
            (plot::bars(&format!("Requests in the last {}: {}", window.name, plot::told(&sum)), window.step, &series))
            (numbers(window.step, &series))
            div.columns.three {
                @for (name, rows) in &tables { (table(name, rows)) }
            }
        }
    })
}

/// The series with a point for each step.
fn filled(query: &UsageQuery, points: &[UsagePoint]) -> Vec<(Timestamp, UsageCounts)> {
    let mut by_time: BTreeMap<Timestamp, UsageCounts> = BTreeMap::new();
    for point in points {
        by_time.entry(point.at).or_default().add(&point.counts);
    }
    query
        .steps()
        .map(|at| (at, by_time.remove(&at).unwrap_or_default()))
        .collect()
}

/// The sums of each label, the largest first.
fn by_label(points: &[UsagePoint]) -> Vec<(String, UsageCounts)> {
    let mut sums: BTreeMap<&str, UsageCounts> = BTreeMap::new();
    for point in points {
        let label = point.label.as_deref().unwrap_or("\u{2013}");
        sums.entry(label).or_default().add(&point.counts);
    }
    let mut rows: Vec<_> = sums
        .into_iter()
        .map(|(label, counts)| (label.to_owned(), counts))
        .collect();
    rows.sort_by_key(|(_, counts)| std::cmp::Reverse(counts.requests));
    rows
}

fn facts(sum: &UsageCounts) -> Markup {
    let percent = |share: Option<f64>| match share {
        Some(share) => format!("{:.1} %", share * 100.0),
        None => "\u{2013}".to_owned(),
    };
    let time = |percent| match sum.latency.percentile(percent) {
        Some(time) => format!("{:.1} ms", time.as_secs_f64() * 1_000.0),
        None => "\u{2013}".to_owned(),
    };
    html! {
        dl.numbers {
            div { dt { "Requests" } dd { (sum.requests) } }
            div { dt { "Turned away" } dd { (percent(sum.denial_rate())) } }
            div { dt { "Errors" } dd { (percent(sum.error_rate())) } }
            div { dt { "Median" } dd { (time(50.0)) } }
            div { dt { "95th percentile" } dd { (time(95.0)) } }
        }
    }
}

fn numbers(step: UsageStep, series: &[(Timestamp, UsageCounts)]) -> Markup {
    html! {
        details {
            summary { "The same as a table" }
            table.list {
                caption.hidden { "Requests over time" }
                thead { tr {
                    th scope="col" { "From (UTC)" }
                    th scope="col" { "Requests" }
                    th scope="col" { "Let through" }
                    th scope="col" { "Errors" }
                    th scope="col" { "Turned away" }
                } }
                tbody {
                    @for (at, counts) in series.iter().rev().filter(|(_, counts)| counts.requests > 0) {
                        tr {
                            th scope="row" { time datetime=(at) { (times::exact(*at).trim_end_matches(" UTC")) } " " span.hidden { (plot::label(*at, step)) } }
                            td data-label="Requests" { (counts.requests) }
                            td data-label="Let through" { (counts.allowed) }
                            td data-label="Errors" { (counts.client_errors.saturating_add(counts.server_errors)) }
                            td data-label="Turned away" { (counts.denied) }
                        }
                    }
                }
            }
        }
    }
}

fn table(name: &str, rows: &[(String, UsageCounts)]) -> Markup {
    html! {
        div {
            h3 { (name) }
            table.small {
                caption.hidden { (name) }
                thead { tr {
                    th scope="col" { "Name" }
                    th.end scope="col" { "Requests" }
                } }
                tbody {
                    @for (label, counts) in rows.iter().take(ROWS) {
                        tr {
                            th scope="row" { bdi { (label) } }
                            td.end { (counts.requests) }
                        }
                    }
                }
            }
            @if rows.len() > ROWS { p.quiet { "and " (rows.len() - ROWS) " more" } }
        }
    }
}
