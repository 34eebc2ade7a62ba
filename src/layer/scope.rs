//! Scopes for single routes, behind the key layer.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::turned_away::TurnedAway;
use super::{Respond, ResponseBody, StandardResponder};
use crate::context::KeyContext;
use crate::key::{ParseScopeError, Scope};
use crate::policy::ScopeRule;
use crate::rejection::{Rejection, RejectionKind};

/// Asks for scopes on one route of many behind one [`ApiKeyLayer`](super::ApiKeyLayer).
///
/// It reads the [`KeyContext`] that the key layer left. A request without one is refused as if it
/// had no key: a route is not open because the key layer was forgotten.
///
/// The key layer has charged the key's limits by then; to charge only what is allowed, ask for the
/// scope on the key layer itself.
///
/// ```
/// use mcp_api_keys::layer::RequireScopeLayer;
///
/// let layer = RequireScopeLayer::new("files:write")?;
/// # let _ = layer;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct RequireScopeLayer {
    rule: ScopeRule,
    responder: Arc<dyn Respond>,
}

impl RequireScopeLayer {
    /// Asks for one scope.
    ///
    /// # Errors
    ///
    /// If `scope` is no scope; a requirement holds no star.
    pub fn new(scope: &str) -> Result<Self, ParseScopeError> {
        let scope: Scope = scope.parse()?;
        Ok(Self::with_rule(ScopeRule::all([scope])))
    }

    /// Asks for what `rule` says.
    pub fn with_rule(rule: ScopeRule) -> Self {
        Self {
            rule,
            responder: Arc::new(StandardResponder::new()),
        }
    }

    /// Answers refusals with `responder` instead of [`StandardResponder`].
    pub fn responder(mut self, responder: impl Respond) -> Self {
        self.responder = Arc::new(responder);
        self
    }
}

impl<S> tower_layer::Layer<S> for RequireScopeLayer {
    type Service = RequireScopeService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RequireScopeService {
            inner,
            layer: self.clone(),
        }
    }
}

/// The service made by [`RequireScopeLayer`].
#[derive(Clone, Debug)]
pub struct RequireScopeService<S> {
    inner: S,
    layer: RequireScopeLayer,
}

impl<S, B, R> Service<Request<B>> for RequireScopeService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    B: Body,
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = RequireScopeFuture<S::Future, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let decision = match request.extensions().get::<KeyContext>() {
            None => Err(Rejection::new(RejectionKind::Missing)),
            Some(key) => self
                .layer
                .rule
                .check(key.scopes())
                .map_err(|rejection| rejection.of_key(key.key_id())),
        };
        let state = match decision {
            Ok(()) => State::Inner {
                future: self.inner.call(request),
            },
            Err(rejection) => {
                let (head, body) = request.into_parts();
                let mut response = self.layer.responder.respond(&rejection, &head);
                response.extensions_mut().insert(rejection);
                State::Refused {
                    turned_away: TurnedAway::unread(response, &head, body),
                }
            }
        };
        RequireScopeFuture { state }
    }
}

pin_project! {
    /// The future returned by [`RequireScopeService`].
    #[derive(Debug)]
    pub struct RequireScopeFuture<F, B> {
        #[pin]
        state: State<F, B>,
    }
}

pin_project! {
    #[project = StateProjection]
    #[derive(Debug)]
    enum State<F, B> {
        Inner { #[pin] future: F },
        Refused { turned_away: TurnedAway<B> },
    }
}

impl<F, B, R, E> Future for RequireScopeFuture<F, B>
where
    F: Future<Output = Result<Response<R>, E>>,
    B: Body,
{
    type Output = Result<Response<ResponseBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProjection::Inner { future } => future
                .poll(cx)
                .map_ok(|response| response.map(ResponseBody::inner)),
            StateProjection::Refused { turned_away } => turned_away.poll_answer(cx).map(Ok),
        }
    }
}
