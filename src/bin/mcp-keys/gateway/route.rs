//! Which server a request is for, if it has no key in its query. The path alone decides, before the key is looked at, since each
//! server has a name of its own that keys are granted for.
//!
//! | path | asks for |
//! |---|---|
//! | `/healthz` | nothing |
//! | `/mcp` and below, or `/NAME/mcp` and below | a key for the server |
//! | `/me` | any key in force |
//! | any other | any key in force, to be told that there is nothing |

use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::Arc;

use http::{Method, Request, Response};
use http_body_util::Either;
use hyper::body::Incoming;
use mcp_api_keys::layer::{ApiKeyService, ResponseBody};
use mcp_api_keys::policy::ScopeRule;
use mcp_api_keys::{ApiKeyLayer, ApiKeys};
use tower_layer::Layer;
use tower_service::Service;

use super::Error;
use super::answers::{self, Body, Shape};
use super::config::{Config, Route};
use super::connect;
use super::formats::Accepted;
use super::proxy::{Inside, Server};
use super::query;
use super::upstream::MCP;

/// What a caller gets.
pub(super) type Answer = Response<Either<Body, ResponseBody<Body>>>;

/// All servers, and the gateway's own pages.
#[derive(Debug)]
pub(super) struct Gateway {
    servers: Vec<Door>,
    me: ApiKeyService<Inside>,
    nothing: ApiKeyService<Inside>,
    /// How keys are written: none may stand in a query.
    formats: Arc<[Accepted]>,
}

/// The way to one server, through the layer that knows its name.
#[derive(Debug)]
struct Door {
    prefix: String,
    service: ApiKeyService<Inside>,
}

impl Gateway {
    pub(super) fn new(config: &Config, keys: &ApiKeys) -> Result<Self, Error> {
        let client = connect::client(&config.upstream_ca)?;
        let trust = Arc::new(config.trust.clone());
        let formats: Arc<[Accepted]> = config.formats.clone().into();
        let doors = config.routes.iter().map(|route| {
            let prefix = prefix(route);
            let layer = layer(config, route, &prefix, keys)?;
            let server = Server {
                prefix: prefix.clone(),
                upstream: route.upstream.clone(),
                client: client.clone(),
                trust: Arc::clone(&trust),
                formats: Arc::clone(&formats),
            };
            let service = layer.layer(Inside::Server(Arc::new(server)));
            Ok(Door { prefix, service })
        });
        let anybody = keys.layer().any_server();
        Ok(Self {
            servers: doors.collect::<Result<_, Error>>()?,
            me: anybody.layer(Inside::Me),
            nothing: anybody.layer(Inside::Nothing),
            formats,
        })
    }

    pub(super) async fn answer(&self, request: Request<Incoming>) -> Answer {
        let query = request.uri().query().unwrap_or_default();
        if query::holds_key(query, &self.formats) {
            let shape = Shape::of(request.method(), request.headers());
            return answers::key_in_query(&shape).map(Either::Left);
        }
        let path = request.uri().path();
        if path == "/healthz" {
            return health(&request).map(Either::Left);
        }
        let door = self.servers.iter().find(|door| door.leads_to(path));
        let service = match door {
            Some(door) => &door.service,
            None if path == "/me" => &self.me,
            None => &self.nothing,
        };
        ask(service.clone(), request).await.map(Either::Right)
    }
}

impl Door {
    fn leads_to(&self, path: &str) -> bool {
        path.strip_prefix(&self.prefix)
            .is_some_and(|tail| tail.is_empty() || tail.starts_with('/'))
    }
}

fn prefix(route: &Route) -> String {
    match &route.name {
        Some(name) => format!("/{name}{MCP}"),
        None => MCP.to_owned(),
    }
}

fn layer(
    config: &Config,
    route: &Route,
    prefix: &str,
    keys: &ApiKeys,
) -> Result<ApiKeyLayer, Error> {
    let mut layer = keys.layer();
    if let Some(server) = &route.server {
        layer = layer.server(server.as_str());
    }
    if !config.scopes.is_empty() {
        layer = layer.require_scopes(ScopeRule::all(config.scopes.iter().cloned()));
    }
    if config.path_keys {
        layer = layer
            .path_keys(&format!("{prefix}/{{key}}"))
            .map_err(|error| Error::failed("keys in the path cannot be set up", error))?;
    }
    Ok(layer)
}

fn health(request: &Request<Incoming>) -> Response<Body> {
    match *request.method() {
        Method::GET | Method::HEAD => answers::healthy(),
        _ => answers::read_only(&Shape::of(request.method(), request.headers())),
    }
}

async fn ask(
    mut service: ApiKeyService<Inside>,
    request: Request<Incoming>,
) -> Response<ResponseBody<Body>> {
    let Ok(()) = poll_fn(|cx| service.poll_ready(cx)).await;
    let answer: Result<_, Infallible> = service.call(request).await;
    let Ok(response) = answer;
    response
}
