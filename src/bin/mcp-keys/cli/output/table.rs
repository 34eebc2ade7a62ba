//! Tables of plain text, and the cells in them.
//!
//! No text that somebody stored can move a terminal's cursor.

use mcp_api_keys::Timestamp;
use mcp_api_keys::key::{Quota, RateLimit, ScopeSet, Servers};

use crate::cli::values::{written, written_quota};

/// The widest cell of a list.
const CELL: usize = 48;

/// A table of columns as wide as their widest cell.
pub(crate) fn table<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    let rows: Vec<[String; N]> = std::iter::once(head.map(str::to_owned))
        .chain(rows.iter().cloned())
        .map(|row| row.map(|cell| harmless(&cell)))
        .collect();
    let widths: [usize; N] = std::array::from_fn(|column| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    });
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(widths);
        let cells: Vec<_> = cells
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

pub(crate) fn servers(servers: &Servers) -> String {
    match servers {
        Servers::All => "all".to_owned(),
        Servers::Only(names) if names.is_empty() => "none".to_owned(),
        Servers::Only(names) => joined(names),
    }
}

pub(crate) fn scopes(scopes: &ScopeSet) -> String {
    if scopes.is_empty() {
        "none".to_owned()
    } else {
        joined(scopes)
    }
}

pub(crate) fn rates(limits: &[RateLimit]) -> String {
    joined(limits.iter().map(written))
}

pub(crate) fn quotas(quotas: &[Quota]) -> String {
    joined(quotas.iter().map(written_quota))
}

/// A time that may never come, or never came.
pub(crate) fn or_never(time: Option<Timestamp>) -> String {
    time.map_or_else(|| "never".to_owned(), to_the_second)
}

/// The text, or a dash where there is none.
pub(crate) fn or_dash(text: String) -> String {
    if text.is_empty() { dash() } else { text }
}

pub(crate) fn joined<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<_> = items.into_iter().map(|item| item.to_string()).collect();
    items.join(", ")
}

pub(crate) fn dash() -> String {
    "-".to_owned()
}

pub(crate) fn to_the_second(time: Timestamp) -> String {
    let millis = time.as_millis();
    Timestamp::from_millis(millis - millis.rem_euclid(1_000)).to_string()
}

/// The text without what a terminal would obey; lines become one.
pub(crate) fn harmless(text: &str) -> String {
    let is_direction = |c| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars()
        .map(|c| match c {
            '\n' | '\t' => ' ',
            c if c.is_control() || is_direction(c) => '\u{fffd}',
            c => c,
        })
        .collect()
}

pub(crate) fn shortened(text: &str) -> String {
    if text.chars().count() <= CELL {
        return text.to_owned();
    }
    text.chars().take(CELL - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [
            ["a".to_owned(), "Zoë".to_owned()],
            ["bcd".to_owned(), "x".to_owned()],
        ];
        assert_eq!(table(["K", "NAME"], &rows), "K    NAME\na    Zoë\nbcd  x\n");
    }

    #[test]
    fn stored_text_cannot_move_the_cursor_nor_break_a_line() {
        assert_eq!(
            harmless("a\u{1b}[2J\nb\u{202e}c"),
            "a\u{fffd}[2J b\u{fffd}c"
        );
    }

    #[test]
    fn long_cells_are_cut_with_a_sign() {
        let cut = shortened(&"é".repeat(100));
        assert_eq!(cut.chars().count(), CELL);
        assert!(cut.ends_with('…'));
    }

    #[test]
    fn times_are_shown_to_the_second() {
        assert_eq!(
            to_the_second(Timestamp::from_millis(1_999)),
            "1970-01-01T00:00:01Z"
        );
        assert_eq!(
            to_the_second(Timestamp::from_millis(-1)),
            "1969-12-31T23:59:59Z"
        );
    }
}
