//! One attempt to post a message.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::error::{Error, ErrorKind};

/// How long a connection is kept for the next message.
const IDLE: Duration = Duration::from_secs(4);

#[derive(Clone, Debug)]
pub(super) struct Client(legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

/// What came of an attempt.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    Taken,
    /// The receiver is gone for good.
    Gone,
    Failed(String),
}

impl Client {
    pub(super) fn new() -> Result<Self, Error> {
        let set_up = |error: rustls::Error| {
            Error::new(ErrorKind::InvalidInput, "TLS cannot be set up").with_source(error)
        };
        let roots: rustls::RootCertStore = webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(set_up)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(config)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        Ok(Self(
            legacy::Client::builder(TokioExecutor::new())
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(IDLE)
                .build(connector),
        ))
    }

    /// Posts a message. The answer's body is not read.
    pub(super) async fn post(&self, message: Request<Full<Bytes>>, timeout: Duration) -> Attempt {
        match tokio::time::timeout(timeout, self.0.request(message)).await {
            Err(_) => Attempt::Failed("no answer in time".to_owned()),
            Ok(Err(error)) => Attempt::Failed(reason(&error)),
            Ok(Ok(answer)) if answer.status().is_success() => Attempt::Taken,
            Ok(Ok(answer)) if answer.status() == StatusCode::GONE => Attempt::Gone,
            Ok(Ok(answer)) => Attempt::Failed(format!("status {}", answer.status().as_u16())),
        }
    }
}

/// The reason at the bottom, such as "connection refused". No error of the client names a path.
fn reason(error: &legacy::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = cause.to_string();
        source = cause.source();
    }
    text
}
