//! Giving tokens back (RFC 7009).

use std::sync::Arc;

use axum::extract::{Request, State};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, HeaderValue};
use http::{Response, StatusCode};

use super::answer::{fault, later, unavailable};
use super::router::{Answer, served};
use super::server::Server;
use super::token;
use crate::key::ClientId;

/// Ends what a token stands for, if it is one of the client's. The answer does not tell.
pub(super) async fn revoke(State(server): State<Arc<Server>>, request: Request) -> Answer {
    let (head, body) = request.into_parts();
    let form = match token::read(&head, body).await {
        Ok(form) => form,
        Err(answer) => return served(*answer),
    };
    let from = server.caller(&head);
    if let Some(wait) = server.blocked_for(from) {
        let text = "too many failed attempts from this address";
        return served(later(StatusCode::TOO_MANY_REQUESTS, text, wait));
    }
    let invalid = |text| served(fault(StatusCode::BAD_REQUEST, "invalid_request", text));
    let Some(text) = form.get("token") else {
        return invalid("token is missing");
    };
    let Some(client) = form
        .get("client_id")
        .and_then(|id| id.parse::<ClientId>().ok())
    else {
        return invalid("client_id is missing");
    };
    match server.vault().give_back(&client, text).await {
        Ok(was_known) => {
            if !was_known {
                server.count_failure(from);
            }
            let mut answer = Response::new(Bytes::new());
            let no_store = HeaderValue::from_static("no-store");
            answer.headers_mut().insert(CACHE_CONTROL, no_store);
            served(answer)
        }
        Err(error) => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "a token could not be given back"
            );
            served(unavailable())
        }
    }
}
