//! Making a key, and changing one.

use axum::extract::Path;
use axum::response::Response;
use http::StatusCode;
use maud::{Markup, html};

use super::draft::{Draft, Faults, place_of};
use super::fields::Fields;
use super::form_fields::{Form, Purpose};
use super::parts;
use super::secret::{self, Shown};
use super::shell::{Notice, Section};
use super::submission::{Submission, finished};
use super::visit::Visit;
use crate::admin::rights::Act;
use crate::browser::new_token;
use crate::error::{Error, ErrorKind};
use crate::key::{KeyId, KeyInfo, Revision};

pub(super) async fn new(visit: Visit) -> Response {
    let shown = async {
        visit.require(Act::MakeKey)?;
        let mut draft = Draft::of_new();
        draft.set("once", new_token());
        new_form(&visit, StatusCode::OK, &draft, &Faults::new()).await
    };
    let shown = shown.await;
    visit.answer(shown)
}

pub(super) async fn create(Submission { visit, fields }: Submission) -> Response {
    let base = visit.base.clone();
    let made = async move {
        let made = make(&visit, &Draft::sent(&fields)).await;
        visit.answer(made)
    };
    finished(&base, made).await
}

async fn make(visit: &Visit, draft: &Draft) -> Result<Response, Error> {
    visit.require(Act::MakeKey)?;
    let refuse = async |faults: Faults| {
        new_form(visit, StatusCode::UNPROCESSABLE_ENTITY, draft, &faults).await
    };
    let new = match draft.to_new(visit.now) {
        Ok(new) => new,
        Err(faults) => return refuse(faults).await,
    };
    let once = draft.get("once");
    if !secret::is_first(visit, once) {
        return Ok(secret::already(visit));
    }
    match visit.manager.issue(new).await {
        Ok(issued) => {
            let (key, info) = issued.into_parts();
            Ok(secret::page(visit, &key, &info, Shown::New))
        }
        Err(error) => {
            secret::take_back(visit, once);
            match fault_of(&error) {
                Some(faults) => refuse(faults).await,
                None => Err(error),
            }
        }
    }
}

async fn new_form(
    visit: &Visit,
    status: StatusCode,
    draft: &Draft,
    faults: &Faults,
) -> Result<Response, Error> {
    let form = Form {
        visit,
        draft,
        faults,
        plans: plans(visit).await?,
        purpose: Purpose::New,
    };
    let content = html! {
        (trail(visit, None))
        h1 { "New key" }
        (form.shown(&visit.link("/keys/new"), &html! {}))
    };
    Ok(visit.page_as(status, Section::Keys, "New key", &content))
}

pub(super) async fn edit(visit: Visit, Path(id): Path<String>) -> Response {
    let shown = async {
        visit.require(Act::ChangeKey)?;
        let key = visit.manager.get(key_id(&id)?).await?;
        let draft = Draft::of(&key);
        edit_form(
            &visit,
            StatusCode::OK,
            &key,
            &draft,
            &Faults::new(),
            &html! {},
        )
        .await
    };
    let shown = shown.await;
    visit.answer(shown)
}

pub(super) async fn save(
    Path(id): Path<String>,
    Submission { visit, fields }: Submission,
) -> Response {
    let seen = fields.get("revision").parse().map(Revision::new);
    let base = visit.base.clone();
    let saved = async move {
        let saved = match (key_id(&id), seen) {
            (Ok(id), Ok(seen)) => change(&visit, id, seen, &fields).await,
            (Err(error), _) => Err(error),
            (_, Err(_)) => Err(Error::invalid("revision", "must be the one that was read")),
        };
        visit.answer(saved)
    };
    finished(&base, saved).await
}

async fn change(
    visit: &Visit,
    id: KeyId,
    seen: Revision,
    fields: &Fields,
) -> Result<Response, Error> {
    visit.require(Act::ChangeKey)?;
    let key = visit.manager.get(id).await?;
    let before = Draft::of(&key);
    let draft = &Draft::sent_over(fields, &before);
    if key.revision != seen {
        return meanwhile(visit, &key, draft).await;
    }
    let refuse = async |faults: Faults| {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        edit_form(visit, status, &key, draft, &faults, &html! {}).await
    };
    let path = format!("/keys/{id}");
    let update = match draft.to_update(&before, visit.now) {
        Ok(Some(update)) => update.only_at(seen),
        Ok(None) => return Ok(visit.go_with(Notice::NothingChanged, &path)),
        Err(faults) => return refuse(faults).await,
    };
    match visit.manager.update(id, update).await {
        Ok(_) => Ok(visit.go_with(Notice::Saved, &path)),
        Err(error) if error.kind() == ErrorKind::Conflict => {
            let key = visit.manager.get(id).await?;
            if key.revision == seen {
                return Err(error);
            }
            meanwhile(visit, &key, draft).await
        }
        Err(error) => match fault_of(&error) {
            Some(faults) => refuse(faults).await,
            None => Err(error),
        },
    }
}

/// Somebody else was faster: what was typed stands in the form, what the key is now beside it.
async fn meanwhile(visit: &Visit, key: &KeyInfo, draft: &Draft) -> Result<Response, Error> {
    let current = Draft::of(key);
    let differing: Vec<_> = super::form_fields::LABELS
        .iter()
        .filter(|(name, _)| *name != "expiry" && draft.differs(&current, name))
        .collect();
    let word = html! {
        div.summary #conflict role="alert" tabindex="-1" {
            h2 { "Somebody else changed this key meanwhile" }
            p {
                "Nothing was saved. Your entries are still in the form. Where they differ from the key \
                 as it is now, saving again replaces what is there:"
            }
            dl {
                @for (name, label) in differing {
                    dt { a href={ "#f-" (name) } { (label) } }
                    dd {
                        "is now "
                        @match current.get(name) {
                            "" => span.quiet { "empty" },
                            text => code.lines { bdi { (text) } },
                        }
                    }
                }
            }
        }
    };
    edit_form(
        visit,
        StatusCode::CONFLICT,
        key,
        draft,
        &Faults::new(),
        &word,
    )
    .await
}

async fn edit_form(
    visit: &Visit,
    status: StatusCode,
    key: &KeyInfo,
    draft: &Draft,
    faults: &Faults,
    word: &Markup,
) -> Result<Response, Error> {
    let form = Form {
        visit,
        draft,
        faults,
        plans: plans(visit).await?,
        purpose: Purpose::Edit(key),
    };
    let path = format!("/keys/{}", key.id);
    let hidden = html! { input type="hidden" name="revision" value=(key.revision); };
    let content = html! {
        (trail(visit, Some(key)))
        h1 { "Edit " bdi { (key.name) } }
        (word)
        (form.shown(&visit.link(&format!("{path}/edit")), &hidden))
    };
    let title = format!("Edit {}", key.name);
    Ok(visit.page_as(status, Section::Keys, &title, &content))
}

async fn plans(visit: &Visit) -> Result<Vec<(String, String)>, Error> {
    let plans = visit.manager.plans().await?.into_iter().map(|plan| {
        let limits: Vec<_> = plan.limits.iter().map(ToString::to_string).collect();
        (plan.name.to_string(), limits.join(", "))
    });
    Ok(plans.collect())
}

/// What the manager has found wrong with a field.
fn fault_of(error: &Error) -> Option<Faults> {
    let field = error.field()?;
    let text = error.to_string();
    // The field is named beside the message anyway.
    let text = text
        .strip_prefix(&format!("invalid {field}: "))
        .or_else(|| text.strip_prefix(&format!("not allowed: {field} ")))
        .unwrap_or(&text);
    Some(Faults::from([(place_of(field), text.to_owned())]))
}

/// The key that a path names.
pub(super) fn key_id(text: &str) -> Result<KeyId, Error> {
    text.parse()
        .map_err(|_| Error::new(ErrorKind::NotFound, "there is no such key"))
}

/// The way back.
pub(super) fn trail(visit: &Visit, key: Option<&KeyInfo>) -> Markup {
    html! {
        nav.trail aria-label="Breadcrumb" {
            ol {
                li { a href=(visit.link("/keys")) { (if visit.is_admin { "Keys" } else { "My keys" }) } }
                @if let Some(key) = key {
                    li { a href=(visit.link(&format!("/keys/{}", key.id))) { bdi { (key.name) } } }
                }
            }
        }
    }
}

/// Where acts on a key end.
pub(super) fn cancel(visit: &Visit, key: &KeyInfo) -> Markup {
    html! { a.button href=(visit.link(&format!("/keys/{}", key.id))) { "Cancel" } (parts::token(visit)) }
}
