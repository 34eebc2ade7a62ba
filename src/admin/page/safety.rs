//! Keys that are worth a second look.

use std::time::Duration;

use axum::response::Response;
use maud::html;

use super::parts::{self, filter_choice, pager};
use super::shell::Section;
use super::times;
use super::visit::Visit;
use crate::error::Error;
use crate::key::KeyId;
use crate::manager::Risk;
use crate::store::PageRequest;

/// How many keys are looked at for a page.
const SIZE: usize = 200;

pub(super) async fn list(visit: Visit) -> Response {
    let shown = shown(&visit).await;
    visit.answer(shown)
}

async fn shown(visit: &Visit) -> Result<Response, Error> {
    let asked = visit.query.some("idle").unwrap_or("90d");
    let idle = super::notation::duration(asked).map_err(|why| Error::invalid("idle", why))?;
    let mut page = PageRequest::first(SIZE);
    if let Some(after) = visit.query.some("after") {
        let after = after.parse::<KeyId>();
        page = page.after(after.map_err(|why| Error::invalid("after", why.expectation()))?);
    }
    let found = visit.manager.safety(idle, page).await?;
    let link = |after: &str| visit.link_with("/safety", [("idle", asked), ("after", after)]);
    let next = found.next.map(|next| link(&next.to_string()));
    let first = visit.query.some("after").map(|_| link(""));
    let content = html! {
        h1 { "Safety" }
        p.quiet { "Active keys that would do more harm than they have to if they got lost." }
        search {
            form.filters method="get" action=(visit.link("/safety")) {
                (filter_choice("idle", "Counts as unused after", asked, &[
                    ("7d", "7 days"), ("30d", "30 days"), ("90d", "90 days"), ("365d", "a year"),
                ]))
                div.acts { button type="submit" { "Look again" } }
            }
        }
        @if found.keys.is_empty() {
            @let text = if next.is_some() { "No key on this page is worth a second look." }
                else { "No key is worth a second look." };
            (parts::empty(text, &html! {}))
        } @else {
            table.list {
                caption.hidden { "Keys worth a second look" }
                thead { tr {
                    th scope="col" { "Key" }
                    @if visit.is_admin { th scope="col" { "Owner" } }
                    th scope="col" { "Why" }
                    th scope="col" { "Last used" }
                } }
                tbody {
                    @for risky in &found.keys {
                        @let key = &risky.key;
                        tr {
                            th scope="row" { a href=(visit.link(&format!("/keys/{}", key.id))) { bdi { (key.name) } } }
                            @if visit.is_admin {
                                td data-label="Owner" {
                                    @match &key.owner {
                                        Some(owner) => bdi { (owner) },
                                        None => span.quiet { "Nobody" },
                                    }
                                }
                            }
                            td data-label="Why" {
                                ul.reasons { @for risk in &risky.risks { li { (words(*risk, idle)) } } }
                            }
                            td data-label="Last used" { (times::near_or(key.last_used_at, visit.now, "Never")) }
                        }
                    }
                }
            }
        }
        (pager(first.as_deref(), next.as_deref()))
    };
    Ok(visit.page(Section::Safety, "Safety", &content))
}

fn words(risk: Risk, idle: Duration) -> String {
    match risk {
        Risk::NeverExpires => "Never expires".to_owned(),
        Risk::Unused => format!("Not used for {}", times::length(idle)),
        Risk::Unrestricted => "May do everything, everywhere".to_owned(),
        Risk::Unlimited => "Has no limit".to_owned(),
    }
}
