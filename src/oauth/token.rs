//! Tokens for codes and for refresh tokens: the token endpoint.
//!
//! 1. Forms only, by POST, with nothing in the query and no parameter twice.
//! 2. Clients are public: they prove who they are by the code's verifier, or by the refresh token.
//! 3. A code is spent by whoever presents it, whatever else is wrong with the request.
//! 4. Answers and refusals are JSON as RFC 6749, 5, has it, and no cache keeps them.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use bytes::Bytes;
use http::header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{Response, StatusCode};
use serde_json::json;

use super::answer::{self, Refusal, fault, later, unavailable};
use super::body::{self, FORM};
use super::params::Params;
use super::pkce;
use super::resource::FULL_ACCESS;
use super::router::{Answer, served};
use super::server::Server;
use super::vault::Taken;
use crate::error::{Error, ErrorKind};
use crate::key::{Access, ClientId};
use crate::manager::{ConnectionTokens, Consented, RefusedRenewal};

pub(super) async fn redeem(State(server): State<Arc<Server>>, request: Request) -> Answer {
    let (head, body) = request.into_parts();
    let form = match read(&head, body).await {
        Ok(form) => form,
        Err(answer) => return served(*answer),
    };
    let from = server.caller(&head);
    if let Some(wait) = server.blocked_for(from) {
        let text = "too many failed attempts from this address";
        return served(later(StatusCode::TOO_MANY_REQUESTS, text, wait));
    }
    let redeemed = match form.get("grant_type") {
        Some("authorization_code") => by_code(&server, &form, from).await,
        Some("refresh_token") => by_refresh_token(&server, &form, from)
            .await
            .map(|tokens| granted(&tokens, true)),
        Some(_) => {
            let text = "grant_type must be authorization_code or refresh_token";
            Err(bad("unsupported_grant_type", text))
        }
        None => Err(invalid("grant_type is missing")),
    };
    served(redeemed.unwrap_or_else(|answer| *answer))
}

/// Reads a form for programs.
pub(super) async fn read(head: &Parts, body: axum::body::Body) -> Result<Params, Refusal> {
    if head.uri.query().is_some_and(|query| !query.is_empty()) {
        return Err(invalid("parameters belong into the body"));
    }
    let form = body::read(&head.headers, body, FORM).await;
    let form = Params::parse(&form.map_err(|fault| invalid(body::text(fault)))?);
    if form.check_each_once().is_err() {
        return Err(invalid("a parameter is repeated"));
    }
    if head.headers.contains_key(AUTHORIZATION) {
        let text = "clients have no secrets here: send client_id in the body";
        let mut answer = fault(StatusCode::UNAUTHORIZED, "invalid_client", text);
        let challenge = HeaderValue::from_static("Basic realm=\"oauth\"");
        answer.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        return Err(answer.into());
    }
    Ok(form)
}

async fn by_code(
    server: &Server,
    form: &Params,
    from: Option<IpAddr>,
) -> Result<Response<Bytes>, Refusal> {
    let client = client_id(form)?;
    let code = form.get("code").ok_or_else(|| invalid("code is missing"))?;
    let (id, consented) = match server.vault().take(code).await {
        Ok(Taken::Fresh(id, consented)) => (id, consented),
        Ok(Taken::Reused) => return Err(bad_grant("the code was used before")),
        Ok(Taken::Unknown) => {
            server.count_failure(from);
            return Err(bad_grant("the code is unknown or has expired"));
        }
        Err(error) => return Err(failed(&error)),
    };
    check(server, form, &client, &consented)?;
    let asked_for_full = consented.asked_for_full;
    let connected = server.vault().connect(&id, *consented).await;
    let tokens = connected.map_err(|error| failed(&error))?;
    server.vault().client_was_used(server, &client).await;
    Ok(granted(&tokens, asked_for_full))
}

/// Whether a code is presented by whom and as it was asked for.
fn check(
    server: &Server,
    form: &Params,
    client: &ClientId,
    consented: &Consented,
) -> Result<(), Refusal> {
    if client != consented.client() {
        return Err(bad_grant("the code was given to another client"));
    }
    // Clients of OAuth 2.1 do not send it again.
    if let Some(uri) = form.get("redirect_uri")
        && uri != consented.redirect_uri
    {
        return Err(bad_grant("redirect_uri is not the one that was asked with"));
    }
    let verifier = form.get("code_verifier").unwrap_or_default();
    if !pkce::fits(&consented.challenge, verifier) {
        return Err(bad_grant("code_verifier does not fit"));
    }
    if let Some(text) = form.get("resource")
        && server
            .place(Some(text))
            .is_none_or(|place| Some(place.url.as_str()) != consented.resource())
    {
        return Err(bad("invalid_target", "the code is for another resource"));
    }
    Ok(())
}

async fn by_refresh_token(
    server: &Server,
    form: &Params,
    from: Option<IpAddr>,
) -> Result<ConnectionTokens, Refusal> {
    let client = client_id(form)?;
    let token = form
        .get("refresh_token")
        .ok_or_else(|| invalid("refresh_token is missing"))?;
    let bad_target = |text| bad("invalid_target", text);
    let place = match form.get("resource") {
        None => None,
        Some(text) => match server.place(Some(text)) {
            None => return Err(bad_target("the resource is unknown")),
            place => place,
        },
    };
    let resource = place.as_ref().map(|place| place.url.as_str());
    match server.vault().renew(&client, token, resource).await {
        Ok(Ok(tokens)) => {
            server.vault().client_was_used(server, &client).await;
            Ok(*tokens)
        }
        Ok(Err(RefusedRenewal::WrongResource)) => {
            Err(bad_target("the connection is for another resource"))
        }
        Ok(Err(refused)) => {
            if refused == RefusedRenewal::Unknown {
                server.count_failure(from);
            }
            tracing::info!(
                client = client.as_str(),
                reason = refused.as_str(),
                "a connection was not renewed"
            );
            // A program whose registration is over asks the person in vain until it registers again, which
            // is what clients do when they hear this.
            if server.has_forgotten(&client).await {
                return Err(fault(
                    StatusCode::UNAUTHORIZED,
                    "invalid_client",
                    "there is no such client: register again",
                )
                .into());
            }
            // Whoever presents it is told no more than that it is no good.
            Err(bad_grant("the refresh token is no longer good"))
        }
        Err(error) => Err(failed(&error)),
    }
}

fn client_id(form: &Params) -> Result<ClientId, Refusal> {
    let text = form.get("client_id");
    let text = text.ok_or_else(|| invalid("client_id is missing"))?;
    text.parse()
        .map_err(|_| bad("invalid_client", "there is no such client"))
}

/// The tokens for a program. Full access is told to one that has asked for it: some take an answer to
/// a code for forged that grants what they did not ask for.
fn granted(tokens: &ConnectionTokens, tells_full: bool) -> Response<Bytes> {
    let info = tokens.info();
    let full_access = (tells_full && info.access == Access::Full).then_some(FULL_ACCESS);
    let scopes: Vec<_> = info
        .scopes
        .iter()
        .map(|scope| scope.as_str())
        .chain(full_access)
        .collect();
    let body = json!({
        "access_token": tokens.key().expose_secret(),
        "token_type": "Bearer",
        "expires_in": tokens.expires_in().as_secs(),
        "refresh_token": tokens.refresh_token(),
        "scope": scopes.join(" "),
    });
    answer::json(StatusCode::OK, &body)
}

fn bad(code: &str, text: &str) -> Refusal {
    fault(StatusCode::BAD_REQUEST, code, text).into()
}

fn invalid(text: &str) -> Refusal {
    bad("invalid_request", text)
}

fn bad_grant(text: &str) -> Refusal {
    bad("invalid_grant", text)
}

/// What the manager could not do. What it forbids has been taken from the owner since they consented.
fn failed(error: &Error) -> Refusal {
    match error.kind() {
        ErrorKind::Forbidden | ErrorKind::InvalidInput | ErrorKind::NotFound => {
            tracing::info!(%error, "a program was not connected");
            bad_grant("the person may no longer give what they consented to")
        }
        // The code was presented again while its connection was being made.
        ErrorKind::Conflict => bad_grant("the code was used before"),
        ErrorKind::Unavailable => unavailable().into(),
        ErrorKind::Corrupt => {
            tracing::error!(
                error = error as &dyn std::error::Error,
                "the token endpoint cannot answer"
            );
            let text = "something is broken";
            fault(StatusCode::INTERNAL_SERVER_ERROR, "server_error", text).into()
        }
    }
}
