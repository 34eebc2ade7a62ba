//! An MCP server that Claude, and any other program that speaks OAuth, can be connected to.
//!
//! ```text
//! cargo run --example oauth_server --features oauth,rmcp
//! cargo run --example oauth_server --features oauth,rmcp -- --listen 127.0.0.1:8080 --public-url https://mcp.example.com
//! ```
//!
//! It prints the URL to give to such a program, and a key to sign in with when that opens its page. A
//! program on the same machine needs no more; one from elsewhere, such as Claude on the web, needs a
//! name and TLS in front, which `--public-url` tells of.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use mcp_api_keys::framework::axum::around;
use mcp_api_keys::framework::rmcp::read_only_tools;
use mcp_api_keys::layer::McpLayer;
use mcp_api_keys::oauth::{KeySignIn, OAuth, Resource};
use mcp_api_keys::store::MemoryStore;
use mcp_api_keys::{ApiKeys, KeyContext};
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{ServerCapabilities, ServerConfig};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ServerHandler, tool, tool_handler, tool_router};
use tokio::net::TcpListener;

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// What connections are granted for, and what the layer calls the server.
const SERVER: &str = "notes";

#[tokio::main]
async fn main() -> ExitCode {
    let options = match Options::read(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(problem) => {
            eprintln!("{problem}\nusage: oauth_server [--listen ADDR] [--public-url URL]");
            return ExitCode::from(2);
        }
    };
    match run(options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("oauth_server: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> Result<(), AnyError> {
    let keys = ApiKeys::builder(MemoryStore::new()).build().await?;
    // The first admin. Everybody else would be put in by her: `put_owner`, and a key of their own.
    let first = keys.manager().bootstrap("ada".parse()?).await?;

    let listener = TcpListener::bind(options.listen).await?;
    let issuer = match options.public_url {
        Some(url) => url,
        None => format!("http://{}", listener.local_addr()?),
    };
    let app = connectable(&keys, &issuer)?;

    println!("listening {issuer}/mcp");
    if let Some(first) = first {
        println!("key {}", first.key().expose_secret());
    }
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, app).await?;
    Ok(())
}

/// The MCP server with the layer around it, and beside it what programs connect by.
fn connectable(keys: &ApiKeys, issuer: &str) -> Result<Router, AnyError> {
    let oauth = OAuth::new(keys, issuer)?
        .resource(
            Resource::new("/mcp")
                .server(SERVER)
                .scopes(["notes:use"])
                .name("Notes"),
        )
        .sign_in(KeySignIn::new(keys))
        .build()?;

    let notes = Notes::default();
    let mcp = StreamableHttpService::new(
        move || Ok(notes.clone()),
        Arc::new(LocalSessionManager::default()),
        // The names that it may be asked for under: those of this machine are its default.
        StreamableHttpServerConfig::default().with_allowed_hosts([
            "localhost",
            "127.0.0.1",
            "::1",
            host_of(issuer),
        ]),
    );
    // Connections may only read, unless an admin consents to more. These tools do no more than that.
    let tools = McpLayer::new().read_only_tools(read_only_tools(&Notes::tool_router().list_all()));
    let layer = keys
        .layer()
        .server(SERVER)
        .require_scope("notes:use")?
        // The refusals that tell a program where to connect.
        .responder(oauth.responder("/mcp")?)
        .with_mcp(tools);
    Ok(around(layer, Router::new().route_service("/mcp", mcp)).merge(oauth.router()))
}

fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split('/').next().unwrap_or_default()
}

/// A small MCP server for notes.
#[derive(Clone, Debug, Default)]
struct Notes(Arc<Mutex<Vec<String>>>);

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
struct Note {
    /// What it says.
    text: String,
}

#[tool_router]
impl Notes {
    #[tool(description = "Shows all notes", annotations(read_only_hint = true))]
    async fn list_notes(&self) -> String {
        let notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        notes.join("\n")
    }

    /// Who is asking is known by the key, whether a person holds it or a program was connected.
    #[tool(description = "Says who is asking", annotations(read_only_hint = true))]
    async fn whoami(&self, key: KeyContext) -> String {
        let owner = key.owner().map_or("nobody", |owner| owner.as_str());
        format!("{} for {owner}", key.name())
    }

    #[tool(description = "Writes a note")]
    async fn write_note(&self, Parameters(Note { text }): Parameters<Note>) -> String {
        let mut notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        notes.push(text);
        "written".to_owned()
    }
}

#[tool_handler]
impl ServerHandler for Notes {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }
}

struct Options {
    listen: SocketAddr,
    public_url: Option<String>,
}

impl Options {
    fn read(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            public_url: None,
        };
        while let Some(word) = words.next() {
            let value = words.next();
            match word.as_str() {
                "--listen" => {
                    let address = value.and_then(|value| value.parse().ok());
                    options.listen =
                        address.ok_or("--listen needs an address such as 127.0.0.1:8080")?;
                }
                "--public-url" => {
                    options.public_url = Some(
                        value.ok_or("--public-url needs a URL such as https://mcp.example.com")?,
                    );
                }
                _ => return Err(format!("unknown option {word}")),
            }
        }
        Ok(options)
    }
}
