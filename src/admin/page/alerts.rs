//! What looks wrong about keys: what is open first, and who has seen to it.

use std::collections::HashMap;

use axum::response::Response;
use maud::{Markup, html};

use super::form::key_id;
use super::parts::{self, filter_choice, filter_text, pager};
use super::shell::{Notice, Section};
use super::submission::{Submission, finished};
use super::visit::Visit;
use super::{letters, times};
use crate::admin::rights::Act;
use crate::alert::{Alert, AlertPlace, AlertRequest, AlertRule, AlertState};
use crate::error::{Error, ErrorKind};
use crate::key::{KeyId, KeyInfo};

/// How many alerts a page shows, and how many the page of a key.
const SIZE: usize = 50;
const OF_KEY: usize = AlertRule::ALL.len();

const FILTERS: [&str; 3] = ["state", "rule", "key"];

/// Where a form was, and where to go back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum On {
    List,
    Key,
}

pub(super) async fn list(visit: Visit) -> Response {
    let shown = shown(&visit).await;
    visit.answer(shown)
}

async fn shown(visit: &Visit) -> Result<Response, Error> {
    visit.require(Act::SeeAlerts)?;
    let is_paged = visit.query.some("after").is_some();
    let letters = match is_paged {
        true => html! {},
        false => letters::shown(visit).await?,
    };
    if !visit.manager.keeps_alerts() {
        let content = html! {
            h1 { "Alerts" }
            (parts::empty("Alerts are not kept here.", &html! {}))
            (letters)
        };
        return Ok(visit.page(Section::Alerts, "Alerts", &content));
    }
    let request = request(visit)?;
    let (alerts, fault) = match &request {
        Ok(request) => (visit.manager.alerts(request).await?, None),
        Err(fault) => (Vec::new(), Some(fault.as_str())),
    };
    let names = names(visit, &alerts).await?;
    let link = |after: &str| {
        let asked = FILTERS.map(|name| (name, visit.query.get(name)));
        visit.link_with("/alerts", asked.into_iter().chain([("after", after)]))
    };
    let last = alerts.last().filter(|_| alerts.len() == SIZE);
    let next = last.map(|last| link(&last.place().to_string()));
    let content = html! {
        h1 { "Alerts" }
        p.quiet { "What looks wrong about " (if visit.is_admin { "keys" } else { "your keys" }) ", some seconds late: the last alert of each key and kind." }
        (filters(visit, fault))
        @if fault.is_none() { (found(visit, &alerts, &names, is_paged)) }
        (pager(is_paged.then(|| link("")).as_deref(), next.as_deref()))
        (letters)
    };
    Ok(visit.page(Section::Alerts, "Alerts", &content))
}

/// What was asked for, or what of it makes no sense.
fn request(visit: &Visit) -> Result<Result<AlertRequest, String>, Error> {
    let mut request = AlertRequest::latest(SIZE);
    if let Some(after) = visit.query.some("after") {
        let place = after.parse::<AlertPlace>();
        request = request.after(place.map_err(|why| Error::invalid("after", why.to_string()))?);
    }
    if let Some(key) = visit.query.some("key") {
        match key.parse::<KeyId>() {
            Ok(key) => request = request.of_key(key),
            Err(why) => return Ok(Err(format!("The key id {}.", why.expectation()))),
        }
    }
    if let Some(rule) = visit.query.some("rule") {
        match rule.parse::<AlertRule>() {
            Ok(rule) => request = request.of_rule(rule),
            Err(_) => return Ok(Err("There are no alerts of this kind.".to_owned())),
        }
    }
    if let Some(state) = visit.query.some("state") {
        match state.parse::<AlertState>() {
            Ok(state) => request = request.in_state(state),
            Err(why) => return Ok(Err(format!("The state {why}."))),
        }
    }
    Ok(Ok(request))
}

fn filters(visit: &Visit, fault: Option<&str>) -> Markup {
    let asked = |name| visit.query.get(name);
    let narrowed = FILTERS.iter().any(|name| !asked(name).is_empty());
    let rules: Vec<_> = [("", "All kinds")]
        .into_iter()
        .chain(AlertRule::ALL.map(|rule| (rule.as_str(), name_of(rule))))
        .collect();
    html! {
        search {
            form.filters method="get" action=(visit.link("/alerts")) {
                (filter_choice("state", "State", asked("state"), &[
                    ("", "Open first"), ("open", "Open"), ("resolved", "Resolved"),
                ]))
                (filter_choice("rule", "Kind", asked("rule"), &rules))
                (filter_text("key", "Key id", asked("key")))
                div.acts {
                    button type="submit" { "Filter" }
                    @if narrowed { a href=(visit.link("/alerts")) { "Show all" } }
                }
                @if let Some(fault) = fault { p.fault role="alert" { (fault) } }
            }
        }
    }
}

/// What people call a rule.
fn name_of(rule: AlertRule) -> &'static str {
    match rule {
        AlertRule::Spike => "Much more use",
        AlertRule::Errors => "Many errors",
        AlertRule::NewNetwork => "New network",
        AlertRule::RevokedUsed => "Revoked key used",
        AlertRule::ExpiredUsed => "Expired key used",
        AlertRule::NearLimit => "Near a limit",
        AlertRule::NearQuota => "Near a quota",
        AlertRule::ExpiringSoon => "Expires soon",
        AlertRule::Idle => "Not used",
    }
}

fn found(
    visit: &Visit,
    alerts: &[Alert],
    names: &HashMap<KeyId, String>,
    is_paged: bool,
) -> Markup {
    let narrowed = FILTERS.iter().any(|name| visit.query.some(name).is_some());
    if alerts.is_empty() {
        let text = match narrowed || is_paged {
            true => "No alert matches.",
            false => "Nothing looks wrong.",
        };
        return parts::empty(text, &html! {});
    }
    html! {
        table.list {
            caption.hidden { "Alerts, the open ones first" }
            thead { tr {
                th scope="col" { "What" }
                th scope="col" { "Key" }
                th scope="col" { "State" }
                th scope="col" { "Raised" }
                th scope="col" { "Seen to" }
            } }
            tbody {
                @for alert in alerts {
                    tr {
                        th scope="row" { (what(alert)) }
                        td data-label="Key" {
                            a href=(visit.link(&format!("/keys/{}", alert.key))) {
                                @match names.get(&alert.key) {
                                    Some(name) => bdi { (name) },
                                    None => code { (alert.key) },
                                }
                            }
                        }
                        td data-label="State" { (state(alert)) }
                        td data-label="Raised" { (times::near(alert.raised_at, visit.now)) }
                        td data-label="Seen to" { (seen_to(visit, alert, On::List)) }
                    }
                }
            }
        }
    }
}

/// The names of the keys that alerts are about, where they can still be read.
async fn names(visit: &Visit, alerts: &[Alert]) -> Result<HashMap<KeyId, String>, Error> {
    let mut names = HashMap::new();
    for alert in alerts {
        if names.contains_key(&alert.key) {
            continue;
        }
        match visit.manager.get(alert.key).await {
            Ok(key) => drop(names.insert(alert.key, key.name)),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(names)
}

fn what(alert: &Alert) -> Markup {
    html! {
        (name_of(alert.rule))
        span.quiet.description { (super::problem::sentence(&alert.message())) }
    }
}

fn state(alert: &Alert) -> Markup {
    match alert.state {
        AlertState::Open => html! { span.badge.bad { "Open" } },
        AlertState::Resolved => html! { span.badge.off { "Resolved" } },
    }
}

/// Who has seen to it, or the form to say so.
fn seen_to(visit: &Visit, alert: &Alert, on: On) -> Markup {
    html! {
        @match &alert.acknowledged {
            Some(by) => { bdi { (by.by) } ", " (times::near(by.at, visit.now)) },
            None if visit.may(Act::AcknowledgeAlert) => {
                form.inline method="post" action=(visit.link("/alerts/acknowledge")) {
                    (parts::token(visit))
                    input type="hidden" name="key" value=(alert.key);
                    input type="hidden" name="rule" value=(alert.rule);
                    @if on == On::Key { input type="hidden" name="on" value="key"; }
                    button.button type="submit" { "Acknowledge" span.hidden { ": " (name_of(alert.rule)) } }
                }
            },
            None => span.quiet { "Nobody" },
        }
    }
}

/// The part of a key's page about what looks wrong at present.
pub(super) async fn of_key(visit: &Visit, key: &KeyInfo) -> Result<Markup, Error> {
    if !visit.may(Act::SeeAlerts) || !visit.manager.keeps_alerts() {
        return Ok(html! {});
    }
    let request = AlertRequest::latest(OF_KEY).of_key(key.id).open();
    let alerts = visit.manager.alerts(&request).await?;
    let id = key.id.to_string();
    Ok(html! {
        @if !alerts.is_empty() {
            section.warn aria-labelledby="alerts" {
                h2 #alerts { "Alerts" }
                ul.alerts {
                    @for alert in &alerts {
                        li {
                            strong { (name_of(alert.rule)) } " "
                            (super::problem::sentence(&alert.message())) " "
                            "(" (times::near(alert.raised_at, visit.now)) ") "
                            @if alert.acknowledged.is_some() { "Seen to by " }
                            (seen_to(visit, alert, On::Key))
                        }
                    }
                }
                p { a href=(visit.link_with("/alerts", [("key", id.as_str())])) { "All alerts of this key" } }
            }
        }
    })
}

pub(super) async fn acknowledge(submission: Submission) -> Response {
    let Submission { visit, fields } = submission;
    let base = visit.base.clone();
    finished(&base, async move {
        let done = async {
            visit.require(Act::AcknowledgeAlert)?;
            let key = key_id(fields.get("key"))?;
            let rule = fields.get("rule").parse();
            let none = |_| Error::new(ErrorKind::NotFound, "there is no such alert");
            let rule: AlertRule = rule.map_err(none)?;
            visit.manager.acknowledge_alert(key, rule).await?;
            let back = match fields.get("on") {
                "key" => format!("/keys/{key}"),
                _ => "/alerts".to_owned(),
            };
            Ok(visit.go_with(Notice::Acknowledged, &back))
        };
        let done = done.await;
        visit.answer(done)
    })
    .await
}
