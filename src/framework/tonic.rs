//! tonic: [`KeyContext`] in a service method (feature `tonic`).

use std::net::SocketAddr;

use http::Extensions;
use tonic::transport::server::TcpConnectInfo;
use tonic::{Request, Status};

use crate::context::KeyContext;

/// The key behind a gRPC request.
///
/// # Errors
///
/// [`Status::internal`], if the service is not behind the key layer.
///
/// ```
/// use mcp_api_keys::framework::tonic::key_context;
///
/// fn greet(request: &tonic::Request<()>) -> Result<String, tonic::Status> {
///     Ok(format!("hello, {}", key_context(request)?.name()))
/// }
///
/// assert!(greet(&tonic::Request::new(())).is_err());
/// ```
pub fn key_context<T>(request: &Request<T>) -> Result<&KeyContext, Status> {
    request.extensions().get().ok_or_else(|| {
        tracing::error!("a method asks for the key of a request that passed no key layer");
        Status::internal("this service is not protected by an API key layer")
    })
}

pub(super) fn peer(extensions: &Extensions) -> Option<SocketAddr> {
    extensions
        .get::<TcpConnectInfo>()
        .and_then(TcpConnectInfo::remote_addr)
}
