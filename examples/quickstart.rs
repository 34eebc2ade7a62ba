//! An MCP server behind the key layer, with keys in an embedded SQLite file.
//!
//! ```text
//! cargo run --example quickstart --features full -- [--listen 127.0.0.1:8080] [--store sqlite://PATH|memory]
//! ```
//!
//! Each start issues one more key with full access and prints it with a `curl` line that works.

#![allow(clippy::print_stdout, reason = "what it prints is its interface")]

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use mcp_api_keys::framework::axum::around;
use mcp_api_keys::framework::rmcp::read_only_tools;
use mcp_api_keys::layer::McpLayer;
use mcp_api_keys::store::{MemoryStore, SqliteStore};
use mcp_api_keys::{ApiKeys, KeyContext, NewKey};
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{ProgressNotificationParam, RequestMetaObject};
use rmcp::transport::streamable_http_server::StreamableHttpService;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::{ErrorData, Peer, RoleServer, ServerHandler, tool, tool_handler, tool_router};

type AnyError = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(problem) => {
            eprintln!(
                "{problem}\nusage: quickstart [--listen ADDR] [--store sqlite://PATH|memory]"
            );
            return ExitCode::from(2);
        }
    };
    match serve(options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("quickstart: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                eprintln!("  because: {error}");
                cause = error.source();
            }
            ExitCode::FAILURE
        }
    }
}

async fn serve(options: Options) -> Result<(), AnyError> {
    let keys = open_keys(&options.store).await?;

    // The MCP server knows nothing of keys. The layer stands around the whole router, so that a
    // key in the path is gone before anything is routed or logged. It reads the messages, so that
    // keys can be made for some of the tools, or for reading only.
    let notes = Notes::default();
    let mcp = StreamableHttpService::new(
        move || Ok(notes.clone()),
        Arc::new(LocalSessionManager::default()),
        Default::default(),
    );
    let router = Router::new().route_service("/mcp", mcp);
    let layer = keys.layer().server("quickstart").path_keys("/mcp/{key}")?;
    let tools = read_only_tools(&Notes::tool_router().list_all());
    let layer = layer.with_mcp(McpLayer::new().read_only_tools(tools));
    let app = around(layer, router);

    let listener = tokio::net::TcpListener::bind(options.listen).await?;
    let address = listener.local_addr()?;
    let new = NewKey::named("quickstart").all_servers().scope("*")?;
    let issued = keys.manager().issue(new).await?;
    announce(address, issued.key().expose_secret());

    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, app)
        .with_graceful_shutdown(async {
            let _ = tokio::signal::ctrl_c().await;
        })
        .await?;
    // What was not written down yet.
    keys.flush().await?;
    Ok(())
}

/// The keys in the store, which also keeps what they are used for: `mcp-keys usage` shows it.
async fn open_keys(url: &str) -> Result<ApiKeys, AnyError> {
    let builder = if url == "memory" {
        let store = MemoryStore::new();
        ApiKeys::builder(store.clone()).usage(store)
    } else {
        let store = SqliteStore::connect(url).await?;
        ApiKeys::builder(store.clone()).usage(store)
    };
    Ok(builder.build().await?)
}

fn announce(address: SocketAddr, key: &str) {
    println!("listening http://{address}/mcp");
    println!("key {key}");
    println!();
    println!("The key is shown this once. Try it:");
    println!(
        "curl -s http://{address}/mcp -H 'Authorization: Bearer {key}' \
         -H 'Content-Type: application/json' -H 'Accept: application/json, text/event-stream' \
         -H 'MCP-Protocol-Version: 2025-11-25' \
         -d '{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":{{\"protocolVersion\":\
         \"2025-11-25\",\"capabilities\":{{}},\"clientInfo\":{{\"name\":\"curl\",\"version\":\"1\"}}}}}}'"
    );
}

/// What stands on the command line.
struct Options {
    listen: SocketAddr,
    store: String,
}

impl Options {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            store: "sqlite://quickstart.db".to_owned(),
        };
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("{word} needs a value"));
            match word.as_str() {
                "--listen" => {
                    options.listen = value()?
                        .parse()
                        .map_err(|_| "--listen needs an address such as 127.0.0.1:8080")?;
                }
                "--store" => options.store = value()?,
                _ => return Err(format!("unknown option {word}")),
            }
        }
        Ok(options)
    }
}

/// A small MCP server: it echoes, takes notes, and tells callers who they are.
#[derive(Clone, Debug, Default)]
struct Notes(Arc<Mutex<Vec<String>>>);

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
struct Message {
    /// The text.
    message: String,
}

#[tool_router]
impl Notes {
    #[tool(
        description = "Says the message back",
        annotations(read_only_hint = true)
    )]
    async fn echo(&self, Parameters(Message { message }): Parameters<Message>) -> String {
        message
    }

    #[tool(
        description = "Says which API key is calling, as JSON",
        annotations(read_only_hint = true)
    )]
    async fn whoami(&self, key: KeyContext) -> Result<String, ErrorData> {
        serde_json::to_string(&key)
            .map_err(|error| ErrorData::internal_error(error.to_string(), None))
    }

    #[tool(description = "Writes a note down")]
    async fn write_note(
        &self,
        key: KeyContext,
        Parameters(Message { message }): Parameters<Message>,
    ) -> String {
        let mut notes = self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        notes.push(message);
        format!("note {} written by {}", notes.len(), key.name())
    }

    #[tool(
        description = "Takes two seconds and reports its progress",
        annotations(read_only_hint = true)
    )]
    async fn slow(
        &self,
        meta: RequestMetaObject,
        peer: Peer<RoleServer>,
    ) -> Result<String, ErrorData> {
        const STEPS: u32 = 5;
        for step in 1..=STEPS {
            tokio::time::sleep(Duration::from_millis(400)).await;
            if let Some(token) = meta.get_progress_token() {
                let progress = ProgressNotificationParam::new(token, f64::from(step))
                    .with_total(f64::from(STEPS));
                // A caller that no longer listens is no reason to fail.
                let _ = peer.notify_progress(progress).await;
            }
        }
        Ok("done".to_owned())
    }
}

#[tool_handler(name = "mcp-api-keys quickstart", version = "1")]
impl ServerHandler for Notes {}
