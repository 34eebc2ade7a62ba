//! The form to sign in with, and what it says when that did not work.

use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use maud::html;

use crate::oauth::page::{Forms, page};
use crate::rejection::{Rejection, RejectionKind};

/// What the form says beside its field.
#[derive(Debug, Default)]
pub(super) struct Word {
    status: StatusCode,
    text: Option<&'static str>,
    retry_after: Option<Duration>,
}

impl Word {
    fn new(status: StatusCode, text: &'static str) -> Self {
        Self {
            status,
            text: Some(text),
            retry_after: None,
        }
    }

    pub(super) fn stale() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "The form was open for too long, or cookies are switched off. Try again.",
        )
    }

    pub(super) fn no_answer() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "The key cannot be verified at the moment. Try again.",
        )
    }

    pub(super) fn not_entitled(text: &'static str) -> Self {
        Self::new(StatusCode::FORBIDDEN, text)
    }

    pub(super) fn refused(rejection: &Rejection) -> Self {
        use RejectionKind as Kind;

        let (status, text) = match rejection.kind() {
            Kind::Expired => (StatusCode::UNAUTHORIZED, "The key has expired."),
            Kind::Disabled | Kind::OwnerBarred => (
                StatusCode::UNAUTHORIZED,
                "The key, or its owner, is switched off.",
            ),
            Kind::AddressDenied => (
                StatusCode::FORBIDDEN,
                "The key may not be used from this address.",
            ),
            // The gate has one policy: a key for signed requests is none for a browser.
            Kind::Policy => (
                StatusCode::FORBIDDEN,
                "Requests with this key must be signed, which a browser does not do.",
            ),
            Kind::RateLimited | Kind::QuotaExceeded => (
                StatusCode::TOO_MANY_REQUESTS,
                "The limits of this key are used up. Try again later.",
            ),
            Kind::TooManyFailures => (
                StatusCode::TOO_MANY_REQUESTS,
                "Too many attempts from this address. Try again later.",
            ),
            Kind::Unavailable => return Self::no_answer(),
            // Unknown, malformed, wrong and revoked: no difference is told.
            _ => (StatusCode::UNAUTHORIZED, "This is not a valid key."),
        };
        Self {
            retry_after: rejection.retry_after(),
            ..Self::new(status, text)
        }
    }
}

/// The form, which is sent to `place`.
pub(super) fn form(place: &str, token: &str, word: &Word) -> Response<Bytes> {
    let is_fault = word.text.is_some();
    let content = html! {
        h1 { "Sign in" }
        p.quiet {
            "A program wants to be connected. Present a key of yours; you are asked about the program \
             next. The key is not kept, and the program does not see it."
        }
        form method="post" action=(place) {
            input type="hidden" name="token" value=(token);
            div.field {
                label for="key" { "API key" }
                input #key name="key" type="password" required autocomplete="off" autocapitalize="off"
                    spellcheck="false" autofocus aria-invalid=[is_fault.then_some("true")]
                    aria-describedby=[is_fault.then_some("key-fault")];
                @if let Some(text) = word.text { p.fault #key-fault role="alert" { (text) } }
            }
            div.acts { button.primary type="submit" { "Sign in" } }
        }
    };
    let mut answer = page(word.status, "Sign in", Forms::Here, &content);
    if let Some(wait) = word.retry_after {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        let seconds = HeaderValue::from(seconds.max(1));
        answer.headers_mut().insert(RETRY_AFTER, seconds);
    }
    answer
}
