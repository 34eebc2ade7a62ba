//! The two documents that clients find everything by: one of the server they want to talk to
//! (RFC 9728), one of the authorization server (RFC 8414).

use serde_json::{Value, json};

use super::issuer::Issuer;
use super::resource::{FULL_ACCESS, Place};
use crate::key::Scope;

/// Where everything is served, below the issuer.
pub(super) const AUTHORIZE: &str = "/oauth/authorize";
pub(super) const TOKEN: &str = "/oauth/token";
pub(super) const REGISTER: &str = "/oauth/register";
pub(super) const REVOKE: &str = "/oauth/revoke";
pub(super) const SIGN_IN: &str = "/oauth/sign-in";

/// The names of the documents.
pub(super) const OF_RESOURCE: &str = "oauth-protected-resource";
pub(super) const OF_SERVER: &str = "oauth-authorization-server";

/// What clients may do beside what all of them may.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offers {
    pub(super) registration: bool,
    pub(super) documents: bool,
}

/// The metadata of a protected resource. Full access is not among its scopes: there stands what a
/// program asks for that has not been told, and the first question is no place for that.
pub(super) fn of_resource(issuer: &Issuer, place: &Place) -> Value {
    json!({
        "resource": place.url,
        "authorization_servers": [issuer.as_str()],
        "scopes_supported": texts(&place.scopes),
        "bearer_methods_supported": ["header"],
        "resource_name": place.name,
    })
}

/// The metadata of the authorization server.
pub(super) fn of_server(issuer: &Issuer, scopes: &[Scope], offers: Offers) -> Value {
    let mut scopes = texts(scopes);
    scopes.push(FULL_ACCESS);
    let mut document = json!({
        "issuer": issuer.as_str(),
        "authorization_endpoint": issuer.url(AUTHORIZE),
        "token_endpoint": issuer.url(TOKEN),
        "revocation_endpoint": issuer.url(REVOKE),
        "scopes_supported": scopes,
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_methods_supported": ["none"],
        "revocation_endpoint_auth_methods_supported": ["none"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
    });
    if let Value::Object(fields) = &mut document {
        if offers.registration {
            let place = issuer.url(REGISTER);
            fields.insert("registration_endpoint".to_owned(), place.into());
        }
        if offers.documents {
            let name = "client_id_metadata_document_supported";
            fields.insert(name.to_owned(), true.into());
        }
    }
    document
}

fn texts(scopes: &[Scope]) -> Vec<&str> {
    scopes.iter().map(Scope::as_str).collect()
}
