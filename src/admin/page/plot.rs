//! Bars over time as SVG: what was let through, what of it ended in an error, what was turned away.
//!
//! The colours are those of the style sheet; the numbers stand in a table beside it, for whoever
//! cannot see the bars.

use maud::{Markup, html};

use super::times;
use crate::clock::Timestamp;
use crate::usage::{UsageCounts, UsageStep};

const WIDTH: u64 = 720;
const HEIGHT: u64 = 160;
/// Room for the numbers on the left, and for the times below.
const LEFT: u64 = 44;
const BELOW: u64 = 22;

/// The bars of a series, one for each step.
pub(super) fn bars(title: &str, step: UsageStep, series: &[(Timestamp, UsageCounts)]) -> Markup {
    let highest = series.iter().map(|(_, counts)| counts.requests).max();
    let top = round_up(highest.unwrap_or(0));
    let inner = HEIGHT - BELOW - 8;
    let slot = (WIDTH - LEFT) / u64::try_from(series.len()).unwrap_or(1).max(1);
    let height = |count: u64| {
        // At least a pixel for whatever there is.
        let exact = u128::from(count) * u128::from(inner) / u128::from(top.max(1));
        u64::try_from(exact)
            .unwrap_or(inner)
            .max(u64::from(count > 0))
    };
    let every = series.len().div_ceil(6).max(1);
    html! {
        svg.plot viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label=(title) {
            @for (part, count) in [(0, top), (1, top / 2), (2, 0)] {
                @let y = 8 + part * inner / 2;
                line.grid x1=(LEFT) x2=(WIDTH) y1=(y) y2=(y) {}
                text.scale x=(LEFT - 6) y=(y + 4) text-anchor="end" { (short(count)) }
            }
            @for (at, (time, counts)) in series.iter().enumerate() {
                @let x = LEFT + slot * u64::try_from(at).unwrap_or(0);
                @let errors = counts.client_errors.saturating_add(counts.server_errors);
                @let good = counts.allowed.saturating_sub(errors);
                @let (good, errors, denied) = (height(good), height(errors), height(counts.denied));
                @let floor = HEIGHT - BELOW;
                @let width = slot.saturating_sub(2).max(1);
                g {
                    title { (label(*time, step)) ": " (told(counts)) }
                    rect.good x=(x) width=(width) height=(good) y=(floor.saturating_sub(good)) {}
                    rect.errors x=(x) width=(width) height=(errors) y=(floor.saturating_sub(good + errors)) {}
                    rect.denied x=(x) width=(width) height=(denied) y=(floor.saturating_sub(good + errors + denied)) {}
                }
                @if at % every == 0 {
                    text.scale x=(x) y=(HEIGHT - 6) { (label(*time, step)) }
                }
            }
        }
        ul.legend {
            li { span.swatch.good {} "Let through" }
            li { span.swatch.errors {} "Ended in an error" }
            li { span.swatch.denied {} "Turned away" }
        }
    }
}

/// The same in words.
pub(super) fn told(counts: &UsageCounts) -> String {
    let errors = counts.client_errors.saturating_add(counts.server_errors);
    format!(
        "{} requests, {errors} errors, {} turned away",
        counts.requests, counts.denied
    )
}

/// `07-28` for a day, `14:00` for an hour.
pub(super) fn label(time: Timestamp, step: UsageStep) -> String {
    let text = times::in_field(time);
    let part = match step {
        UsageStep::Day => text.get(5..10),
        UsageStep::Hour => text.get(11..16),
    };
    part.unwrap_or_default().to_owned()
}

/// The next number that makes a good scale: 2, 4, 10, 20, 40, 100 and so on.
fn round_up(highest: u64) -> u64 {
    let mut size = 1_u64;
    loop {
        for factor in [2, 4, 10] {
            let top = size.saturating_mul(factor);
            if top >= highest {
                return top;
            }
        }
        size = size.saturating_mul(10);
    }
}

/// `950`, `12k`, `3.4M`
pub(super) fn short(count: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")];
    for (size, unit) in UNITS {
        if count >= size {
            let (whole, tenth) = (count / size, count % size * 10 / size);
            return if whole >= 10 || tenth == 0 {
                format!("{whole}{unit}")
            } else {
                format!("{whole}.{tenth}{unit}")
            };
        }
    }
    count.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_end_at_round_numbers() {
        for (highest, top) in [
            (0, 2),
            (2, 2),
            (3, 4),
            (5, 10),
            (11, 20),
            (99, 100),
            (101, 200),
        ] {
            assert_eq!(round_up(highest), top, "{highest}");
        }
        assert_eq!(round_up(u64::MAX), u64::MAX);
        let told = [
            (950, "950"),
            (1_000, "1k"),
            (1_250, "1.2k"),
            (12_900, "12k"),
            (3_400_000, "3.4M"),
        ];
        for (count, text) in told {
            assert_eq!(short(count), text);
        }
    }

    #[test]
    fn every_step_has_its_bars_and_what_there_is_can_be_seen() {
        let counts = UsageCounts {
            requests: 1_000_001,
            allowed: 1_000_000,
            denied: 1,
            ..UsageCounts::default()
        };
        let noon = Timestamp::from_millis(1_785_240_000_000);
        let series = [
            (noon, counts),
            (UsageStep::Hour.next(noon), UsageCounts::default()),
        ];
        let svg = bars("Requests", UsageStep::Hour, &series).into_string();
        assert_eq!(svg.matches("<rect").count(), 6);
        assert!(
            svg.contains(r#"class="denied" x="44" width="336" height="1""#),
            "{svg}"
        );
        assert!(!svg.contains("style="), "{svg}");
    }
}
