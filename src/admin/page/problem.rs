//! Pages that say what went wrong, and what to do about it.

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use maud::{Markup, html};

use super::shell::{Section, Shell};
use super::visit::{Visit, base};
use crate::error::{Error, ErrorKind};

/// What kept an act or a page from being done, told to whoever has signed in.
pub(super) fn of(visit: &Visit, error: &Error) -> Response {
    let (status, title) = match error.kind() {
        ErrorKind::NotFound => (StatusCode::NOT_FOUND, "Not found"),
        ErrorKind::Forbidden => (StatusCode::FORBIDDEN, "Not allowed"),
        ErrorKind::Conflict => (StatusCode::CONFLICT, "Not possible as things are"),
        ErrorKind::InvalidInput => (StatusCode::UNPROCESSABLE_ENTITY, "Something is not right"),
        ErrorKind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "No answer"),
        ErrorKind::Corrupt => (StatusCode::INTERNAL_SERVER_ERROR, "Something is broken"),
    };
    if status.is_server_error() {
        tracing::error!(
            error = error as &dyn std::error::Error,
            "the admin page cannot answer"
        );
    }
    let text = match error.kind() {
        ErrorKind::Unavailable => {
            "The store did not answer in time. Look whether what you asked for was done before you \
             ask again."
                .to_owned()
        }
        _ => sentence(&error.to_string()),
    };
    let content = content(title, &text, &visit.link("/keys"), "Back to the keys");
    visit.page_as(status, Section::Keys, title, &content)
}

/// A text as a sentence: it begins with a capital letter and ends with a full stop.
pub(super) fn sentence(text: &str) -> String {
    let mut rest = text.chars();
    let Some(first) = rest.next() else {
        return String::new();
    };
    let end = if text.ends_with(['.', '!', '?']) {
        ""
    } else {
        "."
    };
    first
        .to_uppercase()
        .chain(rest.as_str().chars())
        .collect::<String>()
        + end
}

pub(super) async fn no_such_page(request: Request) -> Response {
    let base = base(&request.into_parts().0);
    let text = "There is no such page.";
    bare(&base, StatusCode::NOT_FOUND, "Not found", text, "/keys")
}

pub(super) async fn no_such_method(request: Request) -> Response {
    let base = base(&request.into_parts().0);
    let text = "This page is not for that.";
    bare(
        &base,
        StatusCode::METHOD_NOT_ALLOWED,
        "Not possible",
        text,
        "/keys",
    )
}

pub(super) fn unavailable(base: &str) -> Response {
    let text = "The store did not answer in time. You are still signed in; try again in a moment.";
    let mut answer = bare(
        base,
        StatusCode::SERVICE_UNAVAILABLE,
        "No answer",
        text,
        "/keys",
    );
    let one = http::HeaderValue::from_static("1");
    answer.headers_mut().insert(http::header::RETRY_AFTER, one);
    answer
}

pub(super) fn signed_out(base: &str) -> Response {
    let text =
        "Nothing was changed: you are signed out. Sign in again and send the form once more.";
    bare(
        base,
        StatusCode::UNAUTHORIZED,
        "Signed out",
        text,
        "/sign-in",
    )
}

pub(super) fn foreign(base: &str) -> Response {
    let text = "Nothing was changed: the form was not sent from this page, or from one that has been \
                open for too long. Open the page anew and try again.";
    bare(base, StatusCode::FORBIDDEN, "Not accepted", text, "/keys")
}

pub(super) fn no_form(base: &str) -> Response {
    let text = "Nothing was changed: what was sent is no form.";
    bare(
        base,
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "Not accepted",
        text,
        "/keys",
    )
}

pub(super) fn too_large(base: &str) -> Response {
    let text = "Nothing was changed: the form is too large, or broke off.";
    bare(
        base,
        StatusCode::PAYLOAD_TOO_LARGE,
        "Too large",
        text,
        "/keys",
    )
}

pub(super) fn too_slow(base: &str) -> Response {
    let text = "Nothing was changed: the form did not arrive in time.";
    bare(base, StatusCode::REQUEST_TIMEOUT, "Too slow", text, "/keys")
}

fn bare(base: &str, status: StatusCode, title: &str, text: &str, path: &str) -> Response {
    let link = format!("{base}{path}");
    let name = if path == "/sign-in" {
        "Sign in"
    } else {
        "To the keys"
    };
    let shell = Shell {
        base,
        title,
        section: None,
        notice: None,
        signed_in: None,
    };
    let content = content(title, text, &link, name);
    (status, shell.around(&content)).into_response()
}

fn content(title: &str, text: &str, link: &str, name: &str) -> Markup {
    html! {
        div.narrow {
            h1 { (title) }
            p { (text) }
            p { a.button href=(link) { (name) } }
        }
    }
}
