//! Signing in with a key, and out again.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::header::SET_COOKIE;
use http::{HeaderMap, StatusCode};
use maud::html;

use super::desk::{Desk, SESSION, SIGN_IN};
use super::fields::Fields;
use super::shell::Shell;
use super::submission::{Submission, read};
use super::visit::{base, see_other};
use super::{problem, rights};
use crate::browser::{Word, is_of_host, is_same, new_token};
use crate::error::{Error, ErrorKind};
use crate::rejection::{Rejection, RejectionKind};

/// How many bytes the form may have: anybody can send it.
const LARGEST: usize = 8 * 1_024;

pub(super) async fn show(State(desk): State<Arc<Desk>>, request: Request) -> Response {
    let head = request.into_parts().0;
    let query = Fields::parse(head.uri.query().unwrap_or_default().as_bytes());
    let text = match query.get("because") {
        "ended" => "You were signed out: the key is no longer valid.",
        "expired" => "You were signed out: the key has expired.",
        "disabled" => "You were signed out: the key, or its owner, is switched off.",
        "address" => "You were signed out: the key may not be used from this address.",
        "rights" => "You were signed out: the key may no longer manage keys.",
        "out" => "You have signed out.",
        _ => "",
    };
    let word = match text {
        "" => Word::default(),
        text => Word::new(StatusCode::OK, text),
    };
    let tls = desk.is_tls(&head);
    form(&head.headers, &base(&head), tls, &word)
}

/// Where the browser is sent when the key of a session is refused.
pub(super) fn place_after(rejection: &Rejection) -> &'static str {
    match rejection.kind() {
        RejectionKind::Expired => "/sign-in?because=expired",
        RejectionKind::Disabled | RejectionKind::OwnerBarred => "/sign-in?because=disabled",
        RejectionKind::AddressDenied => "/sign-in?because=address",
        RejectionKind::ScopeMissing | RejectionKind::Policy => "/sign-in?because=rights",
        _ => "/sign-in?because=ended",
    }
}

pub(super) async fn submit(State(desk): State<Arc<Desk>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let (base, tls) = (base(&head), desk.is_tls(&head));
    if !is_of_host(&head) {
        return problem::foreign(&base);
    }
    let fields = match read(&head.headers, body, LARGEST, &base).await {
        Ok(fields) => fields,
        Err(answer) => return answer,
    };
    let expected = SIGN_IN.read(&head.headers, tls).unwrap_or_default();
    if !is_same(fields.get("token"), expected) {
        return form(&head.headers, &base, tls, &Word::stale());
    }
    // The same gate, the same order, the same count of failures as for any other request.
    let proof = match desk.door.present(&head, fields.get("key")).await {
        Ok(proof) => proof,
        Err(rejection) => return form(&head.headers, &base, tls, &Word::refused(&rejection)),
    };
    let key = &proof.key;
    if let Err(error) = rights::principal(desk.manager(), key, desk.client(&head)).await {
        return form(&head.headers, &base, tls, &not_entitled(&error));
    }
    tracing::info!(key = %key.key_id(), "somebody signed in to the admin page");
    let id = desk.door.begin(&head, tls, proof, desk.now().ticks);
    let mut answer = see_other(&base, "/keys");
    let cookies = [SESSION.set(&id, tls), SIGN_IN.clear(tls)];
    for cookie in cookies.into_iter().flatten() {
        answer.headers_mut().append(SET_COOKIE, cookie);
    }
    answer
}

pub(super) async fn sign_out(submission: Submission) -> Response {
    let visit = submission.visit;
    visit.desk.door.sessions.end(&visit.session);
    let mut answer = see_other(&visit.base, "/sign-in?because=out");
    if let Some(clear) = SESSION.clear(visit.tls) {
        answer.headers_mut().append(SET_COOKIE, clear);
    }
    answer
}

fn not_entitled(error: &Error) -> Word {
    let (status, text) = match error.kind() {
        ErrorKind::Unavailable => (
            StatusCode::SERVICE_UNAVAILABLE,
            "The key\u{2019}s owner cannot be looked up at the moment. Try again.".to_owned(),
        ),
        _ => (StatusCode::FORBIDDEN, problem::sentence(&error.to_string())),
    };
    Word::new(status, text)
}

fn form(headers: &HeaderMap, base: &str, tls: bool, word: &Word) -> Response {
    let known = SIGN_IN.read(headers, tls);
    let token = known.map_or_else(new_token, str::to_owned);
    let is_fault = word.status() != StatusCode::OK;
    let described = (word.text().is_some() && is_fault).then_some("key-fault");
    let content = html! {
        div.narrow.sign-in {
            h1 { "Sign in" }
            p.quiet { "Present a key that may manage keys. It is not kept: signing out, or revoking the key, ends the session." }
            @if let (Some(text), false) = (word.text(), is_fault) { p.notice role="status" { (text) } }
            form method="post" action={ (base) "/sign-in" } {
                input type="hidden" name="token" value=(token);
                div.field {
                    label for="key" { "API key" }
                    input.code #key name="key" type="password" required autocomplete="off"
                        autocapitalize="off" spellcheck="false" autofocus
                        aria-invalid=[is_fault.then_some("true")] aria-describedby=[described];
                    @if let (Some(text), true) = (word.text(), is_fault) {
                        p.fault #key-fault role="alert" { (text) }
                    }
                }
                button.primary type="submit" { "Sign in" }
            }
        }
    };
    let shell = Shell {
        base,
        title: "Sign in",
        section: None,
        notice: None,
        signed_in: None,
    };
    let mut answer = (word.status(), shell.around(&content)).into_response();
    if let Some(cookie) = SIGN_IN.set(&token, tls) {
        answer.headers_mut().append(SET_COOKIE, cookie);
    }
    word.tell_wait(answer.headers_mut());
    answer
}
