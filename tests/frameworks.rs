//! The same layer, mounted unchanged in axum, hyper, tonic and around an MCP server, over real
//! connections.

#![cfg(all(
    feature = "axum",
    feature = "tonic",
    feature = "rmcp",
    feature = "testing"
))]
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests panic"
)]

mod support;

use std::convert::Infallible;
use std::future::ready;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Request as AxumRequest;
use axum::middleware::{self, Next};
use axum::routing::{any_service, get};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use mcp_api_keys::client_ip::PeerAddr;
use mcp_api_keys::framework::axum::around;
use mcp_api_keys::framework::tonic::key_context;
use mcp_api_keys::store::MemoryStore;
use mcp_api_keys::{
    ApiKeyLayer, ApiKeys, KeyContext, NewKey, RateLimit, Rejection, RejectionKind,
    RequireScopeLayer,
};
use rmcp::ServiceExt as _;
use rmcp::model::CallToolRequestParams;
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use support::tools::{call, initialize, initialized, mcp, message, with_key};
use support::{Answer, Client, Probe, Server, bearer, issue, light, secret, serve, soon};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::server::TcpIncoming;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

/// One layer value, a key that it admits, and a handler behind it.
struct House {
    keys: ApiKeys,
    layer: ApiKeyLayer,
    key: String,
    probe: Probe,
}

impl House {
    async fn new() -> Self {
        let keys = light(MemoryStore::new()).build().await.unwrap();
        let layer = keys.layer().server("files");
        let layer = layer.require_scope("files:read").unwrap();
        let key = issue(&keys, Self::guest("ci-bot")).await;
        let probe = Probe::default();
        Self {
            keys,
            layer,
            key,
            probe,
        }
    }

    /// A key that the layer admits, from this machine only.
    fn guest(name: &str) -> NewKey {
        NewKey::named(name)
            .server("files")
            .scope("files:*")
            .unwrap()
            .rate(RateLimit::per_minute(60))
            .allow_from("127.0.0.1".parse().unwrap())
    }

    fn path_layer(&self, template: &str) -> ApiKeyLayer {
        self.layer.clone().path_keys(template).unwrap()
    }

    /// A well-formed key that was never issued.
    fn stranger(&self) -> String {
        let key = mcp_api_keys::KeyFormat::default().generate(None).unwrap();
        key.expose_secret().to_owned()
    }

    /// Checks what the layer promises wherever it stands: that only the key passes, that it is
    /// known inside, and that nobody sees it there.
    async fn check(&self, client: &Client, url: &str) {
        let stranger = self.stranger();
        for (headers, status, challenge) in [
            (vec![], 401, "Bearer"),
            (
                vec![("authorization", bearer(&stranger))],
                401,
                r#"Bearer error="invalid_token""#,
            ),
            (
                vec![("x-api-key", format!("{}x", self.key))],
                401,
                r#"Bearer error="invalid_token""#,
            ),
            (
                vec![
                    ("authorization", bearer(&self.key)),
                    ("x-api-key", self.key.clone()),
                ],
                400,
                r#"Bearer error="invalid_request""#,
            ),
        ] {
            let headers: Vec<_> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
            let answer = client.get(url, &headers).await;
            assert_eq!(answer.status, status, "{answer:?}");
            assert_eq!(answer.header("www-authenticate"), challenge);
            assert!(!answer.text.contains(secret(&self.key)));
            assert!(!answer.text.contains(secret(&stranger)));
        }
        assert_eq!(self.probe.calls(), 0, "nobody else was let in");

        let by_bearer = client.get(url, &[("authorization", &bearer(&self.key))]);
        self.check_admitted(&by_bearer.await, "bearer");
        let by_header = client.get(url, &[("x-api-key", &self.key)]);
        self.check_admitted(&by_header.await, "header");
        assert_eq!(self.probe.calls(), 2);
    }

    fn check_admitted(&self, answer: &Answer, carrier: &str) {
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        let seen = answer.json();
        assert_eq!(seen["key"]["name"], "ci-bot");
        assert_eq!(seen["key"]["carrier"], carrier);
        assert_eq!(seen["headers"].get("authorization"), None);
        assert_eq!(seen["headers"].get("x-api-key"), None);
        assert!(!answer.text.contains(secret(&self.key)), "{}", answer.text);
        assert_eq!(answer.header("ratelimit-policy"), r#""default";q=60;w=60"#);
        assert!(answer.header("ratelimit").starts_with(r#""default";r=5"#));
    }

    /// Checks a mount that takes keys in the path. Returns what the handler saw.
    async fn check_path(&self, server: &Server, path: &str) -> serde_json::Value {
        let client = Client::http1();
        let with = |key: &str| server.url(&path.replace("KEY", key));
        let stranger = self.stranger();
        for attempt in [stranger.as_str(), "mcp_sk_short", "%6dcp_sk_x"] {
            let answer = client.get(&with(attempt), &[]).await;
            assert_eq!(answer.refusal(), (401, "invalid_api_key".to_owned()));
            assert_eq!(answer.header("referrer-policy"), "no-referrer");
            assert!(!answer.text.contains(attempt));
        }
        assert_eq!(self.probe.calls(), 0, "nobody else was let in");

        let answer = client.get(&with(&self.key), &[]).await;
        self.check_admitted(&answer, "path");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        assert_eq!(answer.header("cache-control"), "no-store");
        answer.json()
    }
}

/// Serves a tower service by hyper alone, over HTTP/1.1 and HTTP/2.
async fn serve_hyper<S, R>(service: S) -> Server
where
    S: Service<Request<Incoming>, Response = Response<R>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send + 'static,
    R: Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    Server::new(address, async move {
        // They end with the server.
        let mut connections = tokio::task::JoinSet::new();
        while let Ok((connection, peer)) = listener.accept().await {
            let service = ServiceBuilder::new()
                .map_request(move |mut request: Request<Incoming>| {
                    request.extensions_mut().insert(PeerAddr(peer));
                    request
                })
                .service(service.clone());
            connections.spawn(async move {
                let _ = auto::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(connection), TowerToHyperService::new(service))
                    .await;
            });
        }
    })
}

// === axum ===

#[tokio::test]
async fn behind_router_layer_only_the_key_passes() {
    let house = House::new().await;
    let app = Router::new()
        .route("/files", any_service(house.probe.service()))
        .layer(house.layer.clone());
    let server = serve(app).await;
    house.check(&Client::http1(), &server.url("/files")).await;
}

#[tokio::test]
async fn behind_route_layer_only_the_key_passes() {
    let house = House::new().await;
    let app = Router::new()
        .route_service("/files", house.probe.service())
        .route_layer(house.layer.clone())
        .route("/open", get(async || "open"));
    let server = serve(app).await;
    house.check(&Client::http1(), &server.url("/files")).await;
    let open = Client::http1().get(&server.url("/open"), &[]).await;
    assert_eq!(open.text, "open");
}

#[tokio::test]
async fn around_a_nested_service_only_the_key_passes() {
    let house = House::new().await;
    let service = house.layer.layer(house.probe.service());
    let server = serve(Router::new().nest_service("/files", service)).await;
    house.check(&Client::http1(), &server.url("/files/a")).await;
}

#[tokio::test]
async fn around_a_router_only_the_key_passes_and_unknown_paths_are_no_secret_channel() {
    let house = House::new().await;
    let inner = Router::new().route_service("/files", house.probe.service());
    let server = serve(around(house.layer.clone(), inner)).await;
    let client = Client::http1();
    house.check(&client, &server.url("/files")).await;

    let nowhere = server.url("/nowhere");
    assert_eq!(client.get(&nowhere, &[]).await.status, 401);
    let known = client.get(&nowhere, &[("x-api-key", &house.key)]).await;
    assert_eq!(known.status, 404);
}

#[tokio::test]
async fn one_layer_serves_many_mounts_and_charges_one_key() {
    let house = House::new().await;
    let routes = Router::new().route_service("/files", house.probe.service());
    let app = Router::new()
        .nest("/a", routes.clone().layer(house.layer.clone()))
        .nest("/b", routes.clone().route_layer(house.layer.clone()))
        .merge(around(
            house.layer.clone(),
            Router::new().nest("/c", routes),
        ));
    let server = serve(app).await;
    let client = Client::http1();
    for (path, left) in [("/a/files", 59), ("/b/files", 58), ("/c/files", 57)] {
        let answer = client.get(&server.url(path), &[("x-api-key", &house.key)]);
        let answer = answer.await;
        let limit = answer.header("ratelimit");
        assert!(
            limit.starts_with(&format!(r#""default";r={left};"#)),
            "{limit}"
        );
    }
}

#[tokio::test]
async fn a_scope_of_one_route_is_asked_for_behind_the_layer() {
    let house = House::new().await;
    let admin = RequireScopeLayer::new("admin").unwrap();
    let app = Router::new()
        .route_service("/files", house.probe.service())
        .route("/admin", get(async || "admin").layer(admin.clone()))
        .layer(house.layer.clone())
        .route("/forgotten", get(async || "admin").layer(admin));
    let server = serve(app).await;
    let client = Client::http1();
    let refused = client.get(&server.url("/admin"), &[("x-api-key", &house.key)]);
    let refused = refused.await;
    assert_eq!(refused.refusal(), (403, "insufficient_scope".to_owned()));
    assert_eq!(
        refused.header("www-authenticate"),
        r#"Bearer error="insufficient_scope", scope="admin""#
    );
    let forgotten = client.get(&server.url("/forgotten"), &[("x-api-key", &house.key)]);
    assert_eq!(
        forgotten.await.refusal(),
        (401, "missing_api_key".to_owned()),
        "a route outside the key layer is not open"
    );
}

#[tokio::test]
async fn a_handler_outside_the_layer_gets_no_key_made_up() {
    let app = Router::new().route("/", get(async |key: KeyContext| key.name().to_owned()));
    let server = serve(app).await;
    let answer = Client::http1().get(&server.url("/"), &[]).await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
}

// === keys in the path ===

#[tokio::test]
async fn around_a_router_the_path_is_routed_without_the_key() {
    let house = House::new().await;
    let inner = Router::new().route_service("/mcp/files", house.probe.service());
    let server = serve(around(house.path_layer("/mcp/{key}"), inner)).await;
    let seen = house.check_path(&server, "/mcp/KEY/files?page=2").await;
    assert_eq!(seen["uri"], "/mcp/files?page=2");
    assert_eq!(seen["original_uri"], "/mcp/files?page=2");
}

#[tokio::test]
async fn inside_a_router_the_handler_sees_the_path_without_the_key() {
    let house = House::new().await;
    let app = Router::new()
        .route_service("/mcp/{key}", house.probe.service())
        .layer(house.path_layer("/mcp/{key}"));
    let seen = house.check_path(&serve(app).await, "/mcp/KEY").await;
    assert_eq!(seen["uri"], "/mcp");
    assert_eq!(seen["original_uri"], "/mcp");
}

#[tokio::test]
async fn under_nest_the_template_is_what_is_left_of_the_path() {
    let house = House::new().await;
    let inner = Router::new()
        .route_service("/{key}", house.probe.service())
        .layer(house.path_layer("/{key}"));
    let server = serve(Router::new().nest("/mcp", inner)).await;
    let seen = house.check_path(&server, "/mcp/KEY").await;
    assert_eq!(seen["uri"], "/");
    assert_eq!(seen["original_uri"], "/mcp");
}

#[tokio::test]
async fn over_nested_routes_the_template_is_the_whole_path() {
    let house = House::new().await;
    let inner = Router::new().route_service("/{key}", house.probe.service());
    let app = Router::new()
        .nest("/mcp", inner)
        .layer(house.path_layer("/mcp/{key}"));
    let seen = house.check_path(&serve(app).await, "/mcp/KEY").await;
    assert_eq!(seen["uri"], "/");
    assert_eq!(seen["original_uri"], "/mcp");
}

#[tokio::test]
async fn around_a_nested_service_the_template_is_what_is_left_of_the_path() {
    let house = House::new().await;
    let service = house.path_layer("/{key}").layer(house.probe.service());
    let server = serve(Router::new().nest_service("/mcp", service)).await;
    let seen = house.check_path(&server, "/mcp/KEY/files").await;
    assert_eq!(seen["uri"], "/files");
    assert_eq!(seen["original_uri"], "/mcp/files");
}

#[tokio::test]
async fn a_key_in_path_and_header_is_ambiguous_and_a_header_alone_is_enough() {
    let house = House::new().await;
    let inner = Router::new().route_service("/mcp", house.probe.service());
    let server = serve(around(house.path_layer("/mcp/{key}"), inner)).await;
    let client = Client::http1();
    let header = [("x-api-key", house.key.as_str())];
    let both = client.get(&server.url(&format!("/mcp/{}", house.key)), &header);
    assert_eq!(
        both.await.refusal(),
        (400, "ambiguous_credentials".to_owned())
    );
    let alone = client.get(&server.url("/mcp"), &header).await;
    house.check_admitted(&alone, "header");
}

// === hyper ===

#[tokio::test]
async fn on_bare_hyper_only_the_key_passes_over_http1_and_http2() {
    for client in [Client::http1(), Client::http2()] {
        let house = House::new().await;
        let server = serve_hyper(house.layer.layer(house.probe.service())).await;
        house.check(&client, &server.url("/files")).await;
    }
}

#[tokio::test]
async fn a_response_passes_chunk_by_chunk_and_ends_with_its_client() {
    for client in [Client::http1(), Client::http2()] {
        let house = House::new().await;
        let (chunks, body) = mpsc::channel(1);
        let body = Arc::new(Mutex::new(Some(body)));
        let service = service_fn(move |_: Request<Incoming>| {
            let body = body.lock().unwrap().take().expect("it is called once");
            ready(Ok(Response::new(StreamBody::new(ReceiverStream::new(
                body,
            )))))
        });
        let server = serve_hyper(house.layer.layer(service)).await;

        let request = Request::get(server.url("/")).body(Full::default()).unwrap();
        let request = with_key(request, &house.key);
        let mut response = client.open(request).await;
        assert!(response.headers().contains_key("ratelimit"));
        for chunk in ["first", "second", "third"] {
            let frame = Ok::<_, Infallible>(Frame::data(Bytes::from(chunk)));
            chunks.send(frame).await.unwrap();
            // The next one is not sent before this one has arrived.
            let frame = soon(response.body_mut().frame()).await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap(), chunk);
        }
        drop(response);
        drop(client);
        soon(chunks.closed()).await;
    }
}

#[tokio::test]
async fn a_request_body_passes_chunk_by_chunk() {
    let house = House::new().await;
    let echo = service_fn(|request: Request<Incoming>| {
        let body = request.into_body().map_err(|error| panic!("{error}"));
        ready(Ok::<_, Infallible>(Response::new(body)))
    });
    let server = serve_hyper(house.layer.layer(echo)).await;

    let (chunks, body) = mpsc::channel::<Result<_, Infallible>>(1);
    let request = Request::post(server.url("/")).header("authorization", bearer(&house.key));
    let request = request.body(StreamBody::new(ReceiverStream::new(body)));
    let mut response = Client::http2().open(request.unwrap()).await;
    for chunk in ["first", "second", "third"] {
        chunks
            .send(Ok(Frame::data(Bytes::from(chunk))))
            .await
            .unwrap();
        let frame = soon(response.body_mut().frame()).await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), chunk);
    }
    drop(chunks);
    let rest = soon(response.into_body().collect()).await.unwrap();
    assert!(rest.to_bytes().is_empty());
}

#[tokio::test]
async fn a_refused_request_leaves_its_connection_usable() {
    let house = House::new().await;
    let server = serve_hyper(house.layer.layer(house.probe.service())).await;
    let mut connection = TcpStream::connect(server.address).await.unwrap();
    let refused = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nsome text";
    let key = &house.key;
    let last =
        format!("GET / HTTP/1.1\r\nhost: a\r\nx-api-key: {key}\r\nconnection: close\r\n\r\n");
    let sent = [refused, refused, &last].concat();
    connection.write_all(sent.as_bytes()).await.unwrap();

    let mut answers = String::new();
    soon(connection.read_to_string(&mut answers)).await.unwrap();
    let statuses = answers
        .match_indices("HTTP/1.1 ")
        .map(|(at, _)| &answers[at + 9..at + 12]);
    assert_eq!(statuses.collect::<Vec<_>>(), ["401", "401", "200"]);
    assert_eq!(house.probe.calls(), 1);
}

#[tokio::test]
async fn a_client_that_leaves_takes_the_handler_with_it() {
    for client in [Client::http1(), Client::http2()] {
        let house = House::new().await;
        let (calls, mut called) = mpsc::channel::<mpsc::Sender<()>>(1);
        let service = service_fn(move |_: Request<Incoming>| {
            let calls = calls.clone();
            async move {
                let (alive, mut held) = mpsc::channel(1);
                calls.send(alive).await.unwrap();
                // Until the sender is dropped, which the test does not do.
                held.recv().await;
                Ok(Response::new(Full::<Bytes>::default()))
            }
        });
        let server = serve_hyper(house.layer.layer(service)).await;
        let url = server.url("/");
        let key = house.key.clone();
        let asking = tokio::spawn(async move {
            client.get(&url, &[("x-api-key", &key)]).await;
        });
        let handler = soon(called.recv()).await.unwrap();
        asking.abort();
        soon(handler.closed()).await;
    }
}

// === tonic ===

/// Serves the health service. What its methods saw of each call is noted.
async fn serve_health(layer: ApiKeyLayer) -> (Server, Arc<Mutex<Vec<String>>>) {
    let notes = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&notes);
    let (_, health) = tonic_health::server::health_reporter();
    let health = tonic::service::interceptor::InterceptedService::new(
        health,
        move |request: tonic::Request<()>| {
            let name = key_context(&request)?.name();
            log.lock().unwrap().push(format!("{name}: {request:?}"));
            Ok(request)
        },
    );
    let incoming = TcpIncoming::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = incoming.local_addr().unwrap();
    let server = tonic::transport::Server::builder()
        .layer(layer)
        .add_service(health);
    let server = Server::new(address, async {
        server.serve_with_incoming(incoming).await.unwrap();
    });
    (server, notes)
}

async fn check_health(
    server: &Server,
    key: Option<&str>,
) -> Result<tonic::metadata::MetadataMap, tonic::Status> {
    let channel = tonic::transport::Channel::from_shared(server.url("")).unwrap();
    let mut client = HealthClient::new(channel.connect().await.unwrap());
    let mut request = tonic::Request::new(HealthCheckRequest::default());
    if let Some(key) = key {
        let value: AsciiMetadataValue = bearer(key).parse().unwrap();
        request.metadata_mut().insert("authorization", value);
    }
    let response = soon(client.check(request)).await?;
    Ok(response.metadata().clone())
}

#[tokio::test]
async fn a_grpc_client_learns_by_status_why_it_is_turned_away() {
    let house = House::new().await;
    let (server, notes) = serve_health(house.layer.clone()).await;
    let elsewhere = NewKey::named("a").server("mail").scope("files:*").unwrap();
    let no_scope = NewKey::named("b").server("files");
    let elsewhere = issue(&house.keys, elsewhere).await;
    let no_scope = issue(&house.keys, no_scope).await;
    let stranger = house.stranger();
    for (key, code, word) in [
        (None, Code::Unauthenticated, "missing_api_key"),
        (Some(&stranger), Code::Unauthenticated, "invalid_api_key"),
        (
            Some(&elsewhere),
            Code::PermissionDenied,
            "server_not_allowed",
        ),
        (
            Some(&no_scope),
            Code::PermissionDenied,
            "insufficient_scope",
        ),
    ] {
        let status = check_health(&server, key.map(String::as_str))
            .await
            .unwrap_err();
        assert_eq!(status.code(), code);
        assert!(status.message().starts_with(word), "{status:?}");
    }
    assert!(notes.lock().unwrap().is_empty(), "nobody was let in");
}

#[tokio::test]
async fn a_grpc_method_knows_the_key_and_sees_no_credential() {
    let house = House::new().await;
    let (server, notes) = serve_health(house.layer.clone()).await;
    let metadata = check_health(&server, Some(&house.key)).await.unwrap();
    let limit = metadata.get("ratelimit").unwrap().to_str().unwrap();
    assert!(limit.starts_with(r#""default";r=59"#));
    let notes = notes.lock().unwrap();
    assert_eq!(notes.len(), 1);
    assert!(notes[0].starts_with("ci-bot: "));
    assert!(!notes[0].contains("authorization"), "{}", notes[0]);
    assert!(!notes[0].contains(secret(&house.key)), "{}", notes[0]);
}

#[tokio::test]
async fn a_grpc_client_over_its_limit_is_told_when_to_come_back() {
    let house = House::new().await;
    let (server, _) = serve_health(house.layer.clone()).await;
    let once = House::guest("once").rate(RateLimit::per_hour(1).named("hour"));
    let once = issue(&house.keys, once).await;
    check_health(&server, Some(&once)).await.unwrap();
    let status = check_health(&server, Some(&once)).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    let wait = status.metadata().get("retry-after").unwrap().to_str();
    let wait: u32 = wait.unwrap().parse().unwrap();
    assert!((3_590..=3_600).contains(&wait), "{wait}");
}

#[tokio::test]
async fn a_grpc_refusal_is_nothing_but_headers() {
    let house = House::new().await;
    let (server, _) = serve_health(house.layer.clone()).await;
    let request = Request::post(server.url("/grpc.health.v1.Health/Check"))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    let request = request.body(Full::from("\0\0\0\0\0")).unwrap();
    let response = Client::http2().open(request).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["grpc-status"], "16");
    assert_eq!(response.headers()["content-type"], "application/grpc");
    assert!(response.body().is_end_stream(), "trailers only");
}

// === rmcp ===

/// Connects rmcp's own client.
async fn connect(
    url: String,
    key: Option<&str>,
) -> Result<rmcp::service::RunningService<rmcp::RoleClient, ()>, String> {
    let mut config = StreamableHttpClientTransportConfig::with_uri(url);
    if let Some(key) = key {
        config = config.auth_header(key);
    }
    let transport = StreamableHttpClientTransport::from_config(config);
    let connected = soon(().serve(transport)).await;
    connected.map_err(|error| error.to_string())
}

fn text_of(result: &rmcp::model::CallToolResult) -> String {
    result.content[0].as_text().unwrap().text.clone()
}

#[tokio::test]
async fn an_mcp_client_lists_and_calls_tools_and_the_tools_know_its_key() {
    let house = House::new().await;
    let inner = Router::new().route_service("/mcp", mcp());
    let server = serve(around(house.path_layer("/mcp/{key}"), inner)).await;
    let by_path = server.url(&format!("/mcp/{}", house.key));
    for (url, key) in [
        (server.url("/mcp"), Some(house.key.as_str())),
        (by_path, None),
    ] {
        let client = connect(url, key).await.unwrap();
        let tools = soon(client.list_all_tools()).await.unwrap();
        let names: Vec<_> = tools.iter().map(|tool| &*tool.name).collect();
        assert_eq!(names, ["request", "whoami"]);

        let name = soon(client.call_tool(CallToolRequestParams::new("whoami"))).await;
        assert_eq!(text_of(&name.unwrap()), "ci-bot");
        let seen = soon(client.call_tool(CallToolRequestParams::new("request"))).await;
        let seen = text_of(&seen.unwrap());
        assert!(seen.contains(r#""uri":"/mcp""#), "{seen}");
        assert!(!seen.contains("authorization"), "{seen}");
        assert!(!seen.contains(secret(&house.key)), "{seen}");
        soon(client.cancel()).await.unwrap();
    }
}

#[tokio::test]
async fn an_mcp_client_without_a_good_key_does_not_get_in() {
    let house = House::new().await;
    let app = Router::new().route_service("/mcp", house.layer.layer(mcp()));
    let server = serve(app).await;
    for key in [None, Some(house.stranger())] {
        let error = connect(server.url("/mcp"), key.as_deref())
            .await
            .unwrap_err();
        assert!(!error.contains("mcp_sk_"), "{error}");
    }
    let refused = message(&server.url("/mcp"), None, &initialize());
    let answer = Client::http1().send(refused).await;
    assert_eq!(answer.status, 401);
    assert_eq!(answer.header("www-authenticate"), "Bearer");
    let body = answer.json();
    assert_eq!(body["jsonrpc"], "2.0");
    assert_eq!(body["error"]["data"]["code"], "missing_api_key");
}

#[tokio::test]
async fn in_one_session_each_call_shows_the_key_it_came_with() {
    let house = House::new().await;
    let other = issue(&house.keys, House::guest("other")).await;
    let app = Router::new()
        .route_service("/mcp", mcp())
        .layer(house.layer.clone());
    let server = serve(app).await;
    let url = server.url("/mcp");
    let client = Client::http1();
    let say = async |session: Option<&str>, key: &str, body| {
        client
            .send(with_key(message(&url, session, &body), key))
            .await
    };

    let begun = say(None, &house.key, initialize()).await;
    assert_eq!(begun.status, StatusCode::OK, "{begun:?}");
    let session = Some(begun.header("mcp-session-id"));
    let ready = say(session, &house.key, initialized()).await;
    assert_eq!(ready.status, StatusCode::ACCEPTED);
    for (key, name) in [
        (&house.key, r#""text":"ci-bot""#),
        (&other, r#""text":"other""#),
        (&house.key, r#""text":"ci-bot""#),
    ] {
        let answer = say(session, key, call("whoami")).await;
        assert!(answer.text.contains(name), "{answer:?}");
    }
    let nobody = client.send(message(&url, session, &call("whoami"))).await;
    assert_eq!(nobody.status, 401, "a session is no credential");
}

// === what an outer layer learns ===

#[tokio::test]
async fn an_outer_service_learns_why_a_request_was_turned_away() {
    let house = House::new().await;
    let keyed = house.layer.layer(house.probe.service());
    let outer = service_fn(move |request: Request<Full<Bytes>>| {
        let keyed = keyed.clone();
        async move {
            let response = keyed.oneshot(request).await?;
            let rejection = response.extensions().get::<Rejection>().cloned();
            Ok::<_, Infallible>((response, rejection))
        }
    });
    let elsewhere = issue(&house.keys, NewKey::named("mail").server("mail")).await;
    let stranger = house.stranger();
    for (key, kind) in [
        (None, Some(RejectionKind::Missing)),
        (Some("nonsense"), Some(RejectionKind::Malformed)),
        (Some(stranger.as_str()), Some(RejectionKind::Unknown)),
        (Some(elsewhere.as_str()), Some(RejectionKind::ServerDenied)),
    ] {
        let mut request = Request::get("/").body(Full::default()).unwrap();
        if let Some(key) = key {
            request = with_key(request, key);
        }
        let (response, rejection) = outer.clone().oneshot(request).await.unwrap();
        assert_eq!(rejection.as_ref().map(Rejection::kind), kind);
        // Who proved to hold a key is named, nobody else.
        let proven = key == Some(elsewhere.as_str());
        assert_eq!(rejection.unwrap().key_id().is_some(), proven);
        assert!(response.status().is_client_error());
    }
    assert_eq!(house.probe.calls(), 0);
}

#[tokio::test]
async fn an_outer_middleware_of_axum_learns_why_as_well() {
    let house = House::new().await;
    let note = middleware::from_fn(async |request: AxumRequest, next: Next| {
        let mut response = next.run(request).await;
        let rejection = response.extensions().get::<Rejection>();
        let word = rejection.map_or("none", Rejection::code).parse().unwrap();
        response.headers_mut().insert("x-rejection", word);
        response
    });
    let app = Router::new()
        .route_service("/files", house.probe.service())
        .layer(house.layer.clone())
        .layer(note);
    let server = serve(app).await;
    let (client, url) = (Client::http1(), server.url("/files"));
    let refused = client.get(&url, &[]).await;
    assert_eq!(refused.header("x-rejection"), "missing_api_key");
    let admitted = client.get(&url, &[("x-api-key", &house.key)]).await;
    assert_eq!(admitted.header("x-rejection"), "none");
}
