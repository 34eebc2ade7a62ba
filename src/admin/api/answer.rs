//! Answers: JSON, and the headers that belong to it.

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderName, StatusCode};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::key::Revision;

/// Enough for any key and most that is said of it, so that growing leaves no copy of the key behind.
const ROOM: usize = 64 * 1_024;

/// What was asked for.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(text) => made_of(status, text.into()),
        Err(error) => unwritable(&error),
    }
}

/// What was asked for, with a key in clear in it. The text is wiped when it was sent.
pub(super) fn in_clear(status: StatusCode, value: &impl Serialize) -> Response {
    let mut text = Zeroizing::new(Vec::with_capacity(ROOM));
    match serde_json::to_writer(&mut *text, value) {
        Ok(()) => made_of(status, Bytes::from_owner(text)),
        Err(error) => unwritable(&error),
    }
}

/// A text of JSON that was written before.
pub(super) fn made_of(status: StatusCode, text: Bytes) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

/// Says of which revision the thing in the answer is.
pub(super) fn tagged(response: Response, revision: Revision) -> Response {
    with(response, http::header::ETAG, &format!("\"{revision}\""))
}

/// Adds a header, if its value can be one.
pub(super) fn with(mut response: Response, name: HeaderName, value: &str) -> Response {
    if let Ok(value) = HeaderValue::try_from(value) {
        response.headers_mut().insert(name, value);
    }
    response
}

/// Cannot be: everything that is written here has names for keys and finite numbers.
fn unwritable(error: &serde_json::Error) -> Response {
    tracing::error!(%error, "an answer of the admin API cannot be written");
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response
}
