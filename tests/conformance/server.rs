//! What the official conformance suite is run against: one MCP server on rmcp, served twice.
//!
//! ```text
//! conformance-server [--listen 127.0.0.1:8080]
//! ```
//!
//! It prints the address and two keys. `/bare/mcp` is the server as it is, and `/mcp/{key}` the same
//! server behind the key layer and the MCP layer. So is `/restricted/{key}`, for the key that has
//! rules: they permit everything, but with them each message is judged and each list filtered. Each
//! has a state of its own, so that one run of the suite does not see what another one does.

#![allow(clippy::print_stdout, reason = "what it prints is its interface")]
// Both revisions are to be served, and the newer one deprecates much of the older.
#![allow(deprecated)]

mod asking;
mod content;
mod fixture;
mod prompts;
mod resources;
mod rounds;
mod sessions;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use axum::Router;
use axum::routing::any_service;
use mcp_api_keys::framework::axum::around;
use mcp_api_keys::key::McpRules;
use mcp_api_keys::layer::McpLayer;
use mcp_api_keys::store::MemoryStore;
use mcp_api_keys::{ApiKeys, NewKey};
use rmcp::transport::streamable_http_server::StreamableHttpService;

use crate::fixture::Fixture;
use crate::sessions::Sessions;

type AnyError = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let listen = match listen(std::env::args().skip(1)) {
        Ok(listen) => listen,
        Err(problem) => {
            eprintln!("{problem}\nusage: conformance-server [--listen ADDR]");
            return ExitCode::from(2);
        }
    };
    match serve(listen).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("conformance-server: {error}");
            ExitCode::FAILURE
        }
    }
}

fn listen(mut words: impl Iterator<Item = String>) -> Result<SocketAddr, String> {
    let mut listen = SocketAddr::from(([127, 0, 0, 1], 8080));
    while let Some(word) = words.next() {
        if word != "--listen" {
            return Err(format!("unknown option {word}"));
        }
        listen = words
            .next()
            .and_then(|value| value.parse().ok())
            .ok_or("--listen needs an address such as 127.0.0.1:8080")?;
    }
    Ok(listen)
}

async fn serve(listen: SocketAddr) -> Result<(), AnyError> {
    let keys = ApiKeys::builder(MemoryStore::new()).build().await?;
    let app = bare("/bare/mcp")
        .route(
            "/restricted/{key}",
            any_service(layered(&keys, "/restricted")?),
        )
        .fallback_service(layered(&keys, "/mcp")?);

    let listener = tokio::net::TcpListener::bind(listen).await?;
    let new = NewKey::named("conformance").all_servers().scope("*")?;
    let issued = keys.manager().issue(new.clone()).await?;
    let all = || "*".parse();
    let rules = McpRules::default()
        .allow_tool(all()?)
        .allow_prompt(all()?)
        .allow_resource(all()?);
    let restricted = keys.manager().issue(new.mcp(rules)).await?;
    println!("listening http://{}", listener.local_addr()?);
    println!("key {}", issued.key().expose_secret());
    println!("restricted {}", restricted.key().expose_secret());

    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, app).await?;
    Ok(())
}

/// The MCP server at `path`, as it would stand without keys.
fn bare(path: &str) -> Router {
    let changes = Fixture::changes();
    let mcp = StreamableHttpService::new(
        move || Ok(Fixture::new(&changes)),
        Arc::new(Sessions::default()),
        Default::default(),
    );
    Router::new().route_service(path, mcp)
}

/// The same with all that this crate puts between a client and a server.
fn layered(keys: &ApiKeys, path: &str) -> Result<Router, AnyError> {
    let layer = keys
        .layer()
        .server("conformance")
        .path_keys(&format!("{path}/{{key}}"))?;
    Ok(around(layer.with_mcp(McpLayer::new()), bare(path)))
}
