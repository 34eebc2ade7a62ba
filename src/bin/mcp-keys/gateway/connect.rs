//! The connections to the servers: pooled, HTTP/1.1, with or without TLS.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::timeout;
use tower_service::Service;

use super::Error;
use super::body::Outgoing;

/// How long the address lookup, the connection and the TLS handshake may take together.
const CONNECT: Duration = Duration::from_secs(5);

/// Shorter than the five seconds after which common servers of Python and Node.js close an idle
/// connection: a request sent just then would be lost.
const IDLE: Duration = Duration::from_secs(4);

/// Sends requests to servers.
pub(super) type Client = legacy::Client<Deadline<HttpsConnector<HttpConnector>>, Outgoing>;

pub(super) fn client() -> Result<Client, Error> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(Duration::from_secs(60)));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let connector = HttpsConnectorBuilder::new()
        .with_provider_and_webpki_roots(provider)
        .map_err(|error| Error::failed("TLS cannot be set up", error))?
        .https_or_http()
        .enable_http1()
        .wrap_connector(tcp);
    Ok(legacy::Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .build(Deadline(connector)))
}

/// A connector that gives up in time.
#[derive(Clone, Debug)]
pub(super) struct Deadline<C>(C);

type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl<C> Service<Uri> for Deadline<C>
where
    C: Service<Uri, Error = BoxError>,
    C::Future: Send + 'static,
{
    type Response = C::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<C::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = timeout(CONNECT, self.0.call(uri));
        Box::pin(async move {
            connecting.await.unwrap_or_else(|_| {
                let late = io::Error::new(io::ErrorKind::TimedOut, "connecting took too long");
                Err(late.into())
            })
        })
    }
}
