//! Small things that several pages show.

use maud::{Markup, html};

use super::visit::Visit;
use crate::clock::Timestamp;
use crate::key::{Access, KeyInfo, KeyStatus, ScopeSet, ServerSet, Servers};

/// Whether a key works, in a word. Colour only repeats what the word says.
pub(super) fn status(key: &KeyInfo, now: Timestamp) -> Markup {
    let (class, word) = match &key.status {
        KeyStatus::Revoked { .. } => ("badge bad", "Revoked"),
        KeyStatus::Disabled => ("badge off", "Inactive"),
        KeyStatus::Active if has_expired(key, now) => ("badge bad", "Expired"),
        KeyStatus::Active => ("badge good", "Active"),
    };
    html! { span class=(class) { (word) } }
}

pub(super) fn has_expired(key: &KeyInfo, now: Timestamp) -> bool {
    key.expires_at.is_some_and(|end| now >= end)
}

pub(super) fn is_revoked(key: &KeyInfo) -> bool {
    matches!(key.status, KeyStatus::Revoked { .. })
}

/// On which servers a key is: how many, and which.
pub(super) fn servers(servers: &Servers) -> Markup {
    match servers {
        Servers::All => html! { span.badge.plain { "All servers" } },
        Servers::Only(names) if names.is_empty() => html! { span.quiet { "None" } },
        Servers::Only(names) => html! {
            span.badge.plain title=(joined(names)) { "On " (count(names.len(), "project")) }
            " " span.names { (shortened(names)) }
        },
    }
}

fn joined(names: &ServerSet) -> String {
    let names: Vec<_> = names.iter().map(|name| name.as_str()).collect();
    names.join(", ")
}

/// The first names, and how many more there are.
fn shortened(names: &ServerSet) -> String {
    const SHOWN: usize = 3;
    let first: Vec<_> = names.iter().take(SHOWN).map(|name| name.as_str()).collect();
    match names.len().saturating_sub(SHOWN) {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

/// `1 project`, `2 projects`
pub(super) fn count(number: usize, of: &str) -> String {
    format!("{number} {of}{}", if number == 1 { "" } else { "s" })
}

pub(super) fn access(access: Access) -> &'static str {
    match access {
        Access::Full => "Full access",
        Access::ReadOnly => "Read-only",
    }
}

/// Names of servers, scopes, patterns: each as it is written.
pub(super) fn codes<T: std::fmt::Display>(values: impl IntoIterator<Item = T>) -> Markup {
    html! {
        ul.codes {
            @for value in values { li { code { bdi { (value.to_string()) } } } }
        }
    }
}

pub(super) fn scopes(scopes: &ScopeSet) -> Markup {
    if scopes.is_empty() {
        return html! { span.quiet { "None" } };
    }
    codes(scopes)
}

/// A button that is a form of its own.
pub(super) fn act(visit: &Visit, path: &str, name: &str, class: &str) -> Markup {
    html! {
        form.inline method="post" action=(visit.link(path)) {
            (token(visit))
            button class=(class) type="submit" { (name) }
        }
    }
}

/// What every form carries.
pub(super) fn token(visit: &Visit) -> Markup {
    html! { input type="hidden" name="token" value=(visit.token); }
}

/// What stands in place of a table without rows.
pub(super) fn empty(text: &str, rest: &Markup) -> Markup {
    html! { div.empty { p { (text) } (rest) } }
}

/// The way to the next page, and back to the first.
pub(super) fn pager(first: Option<&str>, next: Option<&str>) -> Markup {
    html! {
        @if first.is_some() || next.is_some() {
            nav.pager aria-label="Pages" {
                @if let Some(first) = first { a.button href=(first) { "First page" } }
                @if let Some(next) = next { a.button href=(next) rel="next" { "Next page" } }
            }
        }
    }
}

/// One field of a filter.
pub(super) fn filter_text(name: &str, label: &str, value: &str) -> Markup {
    html! {
        div.field {
            label for={ "filter-" (name) } { (label) }
            input id={ "filter-" (name) } name=(name) value=(value) type="search" autocomplete="off";
        }
    }
}

/// One choice of a filter: values and what they are called.
pub(super) fn filter_choice(
    name: &str,
    label: &str,
    value: &str,
    choices: &[(&str, &str)],
) -> Markup {
    html! {
        div.field {
            label for={ "filter-" (name) } { (label) }
            select id={ "filter-" (name) } name=(name) {
                @for (choice, text) in choices {
                    option value=(choice) selected[*choice == value] { (text) }
                }
            }
        }
    }
}
