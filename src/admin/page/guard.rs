//! What every answer tells the browser, refusals and files included.

use axum::response::Response;
use http::header::{self, HeaderName, HeaderValue};

use crate::browser::SHELTERED;

/// Everything from here, no script or style but from files, no frames.
const HEADERS: [(HeaderName, &str); 2] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
         form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    ),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
];

pub(super) async fn headers(mut answer: Response) -> Response {
    for (name, value) in SHELTERED.into_iter().chain(HEADERS) {
        answer
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    answer
}
