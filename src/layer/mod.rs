//! The gate as a tower [`Layer`](tower_layer::Layer): the only room that knows tower.
//!
//! A request passes the layer only if it carries a key that is genuine, in force, allowed to come
//! from where it comes, granted for the server and scopes at hand, and within its limits.
//!
//! 1. The inner service is never called for a request that was not admitted, nor before it said it
//!    was ready. The one that said so is the one that is called.
//! 2. A refusal is a response, never an error: `Service::Error` is the inner service's own.
//! 3. No admitted request's body is read, and the response's is passed through as it comes;
//!    dropping it drops the inner one. Of a refused request a small body is read away, so that
//!    the connection can be used again. [`SignedRequestLayer`] and [`McpLayer`], which stand inside,
//!    read the bodies that they have to.
//! 4. A request whose key is remembered is decided on the spot, without a boxed future.
//! 5. Behind the layer the request holds a [`KeyContext`](crate::KeyContext) and no credential.
//! 6. A stream that goes on while its key is withdrawn or expires is ended: within a second of the
//!    change being known on this node, by an error where the protocol has one for it.
//! 7. Every refusal carries its [`Rejection`](crate::Rejection) in the response's extensions.
//!
//! # In the path
//!
//! Where keys may stand in the path ([`ApiKeyLayer::path_keys`]), put the layer *around* the
//! router, so that routing already sees the path without the key. With axum,
//! `framework::axum::around(layer, router)` does it; elsewhere `layer.layer(service)` is all.
//!
//! Inside (`Router::layer`, which runs after routing) the route must name the segment itself, as
//! in `/mcp/{key}`. The URI that handlers see is then clean as well, axum's `OriginalUri`
//! included, but axum has captured the segment before the layer runs: a handler that asks for
//! `Path<String>` is given the key. Nor may `{key}` stand in the prefix of axum's `nest` or
//! `nest_service`: they cut off as many segments as the prefix has, of a path that is shorter by
//! then.
//!
//! # Preflight requests
//!
//! A browser's `OPTIONS` request carries no key and is refused like any other. A CORS layer belongs
//! outside this one; let it expose `WWW-Authenticate`, `Retry-After` and `Mcp-Session-Id`.

mod body;
mod body_fault;
mod challenge;
mod drain;
mod future;
mod guard;
mod limit_headers;
mod mcp;
mod read_body;
mod reading;
mod respond;
mod scope;
mod service;
mod shape;
mod signed;
mod ticket;
mod turned_away;

use std::sync::Arc;

use self::limit_headers::LimitHeaders;
use self::ticket::Naming;

pub use self::body::ResponseBody;
pub use self::future::ResponseFuture;
pub use self::mcp::{DenialStyle, McpApiKeyLayer, McpFuture, McpLayer, McpService};
pub use self::read_body::ReadBody;
pub use self::respond::{Respond, StandardResponder};
pub use self::scope::{RequireScopeFuture, RequireScopeLayer, RequireScopeService};
pub use self::service::ApiKeyService;
pub use self::signed::{
    SignedApiKeyLayer, SignedRequestFuture, SignedRequestLayer, SignedRequestService,
};
use crate::extract::{ExtractKey, InvalidPathTemplate, PathKey, Places};
use crate::gate::Gate;
use crate::key::{ParseScopeError, Scope};
use crate::policy::{Policy, ScopeRule, ServerRule};

/// Lets only requests with a good API key pass.
///
/// Made by [`ApiKeys::layer`](crate::ApiKeys::layer). Each method narrows what passes; cloning is
/// cheap, and a clone that is narrowed leaves the others as they are.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use mcp_api_keys::{ApiKeys, store::MemoryStore};
/// use tower_layer::Layer;
///
/// let keys = ApiKeys::builder(MemoryStore::new()).build().await?;
/// let layer = keys.layer().server("files").require_scope("files:read")?;
///
/// # #[derive(Clone)] struct MyService;
/// let service = layer.layer(MyService);
/// # let _ = service;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct ApiKeyLayer {
    gate: Gate,
    responder: Arc<dyn Respond>,
    headers: LimitHeaders,
    naming: Naming,
}

impl ApiKeyLayer {
    pub(crate) fn new(gate: Gate) -> Self {
        Self {
            gate,
            responder: Arc::new(StandardResponder::new()),
            headers: LimitHeaders::default(),
            naming: Naming::default(),
        }
    }

    /// Names the server (or project) behind the layer. Only keys granted for it pass.
    ///
    /// A layer without a name admits only keys granted for all servers.
    ///
    /// # Panics
    ///
    /// If the name is not 1 to 64 letters, digits, `.`, `_` or `-`.
    #[expect(
        clippy::panic,
        reason = "a mistake in the program's own wiring, found at its start"
    )]
    pub fn server(self, name: &str) -> Self {
        match name.parse() {
            Ok(name) => self
                .with_gate(|gate| gate.with_rules(|rules| rules.server = ServerRule::Named(name))),
            Err(error) => panic!("the server name {name:?} {error}"),
        }
    }

    /// Asks nothing about servers: any key passes that is genuine and in force.
    ///
    /// For what belongs to no server, such as a page that tells callers who they are.
    pub fn any_server(self) -> Self {
        self.with_gate(|gate| gate.with_rules(|rules| rules.server = ServerRule::Any))
    }

    /// Asks for a scope, beside those asked for already.
    ///
    /// # Errors
    ///
    /// If `scope` is no scope; a requirement holds no star.
    pub fn require_scope(self, scope: &str) -> Result<Self, ParseScopeError> {
        let scope: Scope = scope.parse()?;
        Ok(self.require_scopes(ScopeRule::all([scope])))
    }

    /// Asks for scopes, beside those asked for already.
    pub fn require_scopes(self, rule: ScopeRule) -> Self {
        self.with_gate(|gate| gate.with_rules(|rules| rules.scopes.push(rule)))
    }

    /// Refuses read-only keys: what stands behind the layer changes things.
    ///
    /// Without it a read-only key passes, and it is the handler that asks
    /// [`KeyContext::access`](crate::KeyContext::access).
    pub fn require_full_access(self) -> Self {
        self.with_gate(|gate| gate.with_rules(|rules| rules.full_access = true))
    }

    /// Asks a policy of your own, after those asked already.
    pub fn policy(self, policy: impl Policy) -> Self {
        self.with_gate(|gate| gate.with_rules(|rules| rules.policies.push(Arc::new(policy))))
    }

    /// Takes `cost` from each limit and quota of the key for a request, instead of one; zero makes
    /// requests free.
    pub fn cost(self, cost: u32) -> Self {
        self.with_gate(|gate| gate.with_rules(|rules| rules.cost = cost))
    }

    /// Accepts keys in the header `name` as well, beside `Authorization: Bearer` and `X-API-Key`.
    pub fn key_header(self, name: http::HeaderName) -> Self {
        self.with_gate(|gate| gate.with_rules(|rules| rules.places.add_header(name)))
    }

    /// Accepts keys in the path as well, in the place of `{key}` in `template`. See the
    /// [module's notes](self#in-the-path) on where to put the layer then.
    ///
    /// # Errors
    ///
    /// If the template does not hold `/{key}` exactly once.
    pub fn path_keys(self, template: &str) -> Result<Self, InvalidPathTemplate> {
        Ok(self.extractor(PathKey::new(template)?))
    }

    /// Accepts keys in a place of your own as well.
    pub fn extractor(self, extractor: impl ExtractKey) -> Self {
        self.with_gate(|gate| gate.with_rules(|rules| rules.places.add(Arc::new(extractor))))
    }

    /// Accepts keys in no place but those named after this call.
    pub fn no_default_extractors(self) -> Self {
        self.with_gate(|gate| gate.with_rules(|rules| rules.places = Places::none()))
    }

    /// Verifies the signatures of requests: puts `layer` directly inside this one.
    ///
    /// To put something in between, stack them yourself: see
    /// [`signed_requests`](Self::signed_requests).
    pub fn with_signing(self, layer: SignedRequestLayer) -> SignedApiKeyLayer {
        SignedApiKeyLayer::new(self.signed_requests(), layer)
    }

    /// Puts an [`McpLayer`] directly inside, which holds keys to their rules for tools, prompts and
    /// resources, and charges their limits for what requests are.
    pub fn with_mcp(self, layer: McpLayer) -> McpApiKeyLayer<Self> {
        let responder = Arc::clone(&self.responder);
        McpApiKeyLayer::new(self.charged_inside(), layer, &responder)
    }

    fn charged_inside(self) -> Self {
        self.with_gate(|gate| gate.with_rules(|rules| rules.charged_inside = true))
    }

    /// Says that a [`SignedRequestLayer`] stands somewhere behind this layer, which hands it the
    /// presented key. That layer takes the key out again; nothing else can read it on the way.
    ///
    /// Without a `SignedRequestLayer` behind it nothing is verified, not even for keys that must be
    /// [signed](crate::key::Signing): they pass. [`with_signing`](Self::with_signing) cannot be got
    /// wrong.
    pub fn signed_requests(self) -> Self {
        self.with_gate(|gate| gate.with_rules(|rules| rules.signatures_inside = true))
    }

    /// Names requests in the [usage](crate::usage) of keys, instead of by their method: by axum's
    /// `MatchedPath`, for one. What it answers is kept, so it must not be text of the caller's choosing
    /// such as the path itself, which may hold a secret, nor one of many: a key has room for 64 names
    /// in an hour, and the rest is counted as `other`. Nothing stands for the method.
    ///
    /// Behind [`with_mcp`](Self::with_mcp) requests are named after the tool or the method of MCP, unless
    /// this gives a name.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use axum::extract::MatchedPath;
    /// use mcp_api_keys::{ApiKeys, store::MemoryStore};
    ///
    /// let store = MemoryStore::new();
    /// let keys = ApiKeys::builder(store.clone()).usage(store).build().await?;
    /// // To be used with `route_layer`: outside the router no path was matched yet.
    /// let layer = keys.layer().operation(|head| {
    ///     let path = head.extensions.get::<MatchedPath>()?;
    ///     Some(format!("{} {}", head.method, path.as_str()))
    /// });
    /// # let _ = layer;
    /// # Ok(())
    /// # }
    /// ```
    pub fn operation(
        mut self,
        name: impl Fn(&http::request::Parts) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.naming.by(Arc::new(name));
        self
    }

    /// Answers refusals with `responder` instead of [`StandardResponder`].
    pub fn responder(mut self, responder: impl Respond) -> Self {
        self.responder = Arc::new(responder);
        self
    }

    /// Whether to send `RateLimit` and `RateLimit-Policy` with admitted responses. On by default.
    pub fn rate_limit_headers(mut self, on: bool) -> Self {
        self.headers.standard = on;
        self.tell_limits()
    }

    /// Whether to send `X-RateLimit-Limit`, `-Remaining` and `-Reset` too. Off by default.
    pub fn legacy_rate_limit_headers(mut self, on: bool) -> Self {
        self.headers.legacy = on;
        self.tell_limits()
    }

    fn tell_limits(self) -> Self {
        let tell = self.headers.any();
        self.with_gate(|gate| gate.with_rules(|rules| rules.tell_limits = tell))
    }

    /// The gate behind the layer, for use without tower.
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    fn with_gate(mut self, change: impl FnOnce(&Gate) -> Gate) -> Self {
        self.gate = change(&self.gate);
        self.naming.of_gate(&self.gate);
        self
    }
}

impl<S> tower_layer::Layer<S> for ApiKeyLayer {
    type Service = ApiKeyService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ApiKeyService::new(inner, self.clone())
    }
}
