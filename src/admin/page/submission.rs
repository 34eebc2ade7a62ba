//! A form that somebody who has signed in has sent.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::response::Response;
use http::HeaderMap;

use super::desk::Desk;
use super::fields::Fields;
use super::problem;
use super::visit::{Visit, base};
use crate::browser::{self, Bounds, FORM, Fault, is_of_host, is_same};

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
        if !is_of_host(&head) {
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
    let bounds = Bounds {
        largest,
        patience: PATIENCE,
    };
    match browser::read(headers, body, FORM, bounds).await {
        Ok(body) => Ok(Fields::parse(&body)),
        Err(Fault::OtherKind) => Err(problem::no_form(base)),
        Err(Fault::TooLarge) => Err(problem::too_large(base)),
        Err(Fault::TooSlow) => Err(problem::too_slow(base)),
    }
}
