//! axum: [`KeyContext`] as an extractor (feature `axum`).
//!
//! ```
//! use axum::{Router, routing::get};
//! use mcp_api_keys::KeyContext;
//!
//! async fn whoami(key: KeyContext) -> String {
//!     key.name().to_owned()
//! }
//!
//! let app: Router = Router::new().route("/me", get(whoami));
//! ```
//!
//! Where keys may stand in the path, the layer goes [around] the router.
//!
//! For rules on addresses, serve with the peer's address:
//! `axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>())`.

use std::convert::Infallible;
use std::net::SocketAddr;

use axum::Router;
use axum::extract::{ConnectInfo, FromRequestParts, OriginalUri, Request};
use axum::response::IntoResponse;
use http::request::Parts;
use http::{Extensions, StatusCode, Uri};
use tower_layer::Layer;
use tower_service::Service;

use crate::context::KeyContext;

/// Puts `layer`, an [`ApiKeyLayer`](crate::ApiKeyLayer) or one with more inside, around the whole of
/// `router`, so that it runs before any routing.
///
/// `Router::layer` runs after routing: it protects the routes, but a key in the path has been
/// matched and captured by then. Around the router, routing sees the path without the key.
///
/// ```
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use axum::{Router, routing::post};
/// use mcp_api_keys::framework::axum::around;
/// use mcp_api_keys::{ApiKeys, store::MemoryStore};
///
/// let keys = ApiKeys::builder(MemoryStore::new()).build().await?;
/// let router = Router::new().route("/mcp", post(|| async { "pong" }));
/// let app: Router = around(keys.layer().server("files").path_keys("/mcp/{key}")?, router);
/// # Ok(())
/// # }
/// ```
pub fn around<L>(layer: L, router: Router) -> Router
where
    L: Layer<Router>,
    L::Service: Service<Request, Error = Infallible> + Clone + Send + Sync + 'static,
    <L::Service as Service<Request>>::Response: IntoResponse,
    <L::Service as Service<Request>>::Future: Send + 'static,
{
    // A router without routes hands every request on as it came.
    Router::new().fallback_service(layer.layer(router))
}

impl<S: Sync> FromRequestParts<S> for KeyContext {
    /// 500: the route is not behind the key layer, which is a mistake of the program.
    type Rejection = (StatusCode, &'static str);

    async fn from_request_parts(head: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        head.extensions.get::<Self>().cloned().ok_or_else(|| {
            tracing::error!("a handler asks for the key of a request that passed no key layer");
            (
                StatusCode::INTERNAL_SERVER_ERROR,
                "this route is not protected by an API key layer",
            )
        })
    }
}

pub(super) fn peer(extensions: &Extensions) -> Option<SocketAddr> {
    extensions
        .get::<ConnectInfo<SocketAddr>>()
        .map(|ConnectInfo(address)| *address)
}

pub(super) fn original_uri(extensions: &mut Extensions) -> Option<&mut Uri> {
    extensions
        .get_mut::<OriginalUri>()
        .map(|OriginalUri(uri)| uri)
}
