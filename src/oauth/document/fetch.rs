//! Fetching from the public internet, and from nowhere else.

use std::error::Error as StdError;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, USER_AGENT};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::client::legacy::connect::{Connect, HttpConnector};
use hyper_util::rt::TokioExecutor;
use tower_service::Service;

use super::address::is_global;
use super::{FetchDocument, FetchFault, Fetched};
use crate::error::{Error, ErrorKind};

/// How long a fetch may take, names and TLS included.
const PATIENCE: Duration = Duration::from_secs(3);

/// How many bytes a document may have.
const LARGEST: usize = 16 * 1_024;

/// Fetches over TLS, from global addresses.
#[derive(Debug)]
pub(super) struct PublicFetch(
    legacy::Client<HttpsConnector<HttpConnector<PublicNames>>, Empty<Bytes>>,
);

impl PublicFetch {
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
        let mut tcp = HttpConnector::new_with_resolver(PublicNames);
        tcp.enforce_http(false);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(config)
            .https_only()
            .enable_http1()
            .wrap_connector(tcp);
        Ok(Self(client(connector)))
    }
}

#[async_trait]
impl FetchDocument for PublicFetch {
    async fn fetch(&self, url: &str) -> Result<Fetched, FetchFault> {
        fetch(&self.0, url).await
    }
}

/// A client that keeps no connection: nothing is asked of one host often.
fn client<C: Connect + Clone>(connector: C) -> legacy::Client<C, Empty<Bytes>> {
    legacy::Client::builder(TokioExecutor::new())
        .pool_max_idle_per_host(0)
        .build(connector)
}

async fn fetch<C: Connect + Clone + Send + Sync + 'static>(
    client: &legacy::Client<C, Empty<Bytes>>,
    url: &str,
) -> Result<Fetched, FetchFault> {
    let request = Request::get(url)
        .header(ACCEPT, "application/json")
        .header(
            USER_AGENT,
            concat!("mcp-api-keys/", env!("CARGO_PKG_VERSION")),
        )
        .body(Empty::new())
        .map_err(|_| FetchFault::new("its URL is not of the kind that is accepted"))?;
    let whole = async {
        let answer = client.request(request).await.map_err(|error| {
            tracing::debug!(
                error = &error as &dyn StdError,
                "the document of a client was not fetched"
            );
            FetchFault::new("its host does not answer")
        })?;
        let (head, body) = answer.into_parts();
        if head.status.is_redirection() {
            return Err(FetchFault::new("it is somewhere else"));
        }
        if head.status != StatusCode::OK {
            return Err(FetchFault::new("it is not there"));
        }
        if !is_json(&head.headers) {
            return Err(FetchFault::new("it is not JSON"));
        }
        let body = Limited::new(body, LARGEST).collect().await;
        let body = body.map_err(|_| FetchFault::new("it is too large, or broke off"))?;
        let fetched = Fetched::new(body.to_bytes());
        Ok(match max_age(&head.headers) {
            Some(age) => fetched.max_age(age),
            None => fetched,
        })
    };
    match tokio::time::timeout(PATIENCE, whole).await {
        Ok(fetched) => fetched,
        Err(_) => Err(FetchFault::new("its host did not answer in time")),
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).map(str::trim);
    kind.is_some_and(|kind| {
        let kind = kind.to_ascii_lowercase();
        kind == "application/json" || kind.starts_with("application/") && kind.ends_with("+json")
    })
}

fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let lines = headers.get_all(CACHE_CONTROL).iter();
    let words: Vec<_> = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .map(|word| word.trim().to_ascii_lowercase())
        .collect();
    if words
        .iter()
        .any(|word| word == "no-store" || word == "no-cache")
    {
        return Some(Duration::ZERO);
    }
    let seconds = words
        .iter()
        .find_map(|word| word.strip_prefix("max-age="))?;
    seconds
        .trim_matches('"')
        .parse()
        .ok()
        .map(Duration::from_secs)
}

/// Finds the addresses of a name, and gives none of them if one is not global. The connection is made
/// to what was found here, so a name that changes its mind afterwards changes nothing.
#[derive(Clone, Copy, Debug)]
struct PublicNames;

impl Service<Name> for PublicNames {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = NotPublic;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, NotPublic>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), NotPublic>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await;
            let found = found.map_err(|_| NotPublic("the name is not known"))?;
            public(found.collect())
        })
    }
}

/// What a name stands for, if there is nothing among it that is not asked. A name with one public and one
/// private address is whose owner hopes for the second.
fn public(found: Vec<SocketAddr>) -> Result<std::vec::IntoIter<SocketAddr>, NotPublic> {
    if found.is_empty() || !found.iter().all(|address| is_global(address.ip())) {
        return Err(NotPublic(
            "the name stands for an address that is not asked",
        ));
    }
    Ok(found.into_iter())
}

#[derive(Debug)]
struct NotPublic(&'static str);

impl std::fmt::Display for NotPublic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl StdError for NotPublic {}

#[cfg(test)]
mod tests;
