//! The admin listener: the crate's admin API and page on an address of their own, so that they need not
//! be where callers of the servers are.
//!
//! | path | asks for |
//! |---|---|
//! | `/healthz` | nothing |
//! | `/api/v1/openapi.json` | nothing |
//! | `/api/v1` and below | a key with the scopes of the act |
//! | `/metrics` | a key with the scope `metrics:read` |
//! | everything else | the page: a session that began with a key |
//!
//! Names under which it may be asked, and keys in queries, are treated as by the gateway.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse;
use axum::routing::get;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Request, Response};
use hyper::body::Incoming;
use mcp_api_keys::admin::{AdminApi, AdminPage};
use mcp_api_keys::key::{Scope, Servers};
use mcp_api_keys::layer::{Respond, StandardResponder};
use mcp_api_keys::{ApiKeys, KeyContext, Rejection};
use metrics_exporter_prometheus::PrometheusHandle;

use super::answers::{self, Shape};
use super::config::Config;
use super::formats::Accepted;
use super::hosts::Hosts;
use super::listen::Answers;
use super::query;
use super::route::{ask, health};
use super::watching::METRICS;

const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// The scope that reads metrics.
const READ_METRICS: &str = "metrics:read";

/// Where the API is, by convention.
const API: &str = "/api/v1";

/// What answers on the admin address.
pub(super) struct Admin {
    router: Router,
    hosts: Option<Hosts>,
    formats: Arc<[Accepted]>,
}

impl Admin {
    pub(super) fn new(config: &Config, keys: &ApiKeys, metrics: Option<PrometheusHandle>) -> Self {
        let page = AdminPage::new(keys).https(config.tls.is_some());
        let mut router = Router::new()
            .nest(API, AdminApi::new(keys).into_router())
            .merge(page.into_router());
        if let Some(handle) = metrics {
            router = router.merge(metering(keys, handle));
        }
        Self {
            router,
            hosts: config.admin_hosts.clone(),
            formats: config.formats.clone().into(),
        }
    }
}

/// The metrics, behind the key layer.
fn metering(keys: &ApiKeys, handle: PrometheusHandle) -> Router {
    let show = async move |request: axum::extract::Request| {
        let (head, _) = request.into_parts();
        match may_read(head.extensions.get::<KeyContext>()) {
            Ok(()) => {
                let headers = [(CONTENT_TYPE, METRICS), (CACHE_CONTROL, NO_STORE)];
                (headers, handle.render()).into_response()
            }
            Err(rejection) => {
                let answer = StandardResponder::new().respond(&rejection, &head);
                answer.map(Body::from)
            }
        }
    };
    Router::new()
        .route("/metrics", get(show))
        .layer(keys.layer().any_server())
}

/// Whether a key has the scope. As for the API, a bare `*` counts in a key for all servers only.
fn may_read(key: Option<&KeyContext>) -> Result<(), Rejection> {
    let required: Vec<Scope> = READ_METRICS.parse().into_iter().collect();
    let key = key.map(KeyContext::key);
    let holds = key.is_some_and(|key| {
        let mut grants = key.scopes.iter();
        grants.any(|grant| {
            let covers = required.iter().all(|scope| grant.covers_scope(scope));
            covers && (grant.as_str() != "*" || key.servers == Servers::All)
        })
    });
    match holds && !required.is_empty() {
        true => Ok(()),
        false => Err(Rejection::scope_missing(required.into())),
    }
}

impl Answers for Admin {
    type Body = Body;

    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        if request.uri().path() == "/healthz" {
            return health(&request).map(Body::new);
        }
        let hosts = self.hosts.as_ref();
        if hosts.is_some_and(|hosts| !hosts.admit(request.uri(), request.headers())) {
            return answers::host_not_allowed(&Shape::Api).map(Body::new);
        }
        if query::holds_key(request.uri().query().unwrap_or_default(), &self.formats) {
            return answers::key_in_query(&Shape::Api).map(Body::new);
        }
        ask(self.router.clone(), request).await
    }
}

/// Reads the address of the admin listener. A port alone is one of this machine's own.
pub(super) fn address(text: &str) -> Result<SocketAddr, &'static str> {
    match text.parse::<u16>() {
        Ok(port) => Ok((Ipv4Addr::LOCALHOST, port).into()),
        Err(_) => text
            .parse()
            .map_err(|_| "must be an address and a port such as 127.0.0.1:8081, or a port"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_is_on_this_machine() {
        assert_eq!(address("8081"), Ok(([127, 0, 0, 1], 8081).into()));
        assert_eq!(address("0.0.0.0:1"), Ok(([0, 0, 0, 0], 1).into()));
        for wrong in ["", ":8081", "localhost:1", "70000", "127.0.0.1"] {
            assert!(address(wrong).is_err(), "{wrong}");
        }
    }
}
