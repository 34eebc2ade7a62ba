//! Programs that use a key on somebody's behalf.

use axum::response::Response;
use maud::html;

use super::parts::{self, pager};
use super::shell::Section;
use super::times;
use super::visit::Visit;
use crate::admin::rights::Act;
use crate::error::Error;
use crate::key::{Connection, KeyId, KeyInfo};
use crate::store::{KeyFilter, PageRequest};

const SIZE: usize = 50;

pub(super) async fn list(visit: Visit) -> Response {
    let shown = shown(&visit).await;
    visit.answer(shown)
}

async fn shown(visit: &Visit) -> Result<Response, Error> {
    let filter = KeyFilter {
        connections: Some(true),
        ..KeyFilter::default()
    };
    let mut page = PageRequest::first(SIZE);
    if let Some(after) = visit.query.some("after") {
        let after = after.parse::<KeyId>();
        page = page.after(after.map_err(|why| Error::invalid("after", why.expectation()))?);
    }
    let found = visit.manager.list(&filter, page).await?;
    let next = found.next.map(|next| next.to_string());
    let next = next.map(|next| visit.link_with("/connections", [("after", next.as_str())]));
    let first = visit
        .query
        .some("after")
        .map(|_| visit.link("/connections"));
    let content = html! {
        h1 { "Connections" }
        p.quiet { "Programs that were let in on behalf of a user. Disconnecting revokes the key behind the connection at once." }
        @if found.keys.is_empty() {
            (parts::empty("There are no connections.", &html! {}))
        } @else {
            table.list {
                caption.hidden { "Connections" }
                thead { tr {
                    th scope="col" { "Program" }
                    th scope="col" { "Key" }
                    @if visit.is_admin { th scope="col" { "Owner" } }
                    th scope="col" { "Projects" }
                    th scope="col" { "Scopes" }
                    th scope="col" { "Access" }
                    th scope="col" { "Connected" }
                    th scope="col" { "Last used" }
                    th scope="col" { "Expires" }
                    th scope="col" { span.hidden { "Acts" } }
                } }
                tbody { @for key in &found.keys { (row(visit, key)) } }
            }
        }
        (pager(first.as_deref(), next.as_deref()))
    };
    Ok(visit.page(Section::Connections, "Connections", &content))
}

/// What the program calls itself, and its id, which it cannot choose.
pub(super) fn program(connection: &Connection) -> maud::Markup {
    html! {
        @match &connection.name {
            None => bdi { (connection.client) },
            Some(name) => { bdi { (name) } " " bdi.quiet { (connection.client) } },
        }
    }
}

fn row(visit: &Visit, key: &KeyInfo) -> maud::Markup {
    html! {
        tr {
            th scope="row" { @if let Some(connection) = &key.connection { (program(connection)) } }
            td data-label="Key" { a href=(visit.link(&format!("/keys/{}", key.id))) { bdi { (key.name) } } " " (parts::status(key, visit.now)) }
            @if visit.is_admin {
                td data-label="Owner" { @if let Some(owner) = &key.owner { bdi { (owner) } } }
            }
            td data-label="Projects" { (parts::servers(&key.servers)) }
            td data-label="Scopes" { (parts::scopes(&key.scopes)) }
            td data-label="Access" { (parts::access(key.access)) }
            td data-label="Connected" { (times::near(key.created_at, visit.now)) }
            td data-label="Last used" { (times::near_or(key.last_used_at, visit.now, "Never")) }
            td data-label="Expires" { (times::near_or(key.expires_at, visit.now, "Never")) }
            td.end {
                @if visit.may(Act::Disconnect) {
                    (parts::act(visit, &format!("/keys/{}/disconnect", key.id), "Disconnect", "button danger"))
                }
            }
        }
    }
}
