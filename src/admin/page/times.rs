//! Times as people read them: how far from now, and exactly.

use std::time::Duration;

use maud::{Markup, html};

use crate::clock::Timestamp;

/// A point in time by its distance; the exact time is there for whoever looks closer.
pub(super) fn near(time: Timestamp, now: Timestamp) -> Markup {
    html! { time datetime=(time) title=(exact(time)) { (distance(time, now)) } }
}

/// [`near`], or `otherwise` in its place.
pub(super) fn near_or(time: Option<Timestamp>, now: Timestamp, otherwise: &str) -> Markup {
    match time {
        Some(time) => near(time, now),
        None => html! { span.quiet { (otherwise) } },
    }
}

/// Both at once.
pub(super) fn full(time: Timestamp, now: Timestamp) -> Markup {
    html! { time datetime=(time) { (exact(time)) } " " span.quiet { "(" (distance(time, now)) ")" } }
}

/// `2026-07-28 10:00 UTC`
pub(super) fn exact(time: Timestamp) -> String {
    let text = time.to_string();
    match text.get(..16) {
        Some(minute) => format!("{} UTC", minute.replace('T', " ")),
        None => text,
    }
}

/// `2026-07-28T10:00`, as a browser's field for a date and time holds it.
pub(super) fn in_field(time: Timestamp) -> String {
    time.to_string().get(..16).unwrap_or_default().to_owned()
}

fn distance(time: Timestamp, now: Timestamp) -> String {
    let (ahead, behind) = (time.saturating_since(now), now.saturating_since(time));
    match (ahead.as_secs(), behind.as_secs()) {
        (0, 0..=59) => "just now".to_owned(),
        (0, _) => format!("{} ago", length(behind)),
        _ => format!("in {}", length(ahead)),
    }
}

/// The length in the largest unit that fits, to the nearest whole one.
pub(super) fn length(duration: Duration) -> String {
    const UNITS: [(u64, &str); 6] = [
        (365 * 86_400, "year"),
        (30 * 86_400, "month"),
        (86_400, "day"),
        (3_600, "hour"),
        (60, "minute"),
        (1, "second"),
    ];
    let seconds = duration.as_secs().max(1);
    let unit = UNITS.iter().find(|(size, _)| seconds >= *size);
    let (size, name) = unit.copied().unwrap_or((1, "second"));
    let count = (seconds + size / 2) / size;
    format!("{count} {name}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_told_in_the_largest_unit_that_fits() {
        let now: Timestamp = "2026-07-28T10:00:00Z".parse().unwrap();
        for (time, text) in [
            ("2026-07-28T10:00:00Z", "just now"),
            ("2026-07-28T09:59:01Z", "just now"),
            ("2026-07-28T09:59:00Z", "1 minute ago"),
            ("2026-07-28T07:00:00Z", "3 hours ago"),
            ("2026-07-29T10:00:00Z", "in 1 day"),
            ("2027-07-28T10:00:00Z", "in 1 year"),
            ("2026-08-27T09:59:58Z", "in 30 days"),
            ("2026-05-29T10:00:00Z", "2 months ago"),
        ] {
            assert_eq!(distance(time.parse().unwrap(), now), text, "{time}");
        }
        assert_eq!(exact(now), "2026-07-28 10:00 UTC");
        assert_eq!(in_field(now), "2026-07-28T10:00");
    }
}
