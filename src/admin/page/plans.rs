//! Plans: sets of limits that many keys share.

use axum::response::Response;
use http::StatusCode;
use maud::html;

use super::draft::Faults;
use super::form_fields::{field, summary};
use super::notation::{Budget, Rate, in_lines, lines};
use super::parts;
use super::shell::{Notice, Section};
use super::submission::{Submission, finished};
use super::visit::Visit;
use crate::admin::rights::Act;
use crate::error::{Error, ErrorKind};
use crate::key::{Plan, PlanName, Revision};

const LABELS: [(&str, &str); 3] = [
    ("name", "Name"),
    ("limits", "Rate limits"),
    ("quotas", "Quotas"),
];

pub(super) async fn list(visit: Visit) -> Response {
    let shown = shown(&visit).await;
    visit.answer(shown)
}

fn may_change(visit: &Visit) -> bool {
    visit.offers(Act::DefinePlan)
}

async fn shown(visit: &Visit) -> Result<Response, Error> {
    visit.require(Act::SeePlans)?;
    let plans = visit.manager.plans().await?;
    let content = html! {
        div.head {
            h1 { "Plans" }
            @if may_change(visit) { a.button.primary href=(visit.link("/plans/edit")) { "New plan" } }
        }
        p.quiet { "A key on a plan has the plan\u{2019}s limits, each key for itself, but for those that it has of the same name." }
        table.list {
            caption.hidden { "Plans, by name" }
            thead { tr {
                th scope="col" { "Name" }
                th scope="col" { "Rate limits" }
                th scope="col" { "Quotas" }
                th scope="col" { "Where from" }
                th scope="col" { span.hidden { "Acts" } }
            } }
            tbody {
                @for plan in &plans {
                    tr {
                        th scope="row" {
                            @if may_change(visit) {
                                a href=(visit.link_with("/plans/edit", [("name", plan.name.as_str())])) { (plan.name) }
                            } @else { (plan.name) }
                        }
                        td data-label="Rate limits" {
                            @if plan.limits.is_empty() { span.quiet { "None" } }
                            @else { (parts::codes(plan.limits.iter().cloned().map(Rate))) }
                        }
                        td data-label="Quotas" {
                            @if plan.quotas.is_empty() { span.quiet { "None" } }
                            @else { (parts::codes(plan.quotas.iter().cloned().map(Budget))) }
                        }
                        td data-label="Where from" { (if is_stored(plan) { "Stored" } else { "Built in" }) }
                        td.end {
                            a href=(visit.link_with("/keys", [("plan", plan.name.as_str())])) { "Keys" span.hidden { " on " (plan.name) } }
                        }
                    }
                }
            }
        }
    };
    Ok(visit.page(Section::Plans, "Plans", &content))
}

fn is_stored(plan: &Plan) -> bool {
    plan.revision != Revision::default()
}

/// A plan as the form holds it.
struct Texts {
    name: String,
    limits: String,
    quotas: String,
}

impl Texts {
    fn of(plan: &Plan) -> Self {
        Self {
            name: plan.name.to_string(),
            limits: in_lines(plan.limits.iter().cloned().map(Rate)),
            quotas: in_lines(plan.quotas.iter().cloned().map(Budget)),
        }
    }

    fn read(&self) -> Result<Plan, Faults> {
        let mut faults = Faults::new();
        let name = self.name.parse::<PlanName>().map_err(|why| {
            faults.insert("name", why.to_string());
        });
        let limits = lines::<Rate>(&self.limits).map_err(|why| {
            faults.insert("limits", why);
        });
        let quotas = lines::<Budget>(&self.quotas).map_err(|why| {
            faults.insert("quotas", why);
        });
        let (Ok(name), Ok(limits), Ok(quotas)) = (name, limits, quotas) else {
            return Err(faults);
        };
        let plan = limits
            .into_iter()
            .fold(Plan::new(name), |plan, rate| plan.rate(rate.0));
        Ok(quotas
            .into_iter()
            .fold(plan, |plan, quota| plan.quota(quota.0)))
    }
}

pub(super) async fn edit(visit: Visit) -> Response {
    let shown = async {
        visit.require(Act::SeePlans)?;
        let plan = match visit.query.some("name") {
            None => None,
            Some(name) => Some(known(&visit, name).await?),
        };
        let empty = || Texts {
            name: String::new(),
            limits: String::new(),
            quotas: String::new(),
        };
        let texts = plan.as_ref().map_or_else(empty, Texts::of);
        Ok(form(
            &visit,
            StatusCode::OK,
            plan.as_ref(),
            &texts,
            &Faults::new(),
        ))
    };
    let shown = shown.await;
    visit.answer(shown)
}

async fn known(visit: &Visit, name: &str) -> Result<Plan, Error> {
    let none = || Error::new(ErrorKind::NotFound, "there is no such plan");
    let name: PlanName = name.parse().map_err(|_| none())?;
    visit.manager.plan(&name).await?.ok_or_else(none)
}

pub(super) async fn save(Submission { visit, fields }: Submission) -> Response {
    let base = visit.base.clone();
    let saved = async move {
        let saved = async {
            visit.require(Act::DefinePlan)?;
            let [name, limits, quotas] = LABELS.map(|(name, _)| fields.get(name).to_owned());
            let texts = Texts {
                name,
                limits,
                quotas,
            };
            let is_known = !fields.get("revision").is_empty();
            let seen = fields
                .get("revision")
                .parse()
                .map_or(0, |revision| revision);
            store(&visit, &texts, is_known, Revision::new(seen)).await
        };
        let saved = saved.await;
        visit.answer(saved)
    };
    finished(&base, saved).await
}

async fn store(
    visit: &Visit,
    texts: &Texts,
    is_known: bool,
    seen: Revision,
) -> Result<Response, Error> {
    let before = if is_known {
        Some(known(visit, &texts.name).await?)
    } else {
        None
    };
    let again = |status, faults: &Faults| Ok(form(visit, status, before.as_ref(), texts, faults));
    let mut plan = match texts.read() {
        Ok(plan) => plan,
        Err(faults) => return again(StatusCode::UNPROCESSABLE_ENTITY, &faults),
    };
    plan.revision = seen;
    match visit.manager.put_plan(plan).await {
        Ok(_) => Ok(visit.go_with(Notice::PlanSaved, "/plans")),
        Err(error) if error.kind() == ErrorKind::Conflict => {
            let text = match &before {
                None => "is there already",
                Some(_) => {
                    "was changed by somebody else meanwhile: look at what is stored now, \
                            then save again if it is to be replaced"
                }
            };
            again(
                StatusCode::CONFLICT,
                &Faults::from([("name", text.to_owned())]),
            )
        }
        Err(error) => {
            let field = LABELS
                .into_iter()
                .find(|(name, _)| error.field() == Some(name));
            match field {
                Some((name, _)) => {
                    let faults = Faults::from([(name, error.to_string())]);
                    again(StatusCode::UNPROCESSABLE_ENTITY, &faults)
                }
                None => Err(error),
            }
        }
    }
}

fn form(
    visit: &Visit,
    status: StatusCode,
    plan: Option<&Plan>,
    texts: &Texts,
    faults: &Faults,
) -> Response {
    let title = plan.map_or_else(
        || "New plan".to_owned(),
        |plan| format!("Plan {}", plan.name),
    );
    let area = |name: &'static str, label: &str, value: &str, hint: &str| {
        field(name, label, hint, faults, |attributes| {
            html! {
                textarea.code id=(attributes.id) name=(name) rows="3" spellcheck="false"
                    aria-invalid=[attributes.invalid] aria-describedby=[&attributes.described] { "\n" (value) }
            }
        })
    };
    let content = html! {
        nav.trail aria-label="Breadcrumb" { ol { li { a href=(visit.link("/plans")) { "Plans" } } } }
        div.head {
            h1 { (title) }
            @if let Some(plan) = plan {
                @if is_stored(plan) && may_change(visit) {
                    form.inline method="post" action=(visit.link("/plans/remove")) {
                        (parts::token(visit))
                        input type="hidden" name="name" value=(plan.name);
                        button.danger type="submit" { "Remove" }
                    }
                }
            }
        }
        (summary(faults, &LABELS))
        form.sheet method="post" action=(visit.link("/plans/edit")) {
            (parts::token(visit))
            @if let Some(plan) = plan { input type="hidden" name="revision" value=(plan.revision); }
            (field("name", "Name", "Lower-case letters, digits, - and _.", faults, |attributes| html! {
                input id=(attributes.id) name="name" type="text" value=(texts.name) required readonly[plan.is_some()]
                    autocomplete="off" aria-invalid=[attributes.invalid] aria-describedby=[&attributes.described];
            }))
            (area("limits", "Rate limits", &texts.limits, "Such as 60/min, 60/min:10 with a burst, day=5000/day under a name; one a line."))
            (area("quotas", "Quotas", &texts.quotas, "By the calendar: 1000/day, tokens=100000/month; one a line."))
            @if may_change(visit) {
                div.acts {
                    button.primary type="submit" { (if plan.is_some() { "Save changes" } else { "Create plan" }) }
                    a.button href=(visit.link("/plans")) { "Cancel" }
                }
            }
        }
    };
    visit.page_as(status, Section::Plans, &title, &content)
}

pub(super) async fn remove(Submission { visit, fields }: Submission) -> Response {
    let base = visit.base.clone();
    let removed = async move {
        let removed = async {
            visit.require(Act::RemovePlan)?;
            let plan = known(&visit, fields.get("name")).await?;
            visit.manager.remove_plan(&plan.name).await?;
            Ok(visit.go_with(Notice::PlanRemoved, "/plans"))
        };
        let removed = removed.await;
        visit.answer(removed)
    };
    finished(&base, removed).await
}
