//! A real MCP server behind the gateway, and a real client in front of it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use http::request::Parts;
use rmcp::handler::server::tool::Extension;
use rmcp::model::{
    CallToolRequestParams, CallToolResult, ProgressNotificationParam, RequestMetaObject,
};
use rmcp::service::{NotificationContext, RunningService};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::transport::streamable_http_server::StreamableHttpService;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::{
    ClientHandler, Peer, RoleClient, RoleServer, ServerHandler, ServiceExt, tool, tool_handler,
    tool_router,
};
use tokio::time::Instant;

use crate::support::{Server, seen, serve, soon};
use crate::world::{Gateway, tells};

const STEP: Duration = Duration::from_millis(150);

/// A server that knows nothing of keys.
#[derive(Clone, Debug)]
struct Tools;

#[tool_router]
impl Tools {
    #[tool(description = "What a tool can see of the HTTP request")]
    async fn request(&self, Extension(head): Extension<Parts>) -> String {
        seen(&head).to_string()
    }

    #[tool(description = "Takes its time and says so")]
    async fn slow(&self, meta: RequestMetaObject, peer: Peer<RoleServer>) -> String {
        for step in 1..=4 {
            tokio::time::sleep(STEP).await;
            let token = meta.get_progress_token().unwrap();
            let progress = ProgressNotificationParam::new(token, f64::from(step));
            peer.notify_progress(progress).await.unwrap();
        }
        "done".to_owned()
    }
}

#[tool_handler]
impl ServerHandler for Tools {}

async fn upstream() -> Server {
    let mcp = StreamableHttpService::new(
        || Ok(Tools),
        Arc::new(LocalSessionManager::default()),
        Default::default(),
    );
    serve(Router::new().route_service("/mcp", mcp)).await
}

/// A client that notes when it hears of progress.
#[derive(Clone, Debug, Default)]
struct Listener(Arc<Mutex<Vec<Instant>>>);

impl ClientHandler for Listener {
    async fn on_progress(&self, _: ProgressNotificationParam, _: NotificationContext<RoleClient>) {
        self.0.lock().unwrap().push(Instant::now());
    }
}

async fn connect(
    config: StreamableHttpClientTransportConfig,
    listener: &Listener,
) -> Result<RunningService<RoleClient, Listener>, String> {
    let transport = StreamableHttpClientTransport::from_config(config);
    let connected = soon(listener.clone().serve(transport)).await;
    connected.map_err(|error| error.to_string())
}

async fn call(client: &RunningService<RoleClient, Listener>, tool: &'static str) -> String {
    let result = soon(client.call_tool(CallToolRequestParams::new(tool))).await;
    text_of(&result.unwrap())
}

fn text_of(result: &CallToolResult) -> String {
    result.content[0].as_text().unwrap().text.clone()
}

#[tokio::test]
async fn a_client_lists_and_calls_with_its_key_in_any_place() {
    let upstream = upstream().await;
    let gateway = Gateway::start(&["--upstream", &upstream.url(""), "--path-keys"]).await;
    let key = gateway.key().await;
    let config = |path: &str| StreamableHttpClientTransportConfig::with_uri(gateway.url(path));
    let header = ("x-api-key".parse().unwrap(), key.parse().unwrap());
    for config in [
        config("/mcp").auth_header(&*key),
        config("/mcp").custom_headers([header].into()),
        config(&format!("/mcp/{key}")),
    ] {
        let client = connect(config, &Listener::default()).await.unwrap();
        let tools = soon(client.list_all_tools()).await.unwrap();
        assert_eq!(tools.len(), 2);
        let seen = call(&client, "request").await;
        assert!(seen.contains(r#""uri":"/mcp""#), "{seen}");
        assert!(seen.contains(r#""x-mcp-key-name":"all""#), "{seen}");
        assert!(!seen.contains("authorization"), "{seen}");
        assert!(!tells(&seen, &key), "{seen}");
        soon(client.cancel()).await.unwrap();
    }
    let error = connect(config("/mcp"), &Listener::default()).await;
    assert!(error.is_err(), "no key, no session");
}

#[tokio::test]
async fn progress_arrives_when_it_is_made() {
    let upstream = upstream().await;
    let gateway = Gateway::before(&upstream).await;
    let key = gateway.key().await;
    let config = StreamableHttpClientTransportConfig::with_uri(gateway.url("/mcp"));
    let listener = Listener::default();
    let client = connect(config.auth_header(key), &listener).await.unwrap();
    assert_eq!(call(&client, "slow").await, "done");
    let end = Instant::now();
    let times = listener.0.lock().unwrap().clone();
    assert_eq!(times.len(), 4);
    assert!(end - times[0] > STEP * 2, "not all at the end");
    for pair in times.windows(2) {
        assert!(pair[1] - pair[0] > STEP / 3, "{:?}", pair[1] - pair[0]);
    }
    soon(client.cancel()).await.unwrap();
}

#[tokio::test]
async fn a_client_reaches_the_route_that_its_key_is_for_and_no_other() {
    let upstream = upstream().await;
    let gateway = Gateway::start(&[
        "--route",
        &format!("files={}", upstream.url("")),
        "--route",
        &format!("mail={}", upstream.url("/mcp")),
    ])
    .await;
    let key = gateway.key_for("files").await;
    let config = |path: &str| {
        StreamableHttpClientTransportConfig::with_uri(gateway.url(path)).auth_header(&*key)
    };
    let client = connect(config("/files/mcp"), &Listener::default()).await;
    let client = client.unwrap();
    assert!(call(&client, "request").await.contains("x-mcp-key-id"));
    soon(client.cancel()).await.unwrap();
    let error = connect(config("/mail/mcp"), &Listener::default()).await;
    assert!(error.is_err(), "the key is not for this server");
}
