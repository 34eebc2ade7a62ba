//! Signing in with a key, and out again.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::header::{AUTHORIZATION, HeaderValue, RETRY_AFTER, SET_COOKIE};
use http::{HeaderMap, StatusCode};
use maud::html;

use super::cookie::{Cookie, new_token};
use super::desk::Desk;
use super::fields::Fields;
use super::shell::Shell;
use super::submission::{Submission, is_same, read};
use super::visit::{base, see_other};
use super::{origin, problem, rights};
use crate::context::KeyContext;
use crate::error::{Error, ErrorKind};
use crate::rejection::{Rejection, RejectionKind};

/// How many bytes the form may have: anybody can send it.
const LARGEST: usize = 8 * 1_024;

/// What the form says beside its field.
#[derive(Debug, Default)]
struct Word {
    status: StatusCode,
    text: Option<String>,
    retry_after: Option<Duration>,
}

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
    let word = Word {
        text: Some(text.to_owned()).filter(|text| !text.is_empty()),
        ..Word::default()
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
    if !origin::is_own(&head) {
        return problem::foreign(&base);
    }
    let fields = match read(&head.headers, body, LARGEST, &base).await {
        Ok(fields) => fields,
        Err(answer) => return answer,
    };
    let expected = Cookie::SignIn.read(&head.headers, tls).unwrap_or_default();
    if !is_same(fields.get("token"), expected) {
        let text = "The form was open for too long, or cookies are switched off. Try again.";
        let word = Word {
            status: StatusCode::FORBIDDEN,
            text: Some(text.to_owned()),
            retry_after: None,
        };
        return form(&head.headers, &base, tls, &word);
    }
    // The same gate, the same order, the same count of failures as for any other request.
    let mut bare = desk.bare(&head);
    if let Some(value) = bearer(fields.get("key")) {
        bare.headers.insert(AUTHORIZATION, value);
    }
    let permit = match desk.door.admit(&mut bare).await {
        Ok(permit) => permit,
        Err(rejection) => return form(&head.headers, &base, tls, &refused(&rejection)),
    };
    let admitted = permit
        .into_admission()
        .zip(bare.extensions.remove::<KeyContext>());
    let Some((admission, key)) = admitted else {
        return problem::unavailable(&base);
    };
    if let Err(error) = rights::principal(desk.manager(), &key, desk.client(&head)).await {
        return form(&head.headers, &base, tls, &not_entitled(&error));
    }
    tracing::info!(key = %key.key_id(), "somebody signed in to the admin page");
    // Whoever was signed in with this browser is not any more.
    let now = desk.now().ticks;
    if let Some(old) = Cookie::Session.read(&head.headers, tls)
        && let Some(found) = desk.sessions.find(old, now)
    {
        desk.sessions.end(&found.hash);
    }
    let id = desk.sessions.begin(admission, key.key_id(), now);
    let mut answer = see_other(&base, "/keys");
    let cookies = [Cookie::Session.set(&id, tls), Cookie::SignIn.clear(tls)];
    for cookie in cookies.into_iter().flatten() {
        answer.headers_mut().append(SET_COOKIE, cookie);
    }
    answer
}

pub(super) async fn sign_out(submission: Submission) -> Response {
    let visit = submission.visit;
    visit.desk.sessions.end(&visit.session);
    let mut answer = see_other(&visit.base, "/sign-in?because=out");
    if let Some(clear) = Cookie::Session.clear(visit.tls) {
        answer.headers_mut().append(SET_COOKIE, clear);
    }
    answer
}

fn bearer(key: &str) -> Option<HeaderValue> {
    if key.is_empty() {
        return None;
    }
    let mut value = HeaderValue::try_from(format!("Bearer {key}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn refused(rejection: &Rejection) -> Word {
    let (status, text) = match rejection.kind() {
        RejectionKind::Expired => (StatusCode::UNAUTHORIZED, "The key has expired."),
        RejectionKind::Disabled | RejectionKind::OwnerBarred => (
            StatusCode::UNAUTHORIZED,
            "The key, or its owner, is switched off.",
        ),
        RejectionKind::AddressDenied => (
            StatusCode::FORBIDDEN,
            "The key may not be used from this address.",
        ),
        // The gate has one policy: a key for signed requests is none for a browser.
        RejectionKind::Policy => (
            StatusCode::FORBIDDEN,
            "Requests with this key must be signed, which a browser does not do.",
        ),
        RejectionKind::RateLimited | RejectionKind::QuotaExceeded => (
            StatusCode::TOO_MANY_REQUESTS,
            "The limits of this key are used up. Try again later.",
        ),
        RejectionKind::TooManyFailures => (
            StatusCode::TOO_MANY_REQUESTS,
            "Too many attempts from this address. Try again later.",
        ),
        RejectionKind::Unavailable => (
            StatusCode::SERVICE_UNAVAILABLE,
            "The key cannot be verified at the moment. Try again.",
        ),
        // Unknown, malformed, wrong and revoked: no difference is told.
        _ => (StatusCode::UNAUTHORIZED, "This is not a valid key."),
    };
    Word {
        status,
        text: Some(text.to_owned()),
        retry_after: rejection.retry_after(),
    }
}

fn not_entitled(error: &Error) -> Word {
    let (status, text) = match error.kind() {
        ErrorKind::Unavailable => (
            StatusCode::SERVICE_UNAVAILABLE,
            "The key\u{2019}s owner cannot be looked up at the moment. Try again.".to_owned(),
        ),
        _ => (StatusCode::FORBIDDEN, problem::sentence(&error.to_string())),
    };
    Word {
        status,
        text: Some(text),
        retry_after: None,
    }
}

fn form(headers: &HeaderMap, base: &str, tls: bool, word: &Word) -> Response {
    let known = Cookie::SignIn.read(headers, tls);
    let token = known.map_or_else(new_token, str::to_owned);
    let is_fault = word.status != StatusCode::OK;
    let described = (word.text.is_some() && is_fault).then_some("key-fault");
    let content = html! {
        div.narrow.sign-in {
            h1 { "Sign in" }
            p.quiet { "Present a key that may manage keys. It is not kept: signing out, or revoking the key, ends the session." }
            @if let (Some(text), false) = (&word.text, is_fault) { p.notice role="status" { (text) } }
            form method="post" action={ (base) "/sign-in" } {
                input type="hidden" name="token" value=(token);
                div.field {
                    label for="key" { "API key" }
                    input.code #key name="key" type="password" required autocomplete="off"
                        autocapitalize="off" spellcheck="false" autofocus
                        aria-invalid=[is_fault.then_some("true")] aria-describedby=[described];
                    @if let (Some(text), true) = (&word.text, is_fault) {
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
    let mut answer = (word.status, shell.around(&content)).into_response();
    if let Some(cookie) = Cookie::SignIn.set(&token, tls) {
        answer.headers_mut().append(SET_COOKIE, cookie);
    }
    if let Some(wait) = word.retry_after {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        let seconds = HeaderValue::from(seconds.max(1));
        answer.headers_mut().insert(RETRY_AFTER, seconds);
    }
    answer
}
