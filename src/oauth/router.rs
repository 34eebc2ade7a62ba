//! Where everything is served, and what browsers are told of it.
//!
//! Pages of any site may read the metadata and speak to the endpoints for programs: those carry no
//! cookies, and what they need they are sent by hand. The pages for people are for no other site.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::middleware::map_response;
use axum::routing::{MethodRouter, get, post};
use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, HeaderName, HeaderValue,
};
use http::{Response, StatusCode};
use serde_json::Value;

use super::metadata::{
    self, AUTHORIZE, OF_RESOURCE, OF_SERVER, Offers, REGISTER, REVOKE, SIGN_IN, TOKEN,
};
use super::server::Server;
use super::{answer, authorize, register, revoke, token};
use crate::key::Scope;

pub(super) type Answer = Response<Body>;

pub(super) fn served(answer: Response<Bytes>) -> Answer {
    answer.map(Body::from)
}

/// All of it as a router, at the paths that the issuer has from outside.
pub(super) fn router(server: &Arc<Server>) -> Router {
    let issuer = server.issuer();
    let mut open = Router::new()
        .route(&issuer.path(TOKEN), post(token::redeem).options(preflight))
        .route(
            &issuer.path(REVOKE),
            post(revoke::revoke).options(preflight),
        );
    if server.registrar.is_some() {
        let register = post(register::register).options(preflight);
        open = open.route(&issuer.path(REGISTER), register);
    }
    for (path, document) in documents(server) {
        open = open.route(&path, fixed(&document));
    }
    let open = open.layer(map_response(open_to_all));
    Router::new()
        .route(
            &issuer.path(AUTHORIZE),
            get(authorize::show).post(authorize::decide),
        )
        .route(
            &issuer.path(SIGN_IN),
            get(authorize::sign_in).post(authorize::sign_in),
        )
        .merge(open)
        .with_state(Arc::clone(server))
}

/// The metadata and where each of it stands.
fn documents(server: &Server) -> Vec<(String, Value)> {
    let issuer = server.issuer();
    let offers = Offers {
        registration: server.registrar.is_some(),
        documents: server.documents.is_some(),
    };
    let mut scopes: Vec<Scope> = Vec::new();
    for scope in server.places.iter().flat_map(|place| &place.scopes) {
        if !scopes.contains(scope) {
            scopes.push(scope.clone());
        }
    }
    let of_server = metadata::of_server(issuer, &scopes, offers);
    let mut documents = vec![(issuer.well_known_path(OF_SERVER, ""), of_server)];
    for place in &server.places {
        let document = metadata::of_resource(issuer, place);
        let path = issuer.well_known_path(OF_RESOURCE, &place.path);
        documents.push((path, document));
    }
    // Clients that are told of no document look here too; only one resource can be meant then.
    if let [only] = server.places.as_slice() {
        let path = format!("/.well-known/{OF_RESOURCE}");
        if documents.iter().all(|(known, _)| *known != path) {
            documents.push((path, metadata::of_resource(issuer, only)));
        }
    }
    documents
}

fn fixed(document: &Value) -> MethodRouter<Arc<Server>> {
    let answer = answer::document(document);
    get(move || {
        let answer = answer.clone();
        async move { served(answer) }
    })
    .options(preflight)
}

/// What a browser asks before a page of another site may send more than a plain request.
async fn preflight(_: Request) -> Answer {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    let values: [(HeaderName, &'static str); 3] = [
        (ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, OPTIONS"),
        (
            ACCESS_CONTROL_ALLOW_HEADERS,
            "authorization, content-type, mcp-protocol-version",
        ),
        (ACCESS_CONTROL_MAX_AGE, "86400"),
    ];
    for (name, value) in values {
        answer
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    answer
}

async fn open_to_all(mut answer: Answer) -> Answer {
    let headers = answer.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    let exposed = HeaderValue::from_static("retry-after, www-authenticate");
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    answer
}
