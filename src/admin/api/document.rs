//! The OpenAPI document: made from the handlers, with what all of them have in common added here.
//!
//! It is open: it says nothing that this crate's documentation does not say, and tools ask for it
//! without a key.

use axum::extract::OriginalUri;
use axum::response::Response;
use http::StatusCode;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{Header, OpenApi as Document, Ref, RefOr, Required, ResponseBuilder, Server};
use utoipa::{Modify, OpenApi};

use super::fault::{FaultBody, FaultDetails, FaultType};
use super::schema::KeyIdText;
use super::{
    alerts, answer, audit, bulk, connections, key_acts, keys, links, me, owners, plans, schema,
    shown, usage, webhooks,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "mcp-api-keys admin API",
        description = "Issue, change, rotate and withdraw API keys, and read what became of them.\n\n\
            Each request carries a key as `Authorization: Bearer` or `X-API-Key`. What it needs beside \
            that is its `x-required-scope`. A key without `keys:admin` acts on its owner's keys alone; \
            no key gives another more than it has itself.",
        license(name = "MIT OR Apache-2.0"),
    ),
    paths(
        keys::list, keys::create, keys::find, keys::read, keys::update, keys::delete,
        key_acts::enable, key_acts::disable, key_acts::rotate, key_acts::end_grace,
        key_acts::revoke, bulk::import, bulk::revoke, connections::list, connections::disconnect,
        connections::safety, owners::list, owners::read, owners::define, owners::suspend,
        owners::resume, owners::remove, plans::list, plans::read, plans::define, plans::remove,
        audit::read, alerts::list, alerts::acknowledge, webhooks::dead_letters, usage::series, usage::last, me::who, me::keys, me::rotate, me::revoke,
        serve,
    ),
    components(schemas(
        FaultBody<'static>, FaultDetails<'static>, FaultType, KeyIdText, schema::AlertPlaceText, schema::ServerText,
        schema::GlobText, schema::NetworkText, schema::GrantText, schema::Tags, schema::Star,
        shown::ShownKey,
    )),
    tags(
        (name = "keys", description = "Keys, and what becomes of them."),
        (name = "connections", description = "Keys that programs use on behalf of owners."),
        (name = "owners", description = "Who may do what."),
        (name = "plans", description = "Limits that many keys share."),
        (name = "audit", description = "Who did what to which key."),
        (name = "alerts", description = "What looks wrong about keys, and what could not be told of it."),
        (name = "usage", description = "What keys were used for."),
        (name = "me", description = "What a key may ask about itself."),
    ),
    modifiers(&Common),
)]
struct Api;

/// The document
///
/// Anybody may read it.
#[utoipa::path(
    get, path = "/openapi.json", tag = "me", operation_id = "readDocument",
    responses((status = 200, description = "This document.", body = std::collections::BTreeMap<String, serde_json::Value>)),
    security(()),
)]
pub(super) async fn serve(OriginalUri(uri): OriginalUri) -> Response {
    let path = uri.path();
    let prefix = path.strip_suffix("/openapi.json").unwrap_or_default();
    answer::made_of(StatusCode::OK, written(prefix).into())
}

pub(super) fn written(prefix: &str) -> String {
    let mut document = Api::openapi();
    let url = if prefix.is_empty() { "/" } else { prefix };
    document.servers = Some(vec![Server::new(url)]);
    let json = document.to_json().unwrap_or_default();
    // So utoipa writes what links lead to. There is no such member elsewhere.
    json.replace(r#""operation_id":"#, r#""operationId":"#)
}

/// What every operation has: how a key is presented, and what may go wrong for all of them.
struct Common;

/// What can go wrong: the status, the name of the answer, and what it means.
const FAULTS: [(&str, &str, &str); 12] = [
    (
        "400",
        "Malformed",
        "The body is no JSON, or a parameter or header cannot be read.",
    ),
    (
        "401",
        "Unauthenticated",
        "No key was presented, or none that is in force.",
    ),
    (
        "403",
        "Forbidden",
        "The key may not do this, would give more than it has, or a page of another origin asks.",
    ),
    (
        "404",
        "NotFound",
        "There is no such thing, or it is none of the caller's business.",
    ),
    ("408", "TooSlow", "The body did not arrive in time."),
    ("409", "Conflict", "What is stored does not allow it."),
    (
        "412",
        "Changed",
        "It is no longer of the revision that was asked for.",
    ),
    ("413", "TooLarge", "The body is larger than it may be."),
    (
        "415",
        "NotJson",
        "The body is not said to be application/json, or is encoded.",
    ),
    (
        "422",
        "Invalid",
        "A value cannot be, or a member is not known.",
    ),
    (
        "429",
        "Limited",
        "A limit of the key is used up, or the address failed too often.",
    ),
    (
        "503",
        "Unavailable",
        "The store or the hashing pool does not answer.",
    ),
];

impl Modify for Common {
    fn modify(&self, document: &mut Document) {
        document.info.version = env!("CARGO_PKG_VERSION").to_owned();
        let components = document.components.get_or_insert_default();
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        let header = ApiKey::Header(ApiKeyValue::new("X-API-Key"));
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
        components.add_security_scheme("header", SecurityScheme::ApiKey(header));
        for (status, name, meaning) in FAULTS {
            let json = ContentBuilder::new().schema(Some(Ref::from_schema_name("Error")));
            let mut response = ResponseBuilder::new()
                .description(meaning)
                .content("application/json", json.build());
            if let Some((header, described)) = header_of(status) {
                response = response.header(header, described);
            }
            let response = RefOr::T(response.build());
            components.responses.insert(name.to_owned(), response);
        }
        for (path, item) in &mut document.paths.paths {
            if path == "/openapi.json" {
                continue;
            }
            let operations = [
                &mut item.get,
                &mut item.put,
                &mut item.post,
                &mut item.patch,
                &mut item.delete,
            ];
            for operation in operations.into_iter().flatten() {
                complete(path, operation);
            }
        }
        links::add(&mut document.paths);
    }
}

fn header_of(status: &str) -> Option<(&'static str, Header)> {
    let (name, kind, meaning) = match status {
        "401" => ("WWW-Authenticate", Type::String, "How a key is presented."),
        "429" | "503" => (
            "Retry-After",
            Type::Integer,
            "After how many seconds to try again.",
        ),
        _ => return None,
    };
    let schema = ObjectBuilder::new().schema_type(SchemaType::Type(kind));
    let header = HeaderBuilder::new()
        .schema(schema)
        .description(Some(meaning));
    Some((name, header.build()))
}

/// Names the answers that an operation may give beside its own.
fn complete(path: &str, operation: &mut Operation) {
    let has_parameter = |place: ParameterIn| {
        let parameters = operation.parameters.iter().flatten();
        parameters
            .filter(|known| known.parameter_in == place)
            .count()
            > 0
    };
    let has_body = operation.request_body.is_some();
    let is_act = operation.responses.responses.contains_key("201")
        || has_body
        || has_parameter(ParameterIn::Header)
        || path.ends_with("/disconnect")
        || path.ends_with("/suspend")
        || path.ends_with("/resume");
    // 400 also for more than one key.
    let mut statuses = vec!["400", "401", "403", "429", "503"];
    if has_parameter(ParameterIn::Path) || ["/usage", "/audit", "/alerts"].contains(&path) {
        statuses.push("404");
    }
    if has_parameter(ParameterIn::Header) {
        statuses.push("412");
    }
    if has_body {
        statuses.extend(["408", "413", "415"]);
    }
    if is_act {
        statuses.extend(["409", "422"]);
    } else if path == "/usage" {
        statuses.push("422");
    }
    for (status, name, _) in FAULTS {
        if statuses.contains(&status) {
            let answer = RefOr::Ref(Ref::from_response_name(name));
            operation
                .responses
                .responses
                .insert(status.to_owned(), answer);
        }
    }
    for parameter in operation.parameters.iter_mut().flatten() {
        if parameter.parameter_in == ParameterIn::Header {
            parameter.required = Required::False;
        }
    }
    operation.security = Some(vec![
        SecurityRequirement::new("bearer", Vec::<String>::new()),
        SecurityRequirement::new("header", Vec::<String>::new()),
    ]);
}
