//! Keys for some of the tools of an MCP server.
//!
//! A key opens a server. What it may do there is said by its [rules](crate::key::McpRules), by its
//! [level](crate::key::Access), and enforced by an [`McpLayer`](crate::layer::McpLayer), which reads each
//! message before the server does. [`threats`](super::threats#what-tool-rules-give) tells what that gives
//! and what not.
//!
//! # Around an rmcp server
//!
//! [`with_mcp`](crate::ApiKeyLayer::with_mcp) puts the layer where it has to be: inside the key layer, and
//! around the server. The server need not know of it.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use axum::{Router, body::Body};
//! use http::Request;
//! use mcp_api_keys::framework::rmcp::read_only_tools;
//! use mcp_api_keys::key::McpRules;
//! use mcp_api_keys::layer::McpLayer;
//! use mcp_api_keys::{ApiKeys, NewKey, RateLimit, store::MemoryStore};
//! use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
//! use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
//! use rmcp::{ServerHandler, tool, tool_handler, tool_router};
//! use tower::ServiceExt;
//!
//! struct Notes;
//!
//! #[tool_router]
//! impl Notes {
//!     #[tool(description = "Reads a note", annotations(read_only_hint = true))]
//!     async fn read_note(&self) -> String {
//!         "a note".to_owned()
//!     }
//!
//!     #[tool(description = "Writes a note")]
//!     async fn write_note(&self) -> String {
//!         "written".to_owned()
//!     }
//!
//!     #[tool(description = "Sends a note to everybody")]
//!     async fn publish(&self) -> String {
//!         "published".to_owned()
//!     }
//! }
//!
//! #[tool_handler]
//! impl ServerHandler for Notes {}
//!
//! let keys = ApiKeys::builder(MemoryStore::new()).build().await?;
//!
//! // Read-only keys may call what the server declares to be read-only. A publication costs ten.
//! let policy = McpLayer::new()
//!     .read_only_tools(read_only_tools(&Notes::tool_router().list_all()))
//!     .tool_cost("publish".parse()?, 10);
//!
//! # let config = StreamableHttpServerConfig::default()
//! #     .with_legacy_session_mode(false)
//! #     .with_json_response(true);
//! # /*
//! let config = StreamableHttpServerConfig::default();
//! # */
//! let sessions = std::sync::Arc::new(LocalSessionManager::default());
//! let server = StreamableHttpService::new(|| Ok(Notes), sessions, config);
//! let app = Router::new()
//!     .route_service("/mcp", server)
//!     .layer(keys.layer().server("notes").with_mcp(policy));
//!
//! // One key reads. One works with notes, publishes nothing, and writes at most ten times an hour.
//! let reader = NewKey::named("dashboard").server("notes").read_only();
//! let rules = McpRules::default().allow_tool("*_note".parse()?);
//! let writing = RateLimit::per_hour(10).on_tool("write_*".parse()?).named("writing");
//! let writer = NewKey::named("agent").server("notes").mcp(rules).rate(writing);
//!
//! # let call = async |key: &str, tool: &str| -> Result<bool, Box<dyn std::error::Error>> {
//! #     let call = format!(
//! #         r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{tool}"}}}}"#
//! #     );
//! #     let request = Request::post("/mcp")
//! #         .header("host", "localhost")
//! #         .header("authorization", format!("Bearer {key}"))
//! #         .header("content-type", "application/json")
//! #         .header("accept", "application/json, text/event-stream")
//! #         .body(Body::from(call))?;
//! #     let response = app.clone().oneshot(request).await?;
//! #     let body = axum::body::to_bytes(response.into_body(), 10_000).await?;
//! #     let answer: serde_json::Value = serde_json::from_slice(&body)?;
//! #     Ok(answer.get("result").is_some())
//! # };
//! let reader = keys.manager().issue(reader).await?;
//! let writer = keys.manager().issue(writer).await?;
//! for (key, tool, works) in [
//!     (&reader, "read_note", true),
//!     (&reader, "write_note", false),
//!     (&writer, "read_note", true),
//!     (&writer, "write_note", true),
//!     (&writer, "publish", false),
//! ] {
//!     assert_eq!(call(key.key().expose_secret(), tool).await?, works);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Both keys see in `tools/list` what they may call. A denied call is answered in HTTP 200 with a JSON-RPC
//! error, `-31003`, so that all clients go on after it; see
//! [`DenialStyle`](crate::layer::DenialStyle) for the other ways.
//!
//! # Writing rules
//!
//! *Allow, and deny only out of what is allowed.* A list of denials holds against the tools that somebody
//! thought of, and not against the one that the server gets tomorrow.
//!
//! ```
//! use mcp_api_keys::key::McpRules;
//!
//! let rules = McpRules::default()
//!     .allow_tool("note_*".parse()?)
//!     .deny_tool("note_delete".parse()?)
//!     .allow_resource("note://public/*".parse()?)
//!     .deny_prompt("*".parse()?);
//! assert!(rules.tools().permits("note_read"));
//! assert!(!rules.tools().permits("note_delete"));
//! assert!(!rules.prompts().permits("summary"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! *Each sort by itself.* Rules for tools say nothing about prompts and resources; without rules of their
//! own those are open. A key with any rule is restricted in other ways too: methods that nobody knows are
//! denied, and what the layer cannot read is refused.
//!
//! *A star stands for anything*, also across `/`. At most 200 patterns stand in a list, each of at most 256
//! bytes.
//!
//! *Who issues keys by a key* ([`by_key`](crate::Principal::by_key)) gives none a rule that is wider than
//! their own.
//!
//! # What a handler knows
//!
//! [`KeyContext`](crate::KeyContext) is there as without the layer, the rules included
//! (`key.key().mcp`). A tool that runs others on behalf of its caller can ask them:
//!
//! ```
//! use mcp_api_keys::KeyContext;
//!
//! fn may_run(key: &KeyContext, tool: &str) -> bool {
//!     key.key().mcp.tools().permits(tool)
//! }
//! # let _ = may_run;
//! ```
//!
//! # By headers alone
//!
//! A client of revision 2026-07-28 repeats in `Mcp-Method` and `Mcp-Name` what its message asks for, and the
//! server must refuse a message that its headers do not fit. With
//! [`trust_headers`](crate::layer::McpLayer::trust_headers) the use of one tool, prompt or resource is judged by
//! them, and its body streams through unread. What is denied or over a limit is read after all, so that the
//! answer can name the request.
//!
//! Only do so in front of a server that refuses. Tried were, with one full set of headers of that revision
//! that lie about the body:
//!
//! | server | |
//! |---|---|
//! | rmcp 3.9 | refuses |
//! | Python SDK 2.3 | refuses |
//! | Python SDK 1.30, TypeScript SDK 1.32 | do not know the revision, and refuse it |
//!
//! No server that was tried ran such a body. All four run a body whose headers lie under an older revision
//! or none, and all but the TypeScript one also under two at once, so these are always judged by their body.
//! A server that is not in the table has to be tried first: a server of one's own that reads the body and no
//! headers, and one behind something that rewrites bodies, run what the rules do not permit.
//!
//! # Several processes
//!
//! Sessions of the older revisions are bound to their key by a secret. Behind a load balancer give all
//! processes the same one, with [`session_secret`](crate::layer::McpLayer::session_secret); the server has
//! to find its sessions there, too. Gateways have it from the variable `MCP_KEYS_SESSION_SECRET`.
//!
//! Which task is whose is known to the process that the task was begun through.
//! [`threats`](super::threats#tasks) tells what that means and what to do about it.
