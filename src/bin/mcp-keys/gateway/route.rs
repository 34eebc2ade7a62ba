//! Which server a request is for, if it came under a name that is allowed and has no key in its
//! query. The path alone decides, before the key is looked at, since each server has a name of its
//! own that keys are granted for.
//!
//! | path | asks for |
//! |---|---|
//! | `/healthz` | nothing |
//! | `/mcp` and below, or `/NAME/mcp` and below | a key for the server |
//! | `/me` | any key in force |
//! | with `--oauth`: `/oauth/…`, and documents about it under `/.well-known` | nothing: see [`super::oauth`] |
//! | any other | any key in force, to be told that there is nothing |

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;

use http::{Method, Request, Response};
use http_body_util::{BodyExt, Either};
use hyper::body::Incoming;
use mcp_api_keys::layer::{
    ApiKeyService, McpService, ResponseBody, SignedRequestLayer, SignedRequestService,
};
use mcp_api_keys::policy::ScopeRule;
use mcp_api_keys::signing::SigningMode;
use mcp_api_keys::{ApiKeyLayer, ApiKeys};
use tower_layer::Layer;
use tower_service::Service;

use super::Error;
use super::answers::{self, Body, Shape};
use super::config::Config;
use super::connect;
use super::formats::Accepted;
use super::hosts::Hosts;
use super::listen::Answers;
use super::oauth::{self, Connections};
use super::places::Route;
use super::proxy::{Page, Server, ToServer};
use super::query;
use super::together::Shared;
use super::upstream::MCP;

/// What a caller gets.
pub(super) type Answer = Response<Answered>;

/// A page of the gateway's own, a server's answer, or one to a program that connects.
type Answered = Either<Body, Either<Watched, axum::body::Body>>;

/// A server's answer, as it comes out of the three layers.
type Watched = ResponseBody<ResponseBody<ResponseBody<Body>>>;

/// All servers, and the gateway's own pages.
#[derive(Debug)]
pub(super) struct Gateway {
    servers: Vec<Door>,
    me: Signed<Page>,
    nothing: Signed<Page>,
    connections: Option<Connections>,
    /// The names to be asked for under.
    hosts: Option<Hosts>,
    /// How keys are written: none may stand in a query.
    formats: Arc<[Accepted]>,
}

/// Behind the layer for keys and the one for signatures.
type Signed<S> = ApiKeyService<SignedRequestService<S>>;

/// The way to one server, through the layers that know its name.
#[derive(Debug)]
struct Door {
    prefix: String,
    service: Signed<McpService<ToServer>>,
}

impl Gateway {
    /// What answers on the address `local`.
    pub(super) fn new(config: &Config, keys: &ApiKeys, local: SocketAddr) -> Result<Self, Error> {
        let connections = match &config.oauth {
            Some(oauth) => Some(oauth.open(config, keys, local)?),
            None => None,
        };
        let client = connect::client(&config.upstream_ca)?;
        let trust = Arc::new(config.trust.clone());
        let formats: Arc<[Accepted]> = config.formats.clone().into();
        let signing = config
            .rules
            .signing(config.shared.as_ref().map(Shared::redis));
        let doors = config.routes.iter().map(|route| {
            let prefix = prefix(route);
            let mut layer = layer(config, route, &prefix, keys)?;
            if let Some(connections) = &connections {
                layer = layer.responder(connections.responder(&prefix)?);
            }
            let layer = layer
                .with_signing(signing.clone())
                .with_mcp(config.rules.mcp(route)?);
            let server = Server {
                prefix: prefix.clone(),
                upstream: route.upstream.clone(),
                client: client.clone(),
                trust: Arc::clone(&trust),
                formats: Arc::clone(&formats),
            };
            let service = layer.layer(ToServer(Arc::new(server)));
            Ok(Door { prefix, service })
        });
        // Who is calling is told without a signature, except to keys that must always sign.
        let anybody = keys.layer().any_server();
        let anybody = anybody.with_signing(SignedRequestLayer::new(SigningMode::Off));
        Ok(Self {
            servers: doors.collect::<Result<_, Error>>()?,
            me: anybody.layer(Page::Me),
            nothing: anybody.layer(Page::Nothing),
            connections,
            hosts: config.hosts.clone(),
            formats,
        })
    }

    async fn routed(&self, request: Request<Incoming>) -> Answer {
        let path = request.uri().path();
        let is_probe = path == "/healthz";
        let names = self.hosts.as_ref().filter(|_| !is_probe);
        if names.is_some_and(|names| !names.admit(request.uri(), request.headers())) {
            let shape = Shape::of(request.method(), request.headers());
            return answers::host_not_allowed(&shape).map(Either::Left);
        }
        let query = request.uri().query().unwrap_or_default();
        if query::holds_key(query, &self.formats) {
            let shape = Shape::of(request.method(), request.headers());
            return answers::key_in_query(&shape).map(Either::Left);
        }
        if is_probe {
            return health(&request).map(Either::Left);
        }
        let door = self.servers.iter().find(|door| door.leads_to(path));
        if let Some(door) = door {
            let mut answer = ask(door.service.clone(), request).await;
            if self.connections.is_some() {
                oauth::hold_apart(&mut answer);
            }
            return answer.map(|body| Either::Right(Either::Left(body)));
        }
        let connections = self.connections.as_ref();
        if let Some(connections) = connections.filter(|connections| connections.are_at(path)) {
            let answer = ask(connections.router(), request).await;
            return answer.map(|body| Either::Right(Either::Right(body)));
        }
        let page = if path == "/me" {
            &self.me
        } else {
            &self.nothing
        };
        let answer = ask(page.clone(), request).await;
        answer.map(|body| Either::Left(body.boxed_unsync()))
    }
}

impl Answers for Gateway {
    type Body = Answered;

    async fn answer(&self, request: Request<Incoming>) -> Answer {
        self.routed(request).await
    }
}

impl Door {
    fn leads_to(&self, path: &str) -> bool {
        path.strip_prefix(&self.prefix)
            .is_some_and(|tail| tail.is_empty() || tail.starts_with('/'))
    }
}

pub(super) fn prefix(route: &Route) -> String {
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

pub(super) fn health(request: &Request<Incoming>) -> Response<Body> {
    match *request.method() {
        Method::GET | Method::HEAD => answers::healthy(),
        _ => answers::read_only(&Shape::of(request.method(), request.headers())),
    }
}

pub(super) async fn ask<S, R>(mut service: S, request: Request<Incoming>) -> Response<R>
where
    S: Service<Request<Incoming>, Response = Response<R>, Error = Infallible>,
{
    let Ok(()) = poll_fn(|cx| service.poll_ready(cx)).await;
    let answer: Result<_, Infallible> = service.call(request).await;
    let Ok(response) = answer;
    response
}
