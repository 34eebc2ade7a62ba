//! The trail: who did what to which key, when, and from where.

use axum::response::Response;
use maud::{Markup, html};

use super::fields::Fields;
use super::notation::instant;
use super::parts::{filter_text, pager};
use super::shell::Section;
use super::trail;
use super::visit::Visit;
use crate::admin::rights::Act;
use crate::audit::AuditFilter;
use crate::error::Error;
use crate::key::Revision;
use crate::store::AuditPage;

/// How many entries a page shows.
const SIZE: usize = 50;

const FILTERS: [&str; 4] = ["subject", "actor", "since", "until"];

pub(super) async fn list(visit: Visit) -> Response {
    let shown = shown(&visit).await;
    visit.answer(shown)
}

async fn shown(visit: &Visit) -> Result<Response, Error> {
    visit.require(Act::SeeTrail)?;
    let mut page = AuditPage::newest(SIZE);
    if let Some(before) = visit.query.some("before") {
        let before = before.parse().map(Revision::new);
        let before = before.map_err(|_| Error::invalid("before", "must be a number"))?;
        page = page.before(before);
    }
    let filter = filter(&visit.query);
    let (entries, fault) = match &filter {
        Ok(filter) => (Some(visit.manager.audit(filter, page).await?), None),
        Err(fault) => (None, Some(fault.as_str())),
    };
    let link = |before: &str| {
        let asked = FILTERS.map(|name| (name, visit.query.get(name)));
        visit.link_with("/audit", asked.into_iter().chain([("before", before)]))
    };
    let next = entries.as_ref().and_then(|entries| {
        let last = entries.last().filter(|_| entries.len() == SIZE)?;
        Some(link(&last.revision.to_string()))
    });
    let first = visit.query.some("before").map(|_| link(""));
    let content = html! {
        h1 { "Audit" }
        (filters(visit, fault))
        @if let Some(entries) = &entries { (trail::table(visit, entries, trail::Of::Many)) }
        (pager(first.as_deref(), next.as_deref()))
    };
    Ok(visit.page(Section::Audit, "Audit", &content))
}

fn filter(query: &Fields) -> Result<AuditFilter, String> {
    let mut filter = AuditFilter {
        actor: query.some("actor").map(str::to_owned),
        ..AuditFilter::default()
    };
    if let Some(subject) = query.some("subject") {
        let subject = subject.parse();
        let subject = subject.map_err(|why| format!("What was acted on {why}."))?;
        filter.subject = Some(subject);
    }
    let time = |name| {
        let time = query.some(name).map(instant).transpose();
        time.map_err(|why| format!("The time {why}."))
    };
    filter.since = time("since")?;
    filter.until = time("until")?;
    Ok(filter)
}

fn filters(visit: &Visit, fault: Option<&str>) -> Markup {
    let asked = |name| visit.query.get(name);
    let narrowed = FILTERS.iter().any(|name| !asked(name).is_empty());
    html! {
        search {
            form.filters method="get" action=(visit.link("/audit")) {
                (filter_text("subject", "Key id, owner:\u{2026} or plan:\u{2026}", asked("subject")))
                (filter_text("actor", "Who", asked("actor")))
                @for (name, label) in [("since", "Since (UTC)"), ("until", "Until (UTC)")] {
                    div.field {
                        label for={ "filter-" (name) } { (label) }
                        input id={ "filter-" (name) } name=(name) type="datetime-local" value=(asked(name));
                    }
                }
                div.acts {
                    button type="submit" { "Filter" }
                    @if narrowed { a href=(visit.link("/audit")) { "Show all" } }
                }
                @if let Some(fault) = fault { p.fault role="alert" { (fault) } }
            }
        }
    }
}
