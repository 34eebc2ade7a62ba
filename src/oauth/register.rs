//! Programs that register themselves (RFC 7591).
//!
//! 1. Anybody may, so that there is a bound on how many there are, and on how many one address makes.
//! 2. A program that nobody was ever connected to is forgotten after a day, any other 90 days after it
//!    was last used.
//! 3. Programs are public: no secret is given out, whatever they ask for.
//! 4. Of what a program says of itself, its name and where it sends people back to are kept.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use bytes::Bytes;
use http::{Response, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::answer::{Refusal, fault, json, later, unavailable};
use super::body::{self, JSON};
use super::document::shown_name;
use super::redirect;
use super::router::{Answer, served};
use super::server::Server;
use crate::client_ip::AddressBucket;
use crate::error::{Error, ErrorKind};
use crate::key::RateLimit;
use crate::limit::FailureLimiter;
use crate::manager::RegisteredClient;

/// How many places to send people back to a program may have.
const MOST_REDIRECTS: usize = 16;

/// How programs may register themselves. On by default; see
/// [`OAuthBuilder::without_registration`](super::OAuthBuilder::without_registration).
///
/// ```
/// use mcp_api_keys::RateLimit;
/// use mcp_api_keys::oauth::Registration;
///
/// let few = Registration::new().at_most(200).per_address(RateLimit::per_hour(10));
/// # let _ = few;
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Registration {
    most: usize,
    rate: RateLimit,
    pub(super) unused: Duration,
    pub(super) used: Duration,
}

impl Default for Registration {
    fn default() -> Self {
        Self {
            most: 1_000,
            rate: RateLimit::per_hour(60),
            unused: Duration::from_secs(24 * 3_600),
            used: Duration::from_secs(90 * 24 * 3_600),
        }
    }
}

impl Registration {
    /// At most 1,000 programs, and 60 an hour from one address.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many programs may be registered at a time.
    pub fn at_most(mut self, programs: usize) -> Self {
        self.most = programs;
        self
    }

    /// How many may be registered from one address (IPv4), or from one network (IPv6 /64).
    pub fn per_address(mut self, rate: RateLimit) -> Self {
        self.rate = rate;
        self
    }

    /// After how long a program is forgotten that nobody was connected to. Default: a day.
    pub fn forget_unused_after(mut self, time: Duration) -> Self {
        self.unused = time;
        self
    }

    /// How long after its last use a program is forgotten. Default: 90 days.
    pub fn forget_used_after(mut self, time: Duration) -> Self {
        self.used = time;
        self
    }
}

/// Who counts registrations.
#[derive(Debug)]
pub(super) struct Registrar {
    pub(super) settings: Registration,
    limit: FailureLimiter,
}

impl Registrar {
    pub(super) fn new(settings: Registration) -> Result<Self, Error> {
        let limit = match (settings.rate.fault(), FailureLimiter::new(&settings.rate)) {
            (None, Some(limit)) => limit,
            (fault, _) => {
                return Err(Error::invalid(
                    "registration",
                    fault.unwrap_or("is too small"),
                ));
            }
        };
        Ok(Self { settings, limit })
    }

    pub(super) fn most(&self) -> usize {
        self.settings.most
    }

    /// Counts a registration; otherwise says how long to wait. Without any address nothing is counted,
    /// or one caller could keep out all others.
    fn count(&self, from: Option<IpAddr>, ticks: u64) -> Result<(), Duration> {
        let Some(from) = from.map(AddressBucket::of) else {
            return Ok(());
        };
        if let Some(wait) = self.limit.blocked_for(from, ticks) {
            return Err(wait);
        }
        self.limit.record(from, ticks);
        Ok(())
    }
}

#[derive(Deserialize)]
struct Wire {
    #[serde(default)]
    redirect_uris: Vec<String>,
    client_name: Option<String>,
    grant_types: Option<Vec<String>>,
    response_types: Option<Vec<String>>,
}

pub(super) async fn register(State(server): State<Arc<Server>>, request: Request) -> Answer {
    let (head, body) = request.into_parts();
    let Some(registrar) = &server.registrar else {
        return served(fault(
            StatusCode::NOT_FOUND,
            "invalid_request",
            "there is none",
        ));
    };
    let body = match body::read(&head.headers, body, JSON).await {
        Ok(body) => body,
        Err(fault) => return served(*metadata(body::text(fault))),
    };
    let wire = match wanted(&body) {
        Ok(wire) => wire,
        Err(answer) => return served(*answer),
    };
    let now = server.clock().now();
    if let Err(wait) = registrar.count(server.caller(&head), now.ticks) {
        let text = "too many registrations from this address";
        return served(later(StatusCode::TOO_MANY_REQUESTS, text, wait));
    }
    let unused = registrar.settings.unused;
    let mut client = RegisteredClient::new(wire.redirect_uris, now.wall, unused);
    client.name = wire.client_name.as_deref().and_then(shown_name);
    served(
        match server.vault().register(&client, registrar.most()).await {
            Ok(()) => taken(&client),
            Err(error) if error.kind() == ErrorKind::Conflict => {
                let text = "too many programs are registered at the moment";
                later(
                    StatusCode::SERVICE_UNAVAILABLE,
                    text,
                    Duration::from_secs(3_600),
                )
            }
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "a program could not be registered"
                );
                unavailable()
            }
        },
    )
}

fn wanted(body: &[u8]) -> Result<Wire, Refusal> {
    let wire: Wire = serde_json::from_slice(body)
        .map_err(|_| metadata("the body is not the JSON of a client's metadata"))?;
    let bad_uri =
        |text: &str| Refusal::from(fault(StatusCode::BAD_REQUEST, "invalid_redirect_uri", text));
    if wire.redirect_uris.is_empty() {
        return Err(bad_uri("redirect_uris is missing"));
    }
    if wire.redirect_uris.len() > MOST_REDIRECTS {
        return Err(bad_uri("there are too many redirect_uris"));
    }
    for uri in &wire.redirect_uris {
        if let Err(reason) = redirect::check(uri) {
            return Err(bad_uri(&format!("a redirect URI {reason}")));
        }
    }
    let lacks = |list: &Option<Vec<String>>, word: &str| {
        list.as_ref()
            .is_some_and(|list| !list.iter().any(|known| known == word))
    };
    if lacks(&wire.grant_types, "authorization_code") {
        return Err(metadata("grant_types must have authorization_code"));
    }
    if lacks(&wire.response_types, "code") {
        return Err(metadata("response_types must have code"));
    }
    Ok(wire)
}

fn taken(client: &RegisteredClient) -> Response<Bytes> {
    let mut body = json!({
        "client_id": client.id.as_str(),
        "client_id_issued_at": client.created_at.as_millis().div_euclid(1_000),
        "redirect_uris": client.redirect_uris,
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
    });
    if let (Some(name), Some(fields)) = (&client.name, body.as_object_mut()) {
        fields.insert("client_name".to_owned(), name.as_str().into());
    }
    json(StatusCode::CREATED, &body)
}

fn metadata(text: &str) -> Refusal {
    fault(StatusCode::BAD_REQUEST, "invalid_client_metadata", text).into()
}
