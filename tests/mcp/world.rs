//! What the tests of this folder share: a server that notes what it runs, keys of several kinds, and
//! raw requests.

use std::sync::{Arc, Mutex};

use axum::Router;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use mcp_api_keys::key::McpRules;
use mcp_api_keys::layer::McpLayer;
use mcp_api_keys::store::MemoryStore;
use mcp_api_keys::{ApiKeys, NewKey};
use rmcp::model::{
    ListResourcesResult, PaginatedRequestParams, ReadResourceRequestParams, ReadResourceResponse,
    ReadResourceResult, Resource, ResourceContents,
};
use rmcp::service::RequestContext;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ErrorData, RoleServer, ServerHandler, tool, tool_handler, tool_router};
use serde_json::{Value, json};

use crate::support::{Answer, Client, Server, bearer, issue, light, serve};

/// What a server has run: names of tools and URIs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub(crate) fn note(&self, what: &str) {
        self.0.lock().unwrap().push(what.to_owned());
    }

    /// What was run since this was last asked.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// Three tools and two resources.
#[derive(Clone, Debug)]
pub(crate) struct Notes(Log);

#[tool_router]
impl Notes {
    #[tool(description = "Reads", annotations(read_only_hint = true))]
    async fn read_note(&self) -> String {
        self.0.note("read_note");
        "a note".to_owned()
    }

    #[tool(description = "Writes")]
    async fn write_note(&self) -> String {
        self.0.note("write_note");
        "written".to_owned()
    }

    #[tool(description = "Runs what it is told")]
    async fn shell(&self) -> String {
        self.0.note("shell");
        "done".to_owned()
    }
}

#[tool_handler]
impl ServerHandler for Notes {
    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        Ok(ListResourcesResult::with_all_items(vec![
            Resource::new("note://public/1", "one"),
            Resource::new("note://secret/2", "two"),
        ]))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        self.0.note(&request.uri);
        let contents = ResourceContents::text("text", &request.uri);
        Ok(ReadResourceResult::new(vec![contents]).into())
    }
}

/// How the server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Json,
    Events,
    Sessions,
}

/// Keys, a server behind the layer, and a client.
pub(crate) struct House {
    pub(crate) keys: ApiKeys,
    pub(crate) log: Log,
    pub(crate) server: Server,
    pub(crate) client: Client,
}

impl House {
    pub(crate) async fn new(mode: Mode) -> Self {
        Self::with(mode, layer()).await
    }

    pub(crate) async fn with(mode: Mode, layer: McpLayer) -> Self {
        let keys = light(MemoryStore::new()).build().await.unwrap();
        let log = Log::default();
        let notes = Notes(log.clone());
        let config = StreamableHttpServerConfig::default()
            .with_legacy_session_mode(mode == Mode::Sessions)
            .with_json_response(mode == Mode::Json);
        let sessions = Arc::new(LocalSessionManager::default());
        let mcp = StreamableHttpService::new(move || Ok(notes.clone()), sessions, config);
        let app = Router::new()
            .route_service("/mcp", mcp)
            .layer(keys.layer().server("notes").with_mcp(layer));
        Self {
            keys,
            log,
            server: serve(app).await,
            client: Client::http1(),
        }
    }

    /// The same keys and layer in front of an app of one's own.
    pub(crate) async fn before(app: Router, log: Log, layer: McpLayer) -> Self {
        let keys = light(MemoryStore::new()).build().await.unwrap();
        let app = app.layer(keys.layer().server("notes").with_mcp(layer));
        Self {
            keys,
            log,
            server: serve(app).await,
            client: Client::http1(),
        }
    }

    pub(crate) async fn key(&self, new: NewKey) -> String {
        issue(&self.keys, new.server("notes")).await
    }

    /// For notes, and only the public ones among the resources.
    pub(crate) async fn notes_key(&self) -> String {
        self.key(NewKey::named("notes").mcp(notes())).await
    }

    pub(crate) async fn reader(&self) -> String {
        self.key(NewKey::named("reader").read_only()).await
    }

    pub(crate) async fn free_key(&self) -> String {
        self.key(NewKey::named("free")).await
    }

    /// A message as clients of 2025 send it.
    pub(crate) fn message(&self, key: &str, body: impl ToString) -> Request<String> {
        Request::post(self.server.url("/mcp"))
            .header("authorization", bearer(key))
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", "2025-11-25")
            .body(body.to_string())
            .unwrap()
    }

    /// A message as clients of 2026 send it.
    pub(crate) fn modern(&self, key: &str, method: &str, params: Value) -> Request<String> {
        let mut params = params;
        params["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
        });
        let body = json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params });
        let mut request = self.message(key, body);
        let headers = request.headers_mut();
        headers.insert("mcp-protocol-version", "2026-07-28".parse().unwrap());
        headers.insert("mcp-method", method.parse().unwrap());
        let name = params["name"].as_str().or(params["uri"].as_str());
        if let Some(name) = name {
            headers.insert("mcp-name", name.parse().unwrap());
        }
        request
    }

    pub(crate) async fn say(&self, key: &str, body: impl ToString) -> Answer {
        self.client.send(self.message(key, body)).await
    }
}

/// The layer of these tests: it knows which tool only reads.
pub(crate) fn layer() -> McpLayer {
    let tools = mcp_api_keys::framework::rmcp::read_only_tools(&Notes::tool_router().list_all());
    McpLayer::new().read_only_tools(tools)
}

pub(crate) fn notes() -> McpRules {
    McpRules::default()
        .allow_tool("*_note".parse().unwrap())
        .allow_resource("note://public/*".parse().unwrap())
}

pub(crate) fn call(tool: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": { "name": tool, "arguments": {} } })
}

pub(crate) fn list(what: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": 3, "method": format!("{what}/list") })
}

pub(crate) fn ping() -> Value {
    json!({ "jsonrpc": "2.0", "id": 4, "method": "ping" })
}

pub(crate) fn cancelled() -> Value {
    json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 1 } })
}

pub(crate) fn response() -> Value {
    json!({ "jsonrpc": "2.0", "id": 1, "result": {} })
}

/// The messages of an answer, in JSON or as events.
pub(crate) fn messages(answer: &Answer) -> Vec<Value> {
    if answer
        .header("content-type")
        .starts_with("application/json")
    {
        return vec![answer.json()];
    }
    let data = answer
        .text
        .lines()
        .filter_map(|line| line.strip_prefix("data:"));
    data.map(str::trim)
        .filter(|data| !data.is_empty())
        .map(|data| serde_json::from_str(data).unwrap())
        .collect()
}

/// The one message of an answer.
pub(crate) fn only(answer: &Answer) -> Value {
    let mut messages = messages(answer);
    assert_eq!(messages.len(), 1, "{answer:?}");
    messages.remove(0)
}

/// A server as careless as servers come: it runs every tool that any reading of the body names, in
/// any method, type and form.
pub(crate) fn careless(log: Log) -> Router {
    Router::new().fallback(move |request: axum::extract::Request| {
        let log = log.clone();
        async move {
            let (head, body) = request.into_parts();
            if let Some(protocol) = head.headers.get("upgrade") {
                log.note(&format!("upgrade to {}", protocol.to_str().unwrap()));
            }
            let body = match body.collect().await {
                Ok(body) => body.to_bytes(),
                Err(_) => return Response::new(Full::from("broken")),
            };
            let text = String::from_utf8_lossy(&body);
            // By last member, which is what most parsers take.
            let value: Value = serde_json::from_str(&text).unwrap_or_default();
            let batch = match value {
                Value::Array(entries) => entries,
                other => vec![other],
            };
            for entry in &batch {
                if let Some(name) = entry["params"]["name"].as_str() {
                    log.note(name);
                }
            }
            // And by sight, whatever the form is.
            for name in ["shell", "s\\u0068ell", "+AHMAaABlAGwAbA-"] {
                if text.contains(name) {
                    log.note("shell");
                }
            }
            if !body.is_empty() && std::str::from_utf8(&body).is_err() {
                log.note("something unreadable");
            }
            let mut response =
                Response::new(Full::from("{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{}}"));
            *response.status_mut() = StatusCode::OK;
            let json = "application/json".parse().unwrap();
            response.headers_mut().insert("content-type", json);
            response
        }
    })
}

/// The body of a request, of bytes.
pub(crate) fn with_body(request: Request<String>, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    request.map(|_| Full::new(body.into()))
}
