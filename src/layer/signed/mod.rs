//! Signed requests: a layer of its own behind the key layer.

mod future;
mod guard;
mod judge;
mod service;
mod stack;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http::request::Parts;

pub use self::future::SignedRequestFuture;
use self::judge::Misplaced;
pub use self::service::SignedRequestService;
pub use self::stack::SignedApiKeyLayer;
use super::{Respond, StandardResponder};
use crate::rejection::Rejection;
use crate::signing::{ReplayGuard, SigningMode};

/// Verifies the signatures of requests, behind an [`ApiKeyLayer`](super::ApiKeyLayer).
///
/// [`signing`](crate::signing) tells how requests are signed, and what a signature does not give.
///
/// 1. A body is read before it is passed on only if the request claims to be signed, or has to be.
///    Any other passes as it comes, and the response always does.
/// 2. What can be refused without the body is refused without reading it.
/// 3. Of a request that was verified both headers are gone, and
///    [`Signed`](crate::signing::Signed) is in its extensions.
/// 4. The presented key goes no further than to this layer, whatever it decides.
/// 5. A signature is over the bytes that reach this layer: put decompression inside it.
/// 6. The key layer has charged the key's limits by the time a signature is refused. With an
///    [`McpLayer`](super::McpLayer) inside they are charged behind it.
///
/// A signed body must come to its end before the service is called, so a gRPC call that streams its
/// requests cannot be signed.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use axum::{Router, body::Body, routing::post};
/// use http::Request;
/// use mcp_api_keys::signing::{MemoryReplayGuard, Signer};
/// use mcp_api_keys::{ApiKeys, Clock, NewKey, SignedRequestLayer, SystemClock, store::MemoryStore};
/// use tower::ServiceExt;
///
/// let keys = ApiKeys::builder(MemoryStore::new()).build().await?;
/// let signing = SignedRequestLayer::required().replay_guard(MemoryReplayGuard::new());
/// let layer = keys.layer().server("files").with_signing(signing);
/// let app: Router = Router::new().route("/", post(|| async { "done" })).layer(layer);
///
/// let issued = keys.manager().issue(NewKey::named("ci-bot").server("files")).await?;
/// let key = issued.key().expose_secret();
/// let signed = Signer::new(key).sign(SystemClock::new().now().wall, b"do it");
/// // As it was signed; once more; and with another body.
/// for (body, status) in [("do it", 200), ("do it", 401), ("do that", 401)] {
///     let request = Request::post("/").header("authorization", format!("Bearer {key}"));
///     let mut request = request.body(Body::from(body))?;
///     signed.set(request.headers_mut());
///     assert_eq!(app.clone().oneshot(request).await?.status(), status);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct SignedRequestLayer {
    mode: SigningMode,
    tolerance: Duration,
    max_body: usize,
    body_deadline: Duration,
    guard: Option<guard::Guard>,
    responder: Option<Arc<dyn Respond>>,
    misplaced: Arc<Misplaced>,
}

impl SignedRequestLayer {
    /// A layer that asks of every request what `mode` says, and of a request with a key that asks
    /// for [more](crate::key::Signing) what the key says.
    ///
    /// `Off` is for layers that verify the requests of such keys and look at no others.
    pub fn new(mode: SigningMode) -> Self {
        Self {
            mode,
            tolerance: Duration::from_secs(300),
            max_body: 1_024 * 1_024,
            body_deadline: Duration::from_secs(10),
            guard: None,
            responder: None,
            misplaced: Arc::default(),
        }
    }

    /// Requests must be signed.
    pub fn required() -> Self {
        Self::new(SigningMode::Required)
    }

    /// Requests may be signed. A bad signature is refused, never taken for none.
    pub fn optional() -> Self {
        Self::new(SigningMode::Optional)
    }

    /// Sets how far a timestamp may be off, either way, in whole seconds. Default: 300 s.
    pub fn tolerance(mut self, tolerance: Duration) -> Self {
        self.tolerance = tolerance;
        self
    }

    /// Sets how large the body of a signed request may be, in bytes. Default: 1 MiB.
    ///
    /// It is held in memory until it has been verified.
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// Sets how long the body of a signed request may take to arrive. Default: 10 s.
    pub fn body_deadline(mut self, deadline: Duration) -> Self {
        self.body_deadline = deadline;
        self
    }

    /// Refuses a signature that was used before. Default: none, so that a signed request can be sent
    /// again until it is too old.
    ///
    /// Requests of one key with the same body that are signed in the same second have the same
    /// signature, and all but the first are refused. JSON-RPC messages with ids of their own differ;
    /// requests without a body do not.
    pub fn replay_guard(mut self, guard: impl ReplayGuard) -> Self {
        self.guard = Some(guard::Guard::new(guard));
        self
    }

    /// Answers refusals with `responder`. Default: that of the key layer under
    /// [`with_signing`](super::ApiKeyLayer::with_signing), elsewhere [`StandardResponder`].
    pub fn responder(mut self, responder: impl Respond) -> Self {
        self.responder = Some(Arc::new(responder));
        self
    }

    /// Whatever responder made the answer, outer layers find the reason in it.
    fn answer(&self, rejection: Rejection, head: &Parts) -> Response<Bytes> {
        let mut response = match &self.responder {
            Some(responder) => responder.respond(&rejection, head),
            None => StandardResponder::new().respond(&rejection, head),
        };
        response.extensions_mut().insert(rejection);
        response
    }
}

impl<S> tower_layer::Layer<S> for SignedRequestLayer {
    type Service = SignedRequestService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        SignedRequestService::new(inner, self.clone())
    }
}
