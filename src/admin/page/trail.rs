//! Entries of the trail as a table.

use maud::{Markup, html};

use super::visit::Visit;
use super::{difference, parts, times};
use crate::audit::AuditEntry;
use crate::key::Subject;

/// Whether the entries are all about the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    One,
    Many,
}

pub(super) fn table(visit: &Visit, entries: &[AuditEntry], of: Of) -> Markup {
    if entries.is_empty() {
        return parts::empty("Nothing happened yet.", &html! {});
    }
    html! {
        table.list.audit {
            caption.hidden { "The audit trail, newest first" }
            thead { tr {
                th scope="col" { "When" }
                th scope="col" { "Who" }
                th scope="col" { "What" }
                @if of == Of::Many { th scope="col" { "To" } }
                th scope="col" { "From" }
                th scope="col" { "Changed" }
            } }
            tbody {
                @for entry in entries {
                    tr {
                        th scope="row" { (times::full(entry.at, visit.now)) }
                        td data-label="Who" { bdi { (entry.actor) } }
                        td data-label="What" { span.badge.plain { (words(entry)) } }
                        @if of == Of::Many { td data-label="To" { (subject(visit, entry)) } }
                        td data-label="From" {
                            @match &entry.source {
                                Some(source) => bdi { (source) },
                                None => span.quiet { "\u{2013}" },
                            }
                        }
                        td data-label="Changed" { (difference::shown(entry.before.as_ref(), entry.after.as_ref())) }
                    }
                }
            }
        }
    }
}

fn words(entry: &AuditEntry) -> String {
    entry.action.as_str().replace('_', " ")
}

/// What was acted on, by its name where that is known.
fn subject(visit: &Visit, entry: &AuditEntry) -> Markup {
    let shown = entry.after.as_ref().or(entry.before.as_ref());
    let name = shown.and_then(|shown| shown.get("name")?.as_str());
    match &entry.subject {
        Subject::Key(id) => html! {
            a href=(visit.link(&format!("/keys/{id}"))) {
                @match name {
                    Some(name) => bdi { (name) },
                    None => code { (id) },
                }
            }
        },
        Subject::Owner(id) => html! {
            "owner "
            a href=(visit.link_with("/owners/edit", [("id", id.as_str())])) { bdi { (id) } }
        },
        Subject::Plan(name) => html! {
            "plan "
            a href=(visit.link_with("/plans/edit", [("name", name.as_str())])) { (name) }
        },
        Subject::Client(id) => html! { "program " bdi { (id) } },
        Subject::Code(_) => html! { "an authorization code" },
    }
}
