//! The one page that shows a key in clear.

use axum::response::Response;
use http::StatusCode;
use maud::html;

use super::notes::Notes;
use super::parts;
use super::shell::Section;
use super::times;
use super::visit::Visit;
use crate::key::{ApiKey, KeyInfo};

/// What the secret is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    New,
    Renewed,
}

/// Whether a form that makes a secret is sent for the first time: reloading the page that shows one
/// makes no other.
pub(super) fn is_first(visit: &Visit, once: &str) -> bool {
    let spend = |notes: &mut Notes| notes.spend(once);
    once.len() == 64 && visit.desk.note(&visit.session, spend).unwrap_or(false)
}

/// Lets such a form be sent again: no secret was made.
pub(super) fn take_back(visit: &Visit, once: &str) {
    let _ended = visit.desk.note(&visit.session, |notes| notes.unspend(once));
}

pub(super) fn already(visit: &Visit) -> Response {
    let content = html! {
        div.narrow {
            h1 { "This was done before" }
            p {
                "The form was sent a second time, and nothing was done again. A secret is shown once and \
                 cannot be shown again: if it was not copied, renew the key."
            }
            p { a.button href=(visit.link("/keys")) { "To the keys" } }
        }
    };
    let title = "This was done before";
    visit.page_as(StatusCode::CONFLICT, Section::Keys, title, &content)
}

pub(super) fn page(visit: &Visit, key: &ApiKey, info: &KeyInfo, shown: Shown) -> Response {
    let title = match shown {
        Shown::New => "Key created",
        Shown::Renewed => "Key renewed",
    };
    let content = html! {
        div.narrow {
            h1 { (title) }
            p.warn #once {
                strong { "Copy the key now." }
                " It is shown this once and cannot be shown again."
            }
            div.field {
                label for="secret" { "The key \u{201c}" bdi { (info.name) } "\u{201d}" }
                div.copy {
                    input.code #secret type="text" readonly value=(key.expose_secret())
                        size="56" autocomplete="off" spellcheck="false" aria-describedby="once" data-secret;
                    button.primary type="button" data-copy="secret" hidden { "Copy" }
                }
                p.quiet #copied role="status" aria-live="polite" {}
            }
            dl.facts {
                dt { "Status" } dd { (parts::status(info, visit.now)) }
                dt { "Projects" } dd { (parts::servers(&info.servers)) }
                dt { "Expires" } dd { (times::near_or(info.expires_at, visit.now, "Never")) }
                @if let Some(old) = &info.previous {
                    dt { "Old secret" }
                    dd {
                        @match old.ends_at {
                            Some(end) => { "works beside it until " (times::full(end, visit.now)) },
                            None => "works beside it until some time after the new one is first used",
                        }
                    }
                }
            }
            p { a.button href=(visit.link(&format!("/keys/{}", info.id))) { "I have copied it" } }
        }
    };
    visit.page(Section::Keys, title, &content)
}
