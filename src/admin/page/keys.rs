//! The table of keys.

use axum::response::Response;
use maud::{Markup, html};

use super::fields::Fields;
use super::notation::duration;
use super::parts::{self, filter_choice, filter_text, pager};
use super::shell::Section;
use super::times;
use super::visit::{Visit, see_other};
use crate::admin::rights::Act;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::key::{KeyId, KeyInfo};
use crate::manager::KeyPage;
use crate::store::{KeyFilter, PageRequest};

/// How many keys a page shows.
const SIZE: usize = 50;

const FILTERS: [&str; 7] = [
    "name", "owner", "server", "plan", "status", "expires", "idle",
];

pub(super) async fn front(visit: Visit) -> Response {
    see_other(&visit.base, "/keys")
}

pub(super) async fn list(visit: Visit) -> Response {
    let shown = shown(&visit).await;
    visit.answer(shown)
}

async fn shown(visit: &Visit) -> Result<Response, Error> {
    let title = if visit.is_admin { "Keys" } else { "My keys" };
    let filter = filter(&visit.query, visit.now);
    let (page, fault) = match &filter {
        Ok(filter) => (Some(visit.manager.list(filter, page(visit)?).await?), None),
        Err(fault) => (None, Some(fault.as_str())),
    };
    let content = html! {
        div.head {
            h1 { (title) }
            @if visit.may(Act::MakeKey) {
                a.button.primary href=(visit.link("/keys/new")) { "New key" }
            }
        }
        (filters(visit, fault))
        @if let Some(page) = &page { (found(visit, page)) }
    };
    Ok(visit.page(Section::Keys, title, &content))
}

fn page(visit: &Visit) -> Result<PageRequest, Error> {
    let first = PageRequest::first(SIZE);
    match visit.query.some("after") {
        None => Ok(first),
        Some(id) => id
            .parse()
            .map(|id: KeyId| first.after(id))
            .map_err(|error| Error::invalid("after", error.expectation())),
    }
}

/// What was asked for, or what of it makes no sense.
fn filter(query: &Fields, now: Timestamp) -> Result<KeyFilter, String> {
    let wrong = |what: &str, why: crate::key::InvalidText| format!("The {what} {why}.");
    let mut filter = KeyFilter {
        name_contains: query.some("name").map(str::to_owned),
        ..KeyFilter::default()
    };
    if let Some(owner) = query.some("owner") {
        filter.owner = Some(owner.parse().map_err(|why| wrong("owner", why))?);
    }
    if let Some(server) = query.some("server") {
        filter.server = Some(server.parse().map_err(|why| wrong("project", why))?);
    }
    if let Some(plan) = query.some("plan") {
        filter.plan = Some(plan.parse().map_err(|why| wrong("plan", why))?);
    }
    match query.get("status") {
        "" => {}
        "all" => filter.include_revoked = true,
        word => filter.status = Some(word.parse().map_err(|why| wrong("status", why))?),
    }
    if let Some(window) = query.some("expires") {
        let window = duration(window).map_err(|why| format!("The time until expiry {why}."))?;
        filter.expires_before = Some(now.saturating_add(window));
    }
    if let Some(window) = query.some("idle") {
        let window = duration(window).map_err(|why| format!("The time without use {why}."))?;
        filter.idle_since = Some(now.saturating_sub(window));
    }
    Ok(filter)
}

fn filters(visit: &Visit, fault: Option<&str>) -> Markup {
    let asked = |name| visit.query.get(name);
    let narrowed = FILTERS.iter().any(|name| !asked(name).is_empty());
    let rare = ["plan", "expires", "idle"];
    html! {
        search {
            form.filters method="get" action=(visit.link("/keys")) {
                (filter_text("name", "Name", asked("name")))
                @if visit.is_admin { (filter_text("owner", "Owner", asked("owner"))) }
                (filter_text("server", "Project", asked("server")))
                (filter_choice("status", "Status", asked("status"), &[
                    ("", "Not revoked"), ("active", "Active"), ("disabled", "Inactive"),
                    ("revoked", "Revoked"), ("all", "All"),
                ]))
                details.more open[rare.iter().any(|name| !asked(name).is_empty())] {
                    summary { "More" }
                    div.row {
                        (filter_text("plan", "Plan", asked("plan")))
                        (filter_choice("expires", "Expires", asked("expires"), &[
                            ("", "Whenever"), ("0d", "Has expired"), ("7d", "Within 7 days"),
                            ("30d", "Within 30 days"), ("90d", "Within 90 days"),
                        ]))
                        (filter_choice("idle", "Last used", asked("idle"), &[
                            ("", "Whenever"), ("7d", "Not in 7 days"), ("30d", "Not in 30 days"),
                            ("90d", "Not in 90 days"),
                        ]))
                    }
                }
                div.acts {
                    button type="submit" { "Filter" }
                    @if narrowed { a href=(visit.link("/keys")) { "Show all" } }
                }
                @if let Some(fault) = fault { p.fault role="alert" { (fault) } }
            }
        }
    }
}

fn found(visit: &Visit, page: &KeyPage) -> Markup {
    let asked = FILTERS.map(|name| (name, visit.query.get(name)));
    let narrowed = asked.iter().any(|(_, value)| !value.is_empty());
    let paged = visit.query.some("after").is_some();
    let link = |after: &str| visit.link_with("/keys", asked.into_iter().chain([("after", after)]));
    let next = page.next.map(|next| link(&next.to_string()));
    let first = paged.then(|| link(""));
    if page.keys.is_empty() {
        let (text, rest) = if narrowed || paged {
            ("No key matches.", html! {})
        } else {
            (
                "There are no keys yet.",
                html! { @if visit.may(Act::MakeKey) {
                    p { a.button.primary href=(visit.link("/keys/new")) { "Create the first key" } }
                } },
            )
        };
        return html! { (parts::empty(text, &rest)) (pager(first.as_deref(), next.as_deref())) };
    }
    html! {
        (table(visit, &page.keys))
        p.quiet.total { (parts::count(page.keys.len(), "key")) " on this page" }
        (pager(first.as_deref(), next.as_deref()))
    }
}

fn table(visit: &Visit, keys: &[KeyInfo]) -> Markup {
    html! {
        table.list {
            caption.hidden { "Keys, in the order of their making" }
            thead {
                tr {
                    th scope="col" { "Name" }
                    th scope="col" { "Status" }
                    th scope="col" { "Token" }
                    @if visit.is_admin { th scope="col" { "Owner" } }
                    th scope="col" { "Projects" }
                    th scope="col" { "Created" }
                    th scope="col" { "Last used" }
                    th scope="col" { "Expires" }
                }
            }
            tbody { @for key in keys { (row(visit, key)) } }
        }
    }
}

fn row(visit: &Visit, key: &KeyInfo) -> Markup {
    let now = visit.now;
    html! {
        tr {
            th scope="row" {
                a href=(visit.link(&format!("/keys/{}", key.id))) { bdi { (key.name) } }
                @if let Some(description) = &key.description {
                    span.quiet.description { bdi { (description) } }
                }
            }
            td data-label="Status" { (parts::status(key, now)) }
            td data-label="Token" { code { (key.masked) } }
            @if visit.is_admin {
                td data-label="Owner" {
                    @match &key.owner {
                        Some(owner) => bdi { (owner) },
                        None => span.quiet { "Nobody" },
                    }
                }
            }
            td data-label="Projects" { (parts::servers(&key.servers)) }
            td data-label="Created" { (times::near(key.created_at, now)) }
            td data-label="Last used" { (times::near_or(key.last_used_at, now, "Never")) }
            td data-label="Expires" { (times::near_or(key.expires_at, now, "Never")) }
        }
    }
}
