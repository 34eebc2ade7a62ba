//! The connections to the servers: pooled, HTTP/1.1, with or without TLS.

use std::error::Error as _;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
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
use super::setting::Setting;
use super::tls;

/// How long the address lookup, the connection and the TLS handshake may take together.
const CONNECT: Duration = Duration::from_secs(5);

/// Shorter than the five seconds after which common servers of Python and Node.js close an idle
/// connection: a request sent just then would be lost.
const IDLE: Duration = Duration::from_secs(4);

/// Sends requests to servers.
pub(super) type Client = legacy::Client<Deadline<HttpsConnector<HttpConnector>>, Outgoing>;

pub(super) fn client(authorities: &[Setting<PathBuf>]) -> Result<Client, Error> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(Duration::from_secs(60)));
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls::towards_servers(authorities)?)
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

/// Why a server could not be asked, or broke off.
#[derive(Debug)]
pub(super) struct Reason {
    /// The reason at the bottom, such as "connection refused". No error of the client names a path.
    pub(super) text: String,
    /// Whether it is about the server's certificate.
    pub(super) distrusted: bool,
}

impl Reason {
    pub(super) fn of(error: &legacy::Error) -> Self {
        let mut reason = Self {
            text: error.to_string(),
            distrusted: false,
        };
        let mut source = error.source();
        while let Some(cause) = source {
            reason.text = cause.to_string();
            reason.distrusted |= is_distrust(cause);
            source = cause.source();
        }
        reason
    }
}

/// TLS puts its errors into those of connections, once or twice, as what they hold and not as their
/// source.
fn is_distrust(cause: &(dyn std::error::Error + 'static)) -> bool {
    if let Some(outer) = cause.downcast_ref::<io::Error>() {
        return outer.get_ref().is_some_and(|held| is_distrust(held));
    }
    matches!(
        cause.downcast_ref(),
        Some(rustls::Error::InvalidCertificate(_))
    )
}
