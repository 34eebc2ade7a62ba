//! A form that somebody who has signed in has sent.

use std::sync::Arc;
use std::time::Duration;

use axum::body::to_bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::response::Response;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use subtle::ConstantTimeEq;
use tokio::time::timeout;

use super::desk::Desk;
use super::fields::Fields;
use super::visit::{Visit, base};
use super::{origin, problem};

/// How many bytes a form may have: the lists of a key at their longest.
const LARGEST: usize = 1_024 * 1_024;

/// How long a form may take to arrive.
const PATIENCE: Duration = Duration::from_secs(30);

/// A form of the page itself, of a session that is good.
///
/// Handlers that change anything take one, and so cannot be reached without.
#[derive(Debug)]
pub(super) struct Submission {
    pub(super) visit: Visit,
    pub(super) fields: Fields,
}

impl FromRequest<Arc<Desk>> for Submission {
    type Rejection = Response;

    async fn from_request(request: Request, desk: &Arc<Desk>) -> Result<Self, Response> {
        let (mut head, body) = request.into_parts();
        if !origin::is_own(&head) {
            return Err(problem::foreign(&base(&head)));
        }
        let visit = Visit::from_request_parts(&mut head, desk).await?;
        let fields = read(&head.headers, body, LARGEST, &visit.base).await?;
        if !is_same(fields.get("token"), &visit.token) {
            return Err(problem::foreign(&visit.base));
        }
        Ok(Self { visit, fields })
    }
}

/// Does all of `act`, also if the browser hangs up meanwhile.
pub(super) async fn finished(
    base: &str,
    act: impl Future<Output = Response> + Send + 'static,
) -> Response {
    match tokio::spawn(act).await {
        Ok(answer) => answer,
        Err(error) => {
            tracing::error!(%error, "an act of the admin page did not come to its end");
            problem::unavailable(base)
        }
    }
}

/// Reads a form of so many bytes at most.
pub(super) async fn read(
    headers: &HeaderMap,
    body: axum::body::Body,
    largest: usize,
    base: &str,
) -> Result<Fields, Response> {
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).map(str::trim);
    if kind != Some("application/x-www-form-urlencoded") {
        return Err(problem::no_form(base));
    }
    match timeout(PATIENCE, to_bytes(body, largest)).await {
        Ok(Ok(body)) => Ok(Fields::parse(&body)),
        Ok(Err(_)) => Err(problem::too_large(base)),
        Err(_) => Err(problem::too_slow(base)),
    }
}

/// Whether a form carries this token; takes the same time for every wrong one.
pub(super) fn is_same(sent: &str, token: &str) -> bool {
    !token.is_empty() && bool::from(sent.as_bytes().ct_eq(token.as_bytes()))
}
