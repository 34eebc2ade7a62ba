//! One MCP server and four keys, each of which sees and may call other tools.
//!
//! ```text
//! cargo run --example mcp_tools --features axum,rmcp
//! cargo run --example mcp_tools --features axum,rmcp -- --listen 127.0.0.1:8080
//! ```
//!
//! Without an option it plays client and server, shows what each key meets with, and ends. With
//! `--listen` it is the server alone, until it is stopped.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use mcp_api_keys::framework::axum::around;
use mcp_api_keys::framework::rmcp::read_only_tools;
use mcp_api_keys::key::McpRules;
use mcp_api_keys::layer::McpLayer;
use mcp_api_keys::store::MemoryStore;
use mcp_api_keys::{ApiKeys, NewKey, RateLimit};
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{
    CallToolRequestParams, CallToolResult, ErrorData, GetPromptResult, ListResourcesResult,
    PaginatedRequestParams, ProgressNotificationParam, PromptMessage, ReadResourceRequestParams,
    ReadResourceResponse, ReadResourceResult, RequestMetaObject, Resource, ResourceContents, Role,
    ServerCapabilities, ServerConfig,
};
use rmcp::service::{RequestContext, RunningService, ServiceError};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::transport::streamable_http_server::StreamableHttpService;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::{
    Peer, RoleClient, RoleServer, ServerHandler, ServiceExt, prompt, prompt_handler, prompt_router,
    tool, tool_handler, tool_router,
};
use serde_json::json;
use tokio::net::TcpListener;

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// What the keys below are made for, and what the layer calls the server.
const SERVER: &str = "notes";

#[tokio::main]
async fn main() -> ExitCode {
    let listen = match listen_address(std::env::args().skip(1)) {
        Ok(listen) => listen,
        Err(problem) => {
            eprintln!("{problem}\nusage: mcp_tools [--listen ADDR]");
            return ExitCode::from(2);
        }
    };
    match run(listen).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mcp_tools: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(listen: Option<SocketAddr>) -> Result<(), AnyError> {
    let keys = ApiKeys::builder(MemoryStore::new()).build().await?;
    let app = protected(&keys);

    let address = listen.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 0)));
    let listener = TcpListener::bind(address).await?;
    let url = format!("http://{}/mcp", listener.local_addr()?);
    let mut issued = Vec::new();
    for new in new_keys()? {
        issued.push(keys.manager().issue(new).await?);
    }
    let named = issued
        .iter()
        .map(|issued| (issued.info().name.as_str(), issued.key().expose_secret()));

    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    let server = tokio::spawn(async { axum::serve(listener, app).await });
    if listen.is_some() {
        println!("listening {url}");
        for (name, key) in named {
            println!("key {name} {key}");
        }
        tokio::select! {
            ended = server => ended??,
            stopped = tokio::signal::ctrl_c() => stopped?,
        }
        return Ok(());
    }
    for (name, key) in named {
        println!("{name}");
        demonstrate(&url, key).await?;
    }
    server.abort();
    Ok(())
}

/// The MCP server with the layer around it. The server itself knows nothing of keys.
fn protected(keys: &ApiKeys) -> Router {
    let notes = Notes::default();
    let mcp = StreamableHttpService::new(
        move || Ok(notes.clone()),
        Arc::new(LocalSessionManager::default()),
        Default::default(),
    );
    // Read-only keys may call the tools that say of themselves that they change nothing. The layer
    // has to be told which ones these are: it stands before the server and cannot ask it.
    let harmless = read_only_tools(&Notes::tool_router().list_all());
    let tools = McpLayer::new().read_only_tools(harmless);
    let layer = keys.layer().server(SERVER).with_mcp(tools);
    around(layer, Router::new().route_service("/mcp", mcp))
}

fn new_keys() -> Result<Vec<NewKey>, AnyError> {
    // No rules: whatever the server has, and whatever it gets tomorrow.
    let full = NewKey::named("full").server(SERVER);

    // No rules either, but for reading only.
    let reader = NewKey::named("reader").server(SERVER).read_only();

    // The rules for tools say nothing of prompts and resources, which are open unless they are
    // ruled out too. To confine a key, allow: a list of what is denied misses the next new tool.
    let rules = McpRules::default()
        .allow_tool("write_*".parse()?)
        .deny_prompt("*".parse()?)
        .deny_resource("*".parse()?);
    let writer = NewKey::named("writer").server(SERVER).mcp(rules);

    // A limit on one tool leaves the others free.
    let rules = McpRules::default()
        .allow_tool("*_note".parse()?)
        .allow_tool("search_notes".parse()?)
        .deny_tool("delete_*".parse()?)
        .allow_resource("notes://*".parse()?);
    let limited = NewKey::named("limited")
        .server(SERVER)
        .mcp(rules)
        .rate(RateLimit::per_minute(3).on_tool("read_note".parse()?));

    Ok(vec![full, reader, writer, limited])
}

/// Shows what a key sees and what becomes of its calls, all in one session: a refused call is an
/// answer like any other, and the session goes on.
async fn demonstrate(url: &str, key: &str) -> Result<(), AnyError> {
    let config = StreamableHttpClientTransportConfig::with_uri(url).auth_header(key);
    let client = ().serve(StreamableHttpClientTransport::from_config(config));
    let client = client.await?;

    let tools = client.list_all_tools().await?;
    show("sees tools", tools.iter().map(|tool| &*tool.name));
    let prompts = client.list_all_prompts().await?;
    show("sees prompts", prompts.iter().map(|prompt| &*prompt.name));
    let resources = client.list_all_resources().await?;
    show("sees resources", resources.iter().map(|one| &*one.uri));

    // Also the tools that it does not see: a client may know their names from elsewhere.
    call(&client, "write_note", "on a new page").await?;
    for _ in 0..4 {
        call(&client, "read_note", "").await?;
    }
    call(&client, "search_notes", "").await?;
    call(&client, "delete_note", "").await?;
    client.cancel().await?;
    Ok(())
}

fn show<'a>(what: &str, names: impl Iterator<Item = &'a str>) {
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    let names = match names.as_slice() {
        [] => "none".to_owned(),
        names => names.join(", "),
    };
    println!("  {what}: {names}");
}

async fn call(
    client: &RunningService<RoleClient, ()>,
    tool: &'static str,
    text: &str,
) -> Result<(), AnyError> {
    let arguments = json!({ "name": "demo", "text": text });
    let arguments = arguments.as_object().cloned().unwrap_or_default();
    let params = CallToolRequestParams::new(tool).with_arguments(arguments);
    match client.call_tool(params).await {
        Ok(result) => println!("  {tool}: {}", text_of(&result)),
        // What the layer says to the call.
        Err(ServiceError::McpError(error)) => println!("  {tool} refused: {}", error.message),
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

fn text_of(result: &CallToolResult) -> &str {
    let text = result.content.iter().find_map(|content| content.as_text());
    text.map_or("", |content| &content.text)
}

/// A small MCP server for notes.
#[derive(Clone, Debug, Default)]
struct Notes(Arc<Mutex<BTreeMap<String, String>>>);

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
struct Name {
    /// What the note is called.
    name: String,
}

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
struct Note {
    /// What the note is called.
    name: String,
    /// What it says.
    text: String,
}

impl Notes {
    fn all(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn names(&self) -> String {
        let names: Vec<_> = self.all().keys().cloned().collect();
        names.join("\n")
    }
}

#[tool_router]
impl Notes {
    #[tool(description = "Reads a note", annotations(read_only_hint = true))]
    async fn read_note(&self, Parameters(Name { name }): Parameters<Name>) -> String {
        let text = self.all().get(&name).cloned();
        text.unwrap_or_else(|| "there is no such note".to_owned())
    }

    #[tool(
        description = "Looks for notes, slowly, and reports its progress",
        annotations(read_only_hint = true)
    )]
    async fn search_notes(&self, meta: RequestMetaObject, peer: Peer<RoleServer>) -> String {
        const STEPS: u32 = 5;
        for step in 1..=STEPS {
            tokio::time::sleep(Duration::from_millis(200)).await;
            if let Some(token) = meta.get_progress_token() {
                let progress = ProgressNotificationParam::new(token, f64::from(step))
                    .with_total(f64::from(STEPS));
                // A caller that no longer listens is no reason to fail.
                let _ = peer.notify_progress(progress).await;
            }
        }
        format!("{} found", self.all().len())
    }

    #[tool(description = "Writes a note, over an old one of the same name")]
    async fn write_note(&self, Parameters(Note { name, text }): Parameters<Note>) -> String {
        self.all().insert(name, text);
        "written".to_owned()
    }

    #[tool(description = "Deletes a note")]
    async fn delete_note(&self, Parameters(Name { name }): Parameters<Name>) -> String {
        match self.all().remove(&name) {
            Some(_) => "deleted".to_owned(),
            None => "there is no such note".to_owned(),
        }
    }
}

#[prompt_router]
impl Notes {
    #[prompt(description = "Asks for a summary of all notes")]
    async fn summary(&self) -> GetPromptResult {
        let text = format!("Read these notes and sum them up:\n{}", self.names());
        GetPromptResult::new(vec![PromptMessage::new_text(Role::User, text)])
    }
}

/// The one resource: what the notes are called.
const LIST: &str = "notes://list";

#[tool_handler]
#[prompt_handler]
impl ServerHandler for Notes {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_prompts()
            .enable_resources()
            .build();
        ServerConfig::new(capabilities)
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let list = Resource::new(LIST, "list").with_mime_type("text/plain");
        Ok(ListResourcesResult::with_all_items(vec![list]))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        if request.uri != LIST {
            return Err(ErrorData::resource_not_found("Resource not found", None));
        }
        let contents = ResourceContents::text(self.names(), LIST).with_mime_type("text/plain");
        Ok(ReadResourceResult::new(vec![contents]).into())
    }
}

fn listen_address(mut words: impl Iterator<Item = String>) -> Result<Option<SocketAddr>, String> {
    let mut address = None;
    while let Some(word) = words.next() {
        if word != "--listen" {
            return Err(format!("unknown option {word}"));
        }
        let value = words.next().and_then(|value| value.parse().ok());
        address = Some(value.ok_or("--listen needs an address such as 127.0.0.1:8080")?);
    }
    Ok(address)
}
