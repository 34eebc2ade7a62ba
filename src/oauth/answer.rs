//! Answers for programs, in the shapes that OAuth gives them.

use std::time::Duration;

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, PRAGMA, REFERRER_POLICY,
    RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
};
use http::{Response, StatusCode};
use serde_json::{Value, json};

/// An answer that stands for what went wrong. In a box, since it is larger than what goes well.
pub(super) type Refusal = Box<Response<Bytes>>;

/// JSON that no cache keeps.
pub(super) fn json(status: StatusCode, body: &Value) -> Response<Bytes> {
    let mut answer = Response::new(Bytes::from(body.to_string()));
    *answer.status_mut() = status;
    set(&mut answer, CONTENT_TYPE, "application/json");
    set(&mut answer, CACHE_CONTROL, "no-store");
    set(&mut answer, PRAGMA, "no-cache");
    set(&mut answer, X_CONTENT_TYPE_OPTIONS, "nosniff");
    answer
}

/// JSON that is the same for everybody and changes with the configuration alone.
pub(super) fn document(body: &Value) -> Response<Bytes> {
    let mut answer = json(StatusCode::OK, body);
    answer.headers_mut().remove(PRAGMA);
    set(&mut answer, CACHE_CONTROL, "public, max-age=300");
    answer
}

/// Something that a program got wrong, or that cannot be done (RFC 6749, 5.2).
pub(super) fn fault(status: StatusCode, code: &str, description: &str) -> Response<Bytes> {
    json(
        status,
        &json!({ "error": code, "error_description": description }),
    )
}

/// That something cannot be done now, but perhaps later.
pub(super) fn later(status: StatusCode, description: &str, wait: Duration) -> Response<Bytes> {
    let mut answer = fault(status, "temporarily_unavailable", description);
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    let value = HeaderValue::from(seconds.max(1));
    answer.headers_mut().insert(RETRY_AFTER, value);
    answer
}

/// That the store does not answer.
pub(super) fn unavailable() -> Response<Bytes> {
    let second = Duration::from_secs(1);
    later(
        StatusCode::SERVICE_UNAVAILABLE,
        "try again in a moment",
        second,
    )
}

/// Sends a browser on by a GET, and does not say where it comes from.
pub(super) fn see_other(place: &str) -> Response<Bytes> {
    let mut answer = Response::new(Bytes::new());
    let Ok(value) = HeaderValue::try_from(place) else {
        *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        return answer;
    };
    *answer.status_mut() = StatusCode::SEE_OTHER;
    answer.headers_mut().insert(LOCATION, value);
    set(&mut answer, CACHE_CONTROL, "no-store");
    set(&mut answer, REFERRER_POLICY, "no-referrer");
    answer
}

fn set(answer: &mut Response<Bytes>, name: HeaderName, value: &'static str) {
    answer
        .headers_mut()
        .insert(name, HeaderValue::from_static(value));
}
