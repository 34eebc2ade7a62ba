//! MCP policy: a layer of its own behind the key layer, and the only one that reads what is asked.

mod answer;
mod call;
mod events;
mod exchange;
mod future;
mod holder;
mod judge;
mod service;
mod stack;
mod stated;

use std::sync::Arc;
use std::time::Duration;

pub(super) use self::events::EventStream;
pub use self::future::McpFuture;
use self::judge::Misplaced;
pub use self::service::McpService;
pub use self::stack::McpApiKeyLayer;
use super::Respond;
use crate::error::Error;
use crate::key::Glob;
use crate::mcp::{ReadOnlyTools, Sessions, SseFilter, Tasks};

/// Holds keys to what they may do on an MCP server, behind an [`ApiKeyLayer`](super::ApiKeyLayer).
///
/// What a key may do is its [`McpRules`](crate::key::McpRules) and its
/// [`Access`](crate::key::Access). The layer reads each message before the server does.
///
/// 1. **The body is judged, not the headers**, unless you [trust](Self::trust_headers) them. Servers run the tool that the body names, whatever
///    `Mcp-Name` says. What two parsers could read in two ways is refused to a restricted key, and so
///    is what is not JSON in UTF-8, gRPC included. Its `GET`, `HEAD`, `DELETE` and `OPTIONS` requests
///    pass without a body, and without a change of protocol such as WebSocket.
/// 2. **A denied call is an answer and no error of transport**: HTTP 200 with a JSON-RPC error that
///    says why. Some clients end their session at a 403. See [`DenialStyle`]. A method that revision
///    2026-07-28 does not have is answered as that revision wants, with 404 and "Method not found".
/// 3. **Lists show what the key may use**, in JSON and in streams of events, and are marked as
///    private to the caller.
/// 4. **Requests cost, and nothing else**: pings, notifications, answers and the end of a session are
///    free, and each call costs what [`tool_cost`](Self::tool_cost) says. What a rule refuses has spent nothing. What may be a message
///    and cannot be read costs as much as the dearest tool, under the limits of all tools. All requests
///    are held to ten times the key's limits, or to two a second if that is more.
/// 5. **A session and a task belong to the key that began them**, those of a connection to the program and
///    the person who let it in, also if that person has let it in anew. To others they do not exist, whether
///    the key is restricted or not. Once a key has begun a task, other keys' messages that cannot be
///    read are refused as those of restricted keys are.
/// 6. **A stream ends within a second** of its key's withdrawal or expiry on this node, with an error
///    that names the request.
/// 7. Everything else from keys without restrictions passes as it comes: other methods of HTTP, gRPC,
///    streams, bodies that are not MCP. Their JSON is read like any other, up to
///    [`max_body`](Self::max_body), to know what it costs.
///
/// What this defends against and what not is told in [`manual::threats`](crate::manual::threats#what-tool-rules-give);
/// [`manual::mcp`](crate::manual::mcp) has a recipe.
///
/// The layer works inside [`with_mcp`](super::ApiKeyLayer::with_mcp) only. Anywhere else it refuses
/// every request, with 503, and logs an error once.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use axum::{Router, body::Body, routing::post};
/// use http::Request;
/// use mcp_api_keys::key::McpRules;
/// use mcp_api_keys::layer::McpLayer;
/// use mcp_api_keys::{ApiKeys, NewKey, store::MemoryStore};
/// use tower::ServiceExt;
///
/// let keys = ApiKeys::builder(MemoryStore::new()).build().await?;
/// let layer = keys.layer().server("notes").with_mcp(McpLayer::new());
/// let app: Router = Router::new().route("/mcp", post(|| async { "called" })).layer(layer);
///
/// let rules = McpRules::default().allow_tool("read_*".parse()?);
/// let issued = keys.manager().issue(NewKey::named("agent").server("notes").mcp(rules)).await?;
/// for (tool, passes) in [("read_note", true), ("write_note", false)] {
///     let call = format!(
///         r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"name":"{tool}"}}}}"#
///     );
///     let request = Request::post("/mcp")
///         .header("authorization", format!("Bearer {}", issued.key().expose_secret()))
///         .header("content-type", "application/json")
///         .body(Body::from(call))?;
///     let response = app.clone().oneshot(request).await?;
///     assert_eq!(response.status(), 200);
///     let body = axum::body::to_bytes(response.into_body(), 10_000).await?;
///     assert_eq!(&body[..] == b"called", passes, "{body:?}");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct McpLayer {
    settings: Arc<Settings>,
}

#[derive(Clone, Debug)]
struct Settings {
    read_only_tools: ReadOnlyTools,
    style: DenialStyle,
    max_body: usize,
    body_deadline: Duration,
    max_list: usize,
    tool_costs: Vec<(Glob, u32)>,
    sessions: Option<Arc<Sessions>>,
    tasks: Option<Arc<Tasks>>,
    responder: Option<Arc<dyn Respond>>,
    trusts_headers: bool,
    misplaced: Arc<Misplaced>,
}

/// How a caller is told that their key may not do what a message asks, or not now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum DenialStyle {
    /// HTTP 200 with a JSON-RPC error that names the reason and the wait. All clients go on after
    /// it.
    #[default]
    JsonRpc,
    /// HTTP 403 with a challenge, or 429. What HTTP wants; some clients, such as version 1 of the
    /// Python SDK, end their session.
    Http,
    /// As [`JsonRpc`](Self::JsonRpc), but what the rules do not permit is answered as what does not
    /// exist: "Unknown tool". Limits are named as such.
    Unknown,
}

impl McpLayer {
    /// A layer for a server none of whose tools is known to be read-only.
    pub fn new() -> Self {
        Self {
            settings: Arc::new(Settings {
                read_only_tools: ReadOnlyTools::default(),
                style: DenialStyle::default(),
                max_body: 4 * 1_024 * 1_024,
                body_deadline: Duration::from_secs(30),
                max_list: SseFilter::MAX_EVENT,
                tool_costs: Vec::new(),
                sessions: Some(Arc::new(Sessions::random())),
                tasks: Some(Arc::new(Tasks::new())),
                responder: None,
                trusts_headers: false,
                misplaced: Arc::default(),
            }),
        }
    }

    /// Names the tools that change nothing: the only ones that read-only keys may call and see. With
    /// rmcp, `framework::rmcp::read_only_tools` finds them in a router.
    pub fn read_only_tools<I>(self, names: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<Box<str>>,
    {
        let names = names.into_iter().collect();
        self.with(|settings| settings.read_only_tools = names)
    }

    /// Sets how callers are told of denials. Default: [`DenialStyle::JsonRpc`].
    pub fn denial_style(self, style: DenialStyle) -> Self {
        self.with(|settings| settings.style = style)
    }

    /// Sets how large a message may be, in bytes. Default: 4 MiB.
    pub fn max_body(self, bytes: usize) -> Self {
        self.with(|settings| settings.max_body = bytes)
    }

    /// Sets how long a message may take to arrive. Default: 30 s.
    pub fn body_deadline(self, deadline: Duration) -> Self {
        self.with(|settings| settings.body_deadline = deadline)
    }

    /// Sets how large a list, or an event with one, may be that has to be filtered, in bytes. A
    /// larger one is replaced by an error. Default: 4 MiB.
    pub fn max_list(self, bytes: usize) -> Self {
        self.with(|settings| settings.max_list = bytes)
    }

    /// Sets what a call of a tool takes of the key's limits and quotas, instead of one. Of several
    /// patterns that fit, the first counts.
    pub fn tool_cost(self, tools: Glob, cost: u32) -> Self {
        self.with(|settings| settings.tool_costs.push((tools, cost)))
    }

    /// Shares sessions among all processes with this secret, of at least 16 random bytes. Default: a
    /// random one for each process, so that clients begin new sessions after a restart.
    ///
    /// # Errors
    ///
    /// If the secret is shorter.
    pub fn session_secret(self, secret: &[u8]) -> Result<Self, Error> {
        if secret.len() < Self::LEAST_SECRET {
            return Err(Error::invalid(
                "session_secret",
                "must be at least 16 random bytes",
            ));
        }
        let sessions = Arc::new(Sessions::with_secret(secret));
        Ok(self.with(|settings| settings.sessions = Some(sessions)))
    }

    const LEAST_SECRET: usize = 16;

    /// Passes session ids as they are. To be used only if the server itself asks whose they are.
    pub fn unbound_sessions(self) -> Self {
        self.with(|settings| settings.sessions = None)
    }

    /// Lets any key that may use the method name any task, where its id is known. Restricted keys may
    /// not list tasks then.
    ///
    /// To be used if the server itself asks whose they are, or where several processes stand in front
    /// of the same tasks and a request may come to any of them: which task is whose is known only to
    /// the process that the task was begun through.
    pub fn unbound_tasks(self) -> Self {
        self.with(|settings| settings.tasks = None)
    }

    /// Judges the use of one tool, prompt or resource by what the request's headers say, and passes its
    /// body on unread, as it comes. Default: off, and the body is read.
    ///
    /// It is for a request that carries exactly one `MCP-Protocol-Version`, of 2026-07-28, exactly one
    /// `Mcp-Method`, of `tools/call`, `prompts/get` or `resources/read`, exactly one `Mcp-Name` in plain
    /// text, no session, and JSON. What these do not permit, and every other request, is judged by its body
    /// as ever.
    ///
    /// **This trusts the server** behind the layer to refuse a message that its headers do not fit, as that
    /// revision demands, and to know that revision. A server that does not lets a restricted key use any
    /// tool, by naming one in the header and another in the body. [`manual::mcp`](crate::manual::mcp#by-headers-alone)
    /// tells which servers were tried. Nor are such messages held to [`max_body`](Self::max_body) and
    /// [`body_deadline`](Self::body_deadline), and a stream that has to be ended is ended with an event that
    /// does not name the request.
    pub fn trust_headers(self) -> Self {
        self.with(|settings| settings.trusts_headers = true)
    }

    /// Answers refusals that are no answers to a message with `responder`. Default: that of the key
    /// layer.
    pub fn responder(self, responder: impl Respond) -> Self {
        self.with(|settings| settings.responder = Some(Arc::new(responder)))
    }

    fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(Arc::make_mut(&mut self.settings));
        self
    }
}

impl Default for McpLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> tower_layer::Layer<S> for McpLayer {
    type Service = McpService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        McpService::new(inner, self.clone())
    }
}
