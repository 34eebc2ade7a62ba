//! What others offer, each set up as its own documentation suggests.
//!
//! None of them does all that the layer does. `plaintext_set`, `tower_governor`, `stacked` and
//! `tower_mcp_auth` hash nothing; none but `afternoon` looks at a record of the key.

#![allow(
    clippy::result_large_err,
    reason = "tower-http asks for a response in the error"
)]

use std::collections::{HashMap, HashSet};
use std::num::NonZeroU32;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use dashmap::DashMap;
use governor::{DefaultKeyedRateLimiter, Quota};
use http::header::AUTHORIZATION;
use http::{Request, StatusCode};
use jsonwebtoken::{DecodingKey, EncodingKey, Header, Validation};
use prefixed_api_key::PrefixedApiKeyController;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tower::{Layer, Service, ServiceBuilder};
use tower_governor::governor::{GovernorConfig, GovernorConfigBuilder};
use tower_governor::key_extractor::KeyExtractor;
use tower_governor::{GovernorError, GovernorLayer};
use tower_http::validate_request::ValidateRequestHeaderLayer;
use tower_mcp::auth::{ApiKeyValidator, AuthLayer};

use super::cases::{Entrant, World};
use super::load::Shape;
use super::ours::{Issued, api_key, bare};

/// The cases that are not ours.
pub struct Peers;

type Make = fn(&World, &'static str, &Issued) -> Entrant;

impl Peers {
    /// All cases, by name.
    pub const CASES: &[(&str, Make)] = &[
        ("bare", |world, name, keys| {
            Entrant::new(name, world, Shape::bearer(&keys.texts), bare())
        }),
        ("bare_empty_extensions", |world, name, keys| {
            let shape = Shape::bearer(&keys.texts).without_peer();
            Entrant::new(name, world, shape, bare()).over(name)
        }),
        ("bare_api_key_header", |world, name, keys| {
            Entrant::new(name, world, api_key(&keys.texts), bare()).over(name)
        }),
        ("bare_path_key", |world, name, keys| {
            Entrant::new(name, world, Shape::path(&keys.texts), bare()).over(name)
        }),
        ("plaintext_set", |world, name, keys| {
            let service = ValidateRequestHeaderLayer::custom(in_set(keys)).layer(bare());
            Entrant::new(name, world, Shape::bearer(&keys.texts), service)
        }),
        ("tower_governor", |world, name, keys| {
            let service = GovernorLayer::new(governor()).layer(bare());
            Entrant::new(name, world, Shape::bearer(&keys.texts), service)
        }),
        ("stacked", |world, name, keys| {
            Entrant::new(name, world, Shape::bearer(&keys.texts), stacked(keys))
        }),
        ("stacked_hot64", |world, name, keys| {
            Entrant::new(name, world, Shape::bearer(&keys.texts), stacked(keys)).hot(64)
        }),
        ("tower_mcp_auth", |world, name, keys| {
            let validator = ApiKeyValidator::new(keys.texts.iter().cloned());
            let service = AuthLayer::new(validator).layer(bare());
            Entrant::new(name, world, Shape::bearer(&keys.texts), service)
        }),
        ("prefixed_api_key", prefixed),
        ("jwt_hs256", jwt),
        ("afternoon", |world, name, keys| {
            let afternoon = Arc::new(Afternoon::new(&keys.texts));
            let service = from_fn_with_state(afternoon, Afternoon::admit).layer(bare());
            Entrant::new(name, world, Shape::bearer(&keys.texts), service)
        }),
    ];
}

fn token<B>(request: &Request<B>) -> Option<&str> {
    let value = request.headers().get(AUTHORIZATION)?;
    value.to_str().ok()?.strip_prefix("Bearer ")
}

fn refusal() -> Response {
    StatusCode::UNAUTHORIZED.into_response()
}

/// tower-http's validation of a header, against a set of keys in clear text.
fn in_set(keys: &Issued) -> impl FnMut(&mut Request<Body>) -> Result<(), Response> + Clone + use<> {
    let set: Arc<HashSet<String>> = Arc::new(keys.texts.iter().cloned().collect());
    move |request| match token(request) {
        Some(token) if set.contains(token) => Ok(()),
        _ => Err(refusal()),
    }
}

/// The key of a limit in `tower_governor`: whatever the caller says it is.
#[derive(Clone, Copy, Debug)]
struct BearerKey;

impl KeyExtractor for BearerKey {
    type Key = String;

    fn extract<T>(&self, request: &Request<T>) -> Result<Self::Key, GovernorError> {
        token(request)
            .map(str::to_owned)
            .ok_or(GovernorError::UnableToExtractKey)
    }
}

fn governor() -> Arc<
    GovernorConfig<BearerKey, governor::middleware::NoOpMiddleware<governor::clock::QuantaInstant>>,
> {
    let config = GovernorConfigBuilder::default()
        .per_nanosecond(10)
        .burst_size(100_000_000)
        .key_extractor(BearerKey)
        .finish();
    Arc::new(config.expect("a valid configuration"))
}

fn stacked(
    keys: &Issued,
) -> impl Service<Request<Body>, Response = Response, Error = std::convert::Infallible> + use<> {
    ServiceBuilder::new()
        .layer(ValidateRequestHeaderLayer::custom(in_set(keys)))
        .layer(GovernorLayer::new(governor()))
        .service(bare())
}

/// prefixed-api-key: the hash is found by the short token, as its README tells, and compared.
fn prefixed(world: &World, name: &'static str, _: &Issued) -> Entrant {
    let controller = PrefixedApiKeyController::configure()
        .prefix("mycompany".to_owned())
        .seam_defaults()
        .finalize()
        .expect("a controller");
    let mut texts = Vec::new();
    let mut hashes = HashMap::new();
    for _ in 0..world.keys {
        let (key, hash) = controller.generate_key_and_hash();
        hashes.insert(key.short_token().to_owned(), hash);
        texts.push(key.to_string());
    }
    let hashes = Arc::new(hashes);
    let layer = ValidateRequestHeaderLayer::custom(move |request: &mut Request<Body>| {
        let key = token(request).and_then(|token| token.try_into().ok());
        let known = |key: &prefixed_api_key::PrefixedApiKey| {
            let hash = hashes.get(key.short_token());
            hash.is_some_and(|hash| controller.check_hash(key, hash))
        };
        if key.as_ref().is_some_and(known) {
            Ok(())
        } else {
            Err(refusal())
        }
    });
    Entrant::new(name, world, Shape::bearer(&texts), layer.layer(bare()))
}

#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    sub: String,
    company: String,
    exp: u64,
}

/// jsonwebtoken with a shared secret: the claims are read, checked, and dropped.
fn jwt(world: &World, name: &'static str, _: &Issued) -> Entrant {
    let secret = b"a secret of thirty-two bytes, 32";
    let texts: Vec<String> = (0..world.keys)
        .map(|number| {
            let claims = Claims {
                sub: format!("agent-{number}"),
                company: "ACME".to_owned(),
                exp: 4_102_444_800,
            };
            let key = EncodingKey::from_secret(secret);
            jsonwebtoken::encode(&Header::default(), &claims, &key).expect("a token")
        })
        .collect();
    let key = Arc::new(DecodingKey::from_secret(secret));
    let validation = Arc::new(Validation::default());
    let layer = ValidateRequestHeaderLayer::custom(move |request: &mut Request<Body>| {
        let decoded = token(request)
            .and_then(|token| jsonwebtoken::decode::<Claims>(token, &key, &validation).ok());
        decoded.map(drop).ok_or_else(refusal)
    });
    Entrant::new(name, world, Shape::bearer(&texts), layer.layer(bare()))
}

/// What one writes in an afternoon, by somebody who knows how: keys are hashed, looked up in a
/// concurrent map, judged by expiry and scope, limited each, and handed on.
struct Afternoon {
    keys: DashMap<String, Arc<Record>>,
    limits: DefaultKeyedRateLimiter<u64>,
}

#[derive(Debug)]
struct Record {
    id: u64,
    name: String,
    expires_at: Option<std::time::SystemTime>,
    scopes: Vec<String>,
}

/// What a handler is told.
#[derive(Clone, Debug)]
struct Caller(#[expect(dead_code, reason = "for a handler, and there is none")] Arc<Record>);

impl Afternoon {
    fn new(texts: &[String]) -> Self {
        let record = |(id, text): (usize, &String)| {
            let record = Record {
                id: id as u64,
                name: format!("agent {id}"),
                expires_at: None,
                scopes: vec!["files:read".to_owned()],
            };
            (hex_of_hash(text), Arc::new(record))
        };
        let enough = NonZeroU32::new(100_000_000).expect("not zero");
        Self {
            keys: texts.iter().enumerate().map(record).collect(),
            limits: DefaultKeyedRateLimiter::keyed(Quota::per_second(enough)),
        }
    }

    async fn admit(
        State(this): State<Arc<Self>>,
        mut request: axum::extract::Request,
        next: Next,
    ) -> Response {
        let Some(token) = token(&request) else {
            return refusal();
        };
        let Some(record) = this.keys.get(&hex_of_hash(token)).map(|r| Arc::clone(&r)) else {
            return refusal();
        };
        let expired = record
            .expires_at
            .is_some_and(|end| end <= std::time::SystemTime::now());
        if expired || record.name.is_empty() {
            return refusal();
        }
        if !record.scopes.iter().any(|scope| scope == "files:read") {
            return StatusCode::FORBIDDEN.into_response();
        }
        if this.limits.check_key(&record.id).is_err() {
            return StatusCode::TOO_MANY_REQUESTS.into_response();
        }
        request.extensions_mut().insert(Caller(record));
        next.run(request).await
    }
}

/// SHA-256 in hexadecimal digits, by a table: formatting byte by byte would cost as much again.
fn hex_of_hash(text: &str) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let hash: [u8; 32] = Sha256::digest(text).into();
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble & 15)]);
    let mut hex = String::with_capacity(64);
    for byte in hash {
        hex.push(digit(byte >> 4));
        hex.push(digit(byte));
    }
    hex
}
