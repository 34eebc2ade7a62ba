//! What is done to a key at the press of a button, and what is asked before.

use axum::extract::Path;
use axum::response::Response;
use http::StatusCode;
use maud::{Markup, html};

use super::draft::Faults;
use super::fields::Fields;
use super::form::{cancel, key_id, trail};
use super::form_fields::{field, summary};
use super::notation::duration;
use super::rights;
use super::secret::{self, Shown};
use super::shell::{Notice, Section};
use super::submission::{Submission, finished};
use super::visit::Visit;
use crate::admin::rights::Act;
use crate::browser::new_token;
use crate::error::Error;
use crate::key::{KeyId, KeyInfo};
use crate::manager::Grace;

/// A form about one key.
struct Asked {
    visit: Visit,
    id: KeyId,
    fields: Fields,
}

/// Does something to the key that the path names, in whole.
async fn on_key<F>(
    what: Act,
    id: String,
    submission: Submission,
    act: impl FnOnce(Asked) -> F + Send + 'static,
) -> Response
where
    F: Future<Output = (Visit, Result<Response, Error>)> + Send,
{
    let Submission { visit, fields } = submission;
    let base = visit.base.clone();
    finished(&base, async move {
        let id = visit.require(what).and_then(|()| key_id(&id));
        let (visit, done) = match id {
            Ok(id) => act(Asked { visit, id, fields }).await,
            Err(error) => (visit, Err(error)),
        };
        visit.answer(done)
    })
    .await
}

/// One of the acts that need no word but the press of the button.
macro_rules! plain_act {
    ($name:ident, $what:ident, $notice:ident) => {
        pub(super) async fn $name(Path(id): Path<String>, submission: Submission) -> Response {
            on_key(
                Act::$what,
                id,
                submission,
                async |Asked { visit, id, .. }| {
                    let done = visit.manager.$name(id).await;
                    let done = done.map(|_| visit.go_with(Notice::$notice, &format!("/keys/{id}")));
                    (visit, done)
                },
            )
            .await
        }
    };
}

plain_act!(enable, SwitchKey, Enabled);
plain_act!(disable, SwitchKey, Disabled);
plain_act!(end_grace, EndGrace, GraceEnded);

pub(super) async fn disconnect(Path(id): Path<String>, submission: Submission) -> Response {
    on_key(
        Act::Disconnect,
        id,
        submission,
        async |Asked { visit, id, .. }| {
            let done = visit.manager.disconnect(id).await;
            let done = done.map(|_| visit.go_with(Notice::Disconnected, "/connections"));
            (visit, done)
        },
    )
    .await
}

pub(super) async fn ask_renew(visit: Visit, Path(id): Path<String>) -> Response {
    let shown = asked(&visit, Act::RotateKey, &id, renewing).await;
    visit.answer(shown)
}

pub(super) async fn renew(Path(id): Path<String>, submission: Submission) -> Response {
    on_key(
        Act::RotateKey,
        id,
        submission,
        async |Asked { visit, id, fields }| {
            let done = rotate(&visit, id, &fields).await;
            (visit, done)
        },
    )
    .await
}

async fn rotate(visit: &Visit, id: KeyId, fields: &Fields) -> Result<Response, Error> {
    let key = visit.manager.get(id).await?;
    rights::check_newest(&visit.key, &key)?;
    let wrong = |message| Error::invalid("grace", message);
    let window = match fields.get("grace") {
        "" | "none" => None,
        text => Some(duration(text).map_err(wrong)?),
    };
    let grace = match (window, fields.get("from")) {
        (None, _) => Grace::None,
        (Some(window), "first-use") => Grace::FromFirstUse(window),
        (Some(window), _) => Grace::For(window),
    };
    let once = fields.get("once");
    if !secret::is_first(visit, once) {
        return Ok(secret::already(visit));
    }
    match visit.manager.rotate_with(id, grace).await {
        Ok(issued) => {
            let (key, info) = issued.into_parts();
            Ok(secret::page(visit, &key, &info, Shown::Renewed))
        }
        Err(error) => {
            secret::take_back(visit, once);
            Err(error)
        }
    }
}

pub(super) async fn ask_revoke(visit: Visit, Path(id): Path<String>) -> Response {
    let shown = asked(&visit, Act::RevokeKeys, &id, |visit, key| {
        revoking(visit, key, "", &Faults::new())
    })
    .await;
    visit.answer(shown)
}

pub(super) async fn revoke(Path(id): Path<String>, submission: Submission) -> Response {
    on_key(
        Act::RevokeKeys,
        id,
        submission,
        async |Asked { visit, id, fields }| {
            let reason = fields.some("reason");
            let done = match visit.manager.revoke(id, reason).await {
                Ok(_) => Ok(visit.go_with(Notice::Revoked, &format!("/keys/{id}"))),
                Err(error) if error.field() == Some("reason") => {
                    let faults =
                        Faults::from([("reason", "must be at most 500 characters".to_owned())]);
                    let again = |visit: &Visit, key: &KeyInfo| {
                        revoking(visit, key, fields.get("reason"), &faults)
                    };
                    asked_as(&visit, StatusCode::UNPROCESSABLE_ENTITY, id, again).await
                }
                Err(error) => Err(error),
            };
            (visit, done)
        },
    )
    .await
}

pub(super) async fn ask_delete(visit: Visit, Path(id): Path<String>) -> Response {
    let shown = asked(&visit, Act::DeleteKey, &id, |visit, key| {
        deleting(visit, key, &Faults::new())
    })
    .await;
    visit.answer(shown)
}

pub(super) async fn delete(Path(id): Path<String>, submission: Submission) -> Response {
    on_key(
        Act::DeleteKey,
        id,
        submission,
        async |Asked { visit, id, fields }| {
            let done = remove(&visit, id, fields.get("name")).await;
            (visit, done)
        },
    )
    .await
}

async fn remove(visit: &Visit, id: KeyId, name: &str) -> Result<Response, Error> {
    let key = visit.manager.get(id).await?;
    if in_one_line(&key.name) != in_one_line(name) {
        let faults = Faults::from([("name", "is not the name of the key".to_owned())]);
        let again = |visit: &Visit, key: &KeyInfo| deleting(visit, key, &faults);
        return asked_as(visit, StatusCode::UNPROCESSABLE_ENTITY, id, again).await;
    }
    visit.manager.delete(id).await?;
    Ok(visit.go_with(Notice::Deleted, "/keys"))
}

/// A name as it can be typed into a field of one line.
fn in_one_line(name: &str) -> String {
    let words: Vec<_> = name.split_whitespace().collect();
    words.join(" ")
}

async fn asked(
    visit: &Visit,
    what: Act,
    id: &str,
    question: impl FnOnce(&Visit, &KeyInfo) -> (&'static str, Markup),
) -> Result<Response, Error> {
    visit.require(what)?;
    asked_as(visit, StatusCode::OK, key_id(id)?, question).await
}

/// A page that asks before something is done to a key.
async fn asked_as(
    visit: &Visit,
    status: StatusCode,
    id: KeyId,
    question: impl FnOnce(&Visit, &KeyInfo) -> (&'static str, Markup),
) -> Result<Response, Error> {
    let key = visit.manager.get(id).await?;
    let (verb, form) = question(visit, &key);
    let content = html! {
        (trail(visit, Some(&key)))
        div.narrow {
            h1 { (verb) " \u{201c}" bdi { (key.name) } "\u{201d}" }
            (form)
        }
    };
    let title = format!("{verb} {}", key.name);
    Ok(visit.page_as(status, Section::Keys, &title, &content))
}

fn renewing(visit: &Visit, key: &KeyInfo) -> (&'static str, Markup) {
    let windows = [
        ("none", "It stops now"),
        ("1h", "It works for another hour"),
        ("1d", "It works for another day"),
        ("7d", "It works for another 7 days"),
        ("30d", "It works for another 30 days"),
    ];
    let form = html! {
        p {
            "The key gets a new secret and keeps its id, its rights and its limits. Whatever uses it has to be \
             given the new one. After a leak the old one should stop now."
        }
        @if key.previous.is_some() {
            p.warn { "A renewal is under way. Another one ends the older of its two secrets at once." }
        }
        form.sheet method="post" action=(visit.link(&format!("/keys/{}/renew", key.id))) {
            input type="hidden" name="once" value=(new_token());
            (field("grace", "The old secret", "", &Faults::new(), |attributes| html! {
                select id=(attributes.id) name="grace" {
                    @for (value, text) in windows { option value=(value) { (text) } }
                }
            }))
            div.choice {
                input #f-from type="checkbox" name="from" value="first-use";
                label for="f-from" { "Count that time from when the new secret is first used" }
            }
            div.acts {
                button.primary type="submit" { "Renew" }
                (cancel(visit, key))
            }
        }
    };
    ("Renew", form)
}

fn revoking(visit: &Visit, key: &KeyInfo, reason: &str, faults: &Faults) -> (&'static str, Markup) {
    let form = html! {
        (summary(faults, &[("reason", "Reason")]))
        p { "Nobody gets in with the key any more, from the next request on. This cannot be undone; the record is kept." }
        @if key.id == visit.key.key_id() {
            p.warn { "This is the key that you have signed in with: you will be signed out." }
        }
        form.sheet method="post" action=(visit.link(&format!("/keys/{}/revoke", key.id))) {
            (field("reason", "Reason (optional)", "Kept with the record, and told to nobody who presents the key.", faults, |attributes| html! {
                input id=(attributes.id) name="reason" type="text" value=(reason) autocomplete="off"
                    aria-invalid=[attributes.invalid] aria-describedby=[&attributes.described];
            }))
            div.acts {
                button.danger type="submit" { "Revoke" }
                (cancel(visit, key))
            }
        }
    };
    ("Revoke", form)
}

fn deleting(visit: &Visit, key: &KeyInfo, faults: &Faults) -> (&'static str, Markup) {
    let form = html! {
        (summary(faults, &[("name", "Name")]))
        p { "The key and its record are gone for good, and every integration that uses it stops at once. Only the trail remembers it." }
        @if key.id == visit.key.key_id() {
            p.warn { "This is the key that you have signed in with: you will be signed out." }
        }
        form.sheet method="post" action=(visit.link(&format!("/keys/{}/delete", key.id))) {
            (field("name", "To delete it, type its name", "", faults, |attributes| html! {
                p.code { bdi { (in_one_line(&key.name)) } }
                input id=(attributes.id) name="name" type="text" autocomplete="off" required
                    aria-invalid=[attributes.invalid] aria-describedby=[&attributes.described];
            }))
            div.acts {
                button.danger type="submit" { "Delete for good" }
                (cancel(visit, key))
            }
        }
    };
    ("Delete", form)
}
