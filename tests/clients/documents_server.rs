//! An MCP server that takes programs by the documents about them (Client ID Metadata Documents), for the
//! tests with real clients. The one document lies in here: nothing is asked of the internet.
//!
//! ```text
//! documents-server --listen 127.0.0.1:0
//! ```
//!
//! It prints the lines `listening URL`, `document URL` and `key KEY`, the key of who lets programs in, and
//! serves until it is ended. Programs cannot register here.

#![allow(clippy::print_stdout, reason = "this is how its callers find it")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use mcp_api_keys::framework::axum::around;
use mcp_api_keys::framework::rmcp::read_only_tools;
use mcp_api_keys::key::ScopeGrant;
use mcp_api_keys::layer::McpLayer;
use mcp_api_keys::oauth::{
    ClientDocuments, FetchDocument, FetchFault, Fetched, KeySignIn, OAuth, Resource,
};
use mcp_api_keys::store::MemoryStore;
use mcp_api_keys::{ApiKeys, KeyContext};
use rmcp::handler::server::wrapper::Parameters;
use rmcp::transport::streamable_http_server::StreamableHttpService;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::{ServerHandler, tool, tool_handler, tool_router};
use serde_json::json;
use tokio::net::TcpListener;

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// Where the document would be.
const DOCUMENT: &str = "https://client.example/oauth/program.json";

/// Where programs wait for people to come back.
const CALLBACK: &str = "http://127.0.0.1:8765/callback";

#[derive(Debug)]
struct Shelf;

#[async_trait::async_trait]
impl FetchDocument for Shelf {
    async fn fetch(&self, url: &str) -> Result<Fetched, FetchFault> {
        if url != DOCUMENT {
            return Err(FetchFault::new("it is not there"));
        }
        let document = json!({
            "client_id": DOCUMENT,
            "client_name": "A program with a document",
            "redirect_uris": [CALLBACK],
            "grant_types": ["authorization_code", "refresh_token"],
            "token_endpoint_auth_method": "none",
        });
        Ok(Fetched::new(document.to_string()))
    }
}

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    let mut words = std::env::args().skip(1);
    let listen: SocketAddr = match (words.next().as_deref(), words.next()) {
        (Some("--listen"), Some(address)) => address.parse()?,
        _ => return Err("usage: documents-server --listen ADDR".into()),
    };
    let listener = TcpListener::bind(listen).await?;
    let issuer = format!("http://{}", listener.local_addr()?);
    let keys = ApiKeys::builder(MemoryStore::new()).build().await?;
    let first = keys.manager().bootstrap("ada".parse()?).await?;
    let key = first.ok_or("there is a first admin already")?;

    let oauth = OAuth::new(&keys, &issuer)?
        .resource(Resource::new("/mcp").server("notes").scopes(["notes:read"]))
        .sign_in(KeySignIn::new(&keys))
        .client_documents(ClientDocuments::new().fetch_by(Shelf))
        .without_registration()
        .lifetimes(Duration::from_secs(3), Duration::from_secs(600))
        .build()?;
    let mcp = StreamableHttpService::new(
        || Ok(Tools),
        Arc::new(LocalSessionManager::default()),
        Default::default(),
    );
    let tools = McpLayer::new().read_only_tools(read_only_tools(&Tools::tool_router().list_all()));
    let layer = keys
        .layer()
        .server("notes")
        .responder(oauth.responder("/mcp")?)
        .with_mcp(tools);
    let app = around(layer, Router::new().route_service("/mcp", mcp)).merge(oauth.router());

    println!("listening {issuer}/mcp");
    println!("document {DOCUMENT}");
    println!("key {}", key.key().expose_secret());
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, app).await?;
    Ok(())
}

#[derive(Clone, Debug)]
struct Tools;

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
struct Message {
    /// The text.
    message: String,
}

#[tool_router]
impl Tools {
    #[tool(
        description = "Says the message back",
        annotations(read_only_hint = true)
    )]
    async fn echo(&self, Parameters(Message { message }): Parameters<Message>) -> String {
        message
    }

    #[tool(
        description = "Says which key is calling",
        annotations(read_only_hint = true)
    )]
    async fn whoami(&self, key: KeyContext) -> String {
        let scopes: Vec<&str> = key.scopes().iter().map(ScopeGrant::as_str).collect();
        json!({
            "id": key.key_id(),
            "handle": key.handle(),
            "name": key.name(),
            "scopes": scopes.join(" "),
        })
        .to_string()
    }
}

#[tool_handler]
impl ServerHandler for Tools {}
