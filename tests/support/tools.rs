//! A small MCP server, and what to say to it.

use std::sync::Arc;

use http::Request;
use http::request::Parts;
use mcp_api_keys::KeyContext;
use rmcp::handler::server::tool::Extension;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ServerHandler, tool, tool_handler, tool_router};
use serde_json::{Value, json};

use super::bearer;

/// Two tools: who is calling, and everything that can be seen of the request.
#[derive(Clone, Debug)]
pub(crate) struct Tools;

#[tool_router]
impl Tools {
    #[tool(description = "The name of the calling key")]
    async fn whoami(&self, key: KeyContext) -> String {
        key.name().to_owned()
    }

    #[tool(description = "What a tool can see of the HTTP request")]
    async fn request(&self, Extension(head): Extension<Parts>) -> String {
        super::seen(&head).to_string()
    }
}

#[tool_handler]
impl ServerHandler for Tools {}

/// The server over streamable HTTP, with sessions for clients of older protocols.
pub(crate) fn mcp() -> StreamableHttpService<Tools, LocalSessionManager> {
    StreamableHttpService::new(
        || Ok(Tools),
        Arc::new(LocalSessionManager::default()),
        StreamableHttpServerConfig::default(),
    )
}

/// A JSON-RPC message as a client of the protocol of 2025 sends it.
pub(crate) fn message(url: &str, session: Option<&str>, body: &Value) -> Request<String> {
    let mut request = Request::post(url)
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", "2025-11-25");
    if let Some(session) = session {
        request = request.header("mcp-session-id", session);
    }
    request.body(body.to_string()).unwrap()
}

/// The same message with a key.
pub(crate) fn with_key<B>(mut request: Request<B>, key: &str) -> Request<B> {
    let value = bearer(key).parse().unwrap();
    request.headers_mut().insert("authorization", value);
    request
}

pub(crate) fn initialize() -> Value {
    json!({
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": { "name": "test", "version": "1" },
        },
    })
}

pub(crate) fn initialized() -> Value {
    json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })
}

pub(crate) fn call(tool: &str) -> Value {
    json!({
        "jsonrpc": "2.0",
        "id": 2,
        "method": "tools/call",
        "params": { "name": tool, "arguments": {} },
    })
}
