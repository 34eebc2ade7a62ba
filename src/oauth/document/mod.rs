//! Clients that are known by a document on their own site (Client ID Metadata Documents): the client's
//! id is the URL of the document.
//!
//! 1. The URL is `https`, names a host (no address), and has a path without dot segments, query or
//!    fragment.
//! 2. It is asked at addresses of the public internet only, whichever of them the name stands for at
//!    that moment; redirects are not followed. Three seconds and 16 KiB are enough.
//! 3. The document is JSON, says the same id, and lists where its client may send people back to.
//! 4. It is kept for as long as its answer says, between a minute and an hour; a fetch that failed for
//!    30 seconds. However many ask at once, it is fetched once.

mod address;
mod cache;
mod fetch;
mod read;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use self::cache::Cache;
use self::fetch::PublicFetch;
use self::read::read;
pub(super) use self::read::{Described, shown_name};
use crate::clock::Clock;
use crate::error::Error;

/// How long a document is kept that says nothing of it.
const USUAL: Duration = Duration::from_secs(600);
const SHORTEST: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_secs(3_600);
const AFTER_FAILURE: Duration = Duration::from_secs(30);

/// Takes clients by documents on their own sites. Off unless it is given to
/// [`OAuthBuilder::client_documents`](super::OAuthBuilder::client_documents).
///
/// This process then fetches URLs that strangers name; the [rules](super#client-documents) say which.
///
/// ```
/// use mcp_api_keys::oauth::ClientDocuments;
///
/// let known = ClientDocuments::new().only_hosts(["claude.ai", "vscode.dev"]);
/// # let _ = known;
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct ClientDocuments {
    hosts: Option<Vec<String>>,
    fetch: Option<Arc<dyn FetchDocument>>,
}

impl ClientDocuments {
    /// Documents on any site.
    pub fn new() -> Self {
        Self::default()
    }

    /// Documents on these hosts, and on no others.
    pub fn only_hosts<S: Into<String>>(mut self, hosts: impl IntoIterator<Item = S>) -> Self {
        let hosts = hosts.into_iter().map(Into::into);
        self.hosts = Some(
            hosts
                .map(|host: String| host.to_ascii_lowercase())
                .collect(),
        );
        self
    }

    /// Fetches documents in a way of your own: through a proxy, for one. What it may reach is for it to
    /// see to.
    pub fn fetch_by(mut self, fetch: impl FetchDocument) -> Self {
        self.fetch = Some(Arc::new(fetch));
        self
    }
}

/// Fetches a document of a client.
#[async_trait]
pub trait FetchDocument: fmt::Debug + Send + Sync + 'static {
    /// What stands at this URL, of which only scheme, host and shape have been looked at.
    async fn fetch(&self, url: &str) -> Result<Fetched, FetchFault>;
}

/// A document as it was fetched.
#[derive(Clone, Debug)]
#[must_use]
pub struct Fetched {
    body: Bytes,
    max_age: Option<Duration>,
}

impl Fetched {
    /// A document that says nothing of how long it may be kept.
    pub fn new(body: impl Into<Bytes>) -> Self {
        Self {
            body: body.into(),
            max_age: None,
        }
    }

    /// How long it may be kept.
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }
}

/// Why a document could not be fetched, in words for whoever wants to connect the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchFault(&'static str);

impl FetchFault {
    /// The reason: a few words without a capital letter and a full stop.
    pub fn new(reason: &'static str) -> Self {
        Self(reason)
    }
}

impl fmt::Display for FetchFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for FetchFault {}

/// The documents of clients, as they were fetched.
#[derive(Debug)]
pub(super) struct Documents {
    hosts: Option<Vec<String>>,
    fetch: Arc<dyn FetchDocument>,
    cache: Cache,
}

/// What is known of a client by its document.
pub(super) type Known = Result<Arc<Described>, FetchFault>;

impl Documents {
    pub(super) fn new(settings: ClientDocuments) -> Result<Self, Error> {
        Ok(Self {
            hosts: settings.hosts,
            fetch: match settings.fetch {
                Some(fetch) => fetch,
                None => Arc::new(PublicFetch::new()?),
            },
            cache: Cache::default(),
        })
    }

    /// The host of the document, if a client's id is the URL of one.
    pub(super) fn host_of(id: &str) -> Option<String> {
        read::host_of(id)
    }

    /// The document, if it is kept still.
    pub(super) fn kept(&self, url: &str, clock: &dyn Clock) -> Option<Known> {
        self.cache.kept(url, clock.now().ticks)
    }

    /// The document at this URL.
    pub(super) async fn get(&self, url: &str, clock: &dyn Clock) -> Known {
        let Some(host) = read::host_of(url) else {
            return Err(FetchFault::new(
                "its URL is not of the kind that is accepted",
            ));
        };
        if self
            .hosts
            .as_ref()
            .is_some_and(|known| !known.contains(&host))
        {
            return Err(FetchFault::new("its host is not one that is accepted here"));
        }
        let fetch = async {
            let fetched = self.fetch.fetch(url).await;
            let known = fetched.and_then(|fetched| {
                let described = read(url, &fetched.body).map_err(FetchFault::new)?;
                Ok((Arc::new(described), fetched.max_age.unwrap_or(USUAL)))
            });
            match known {
                Ok((described, age)) => (Ok(described), age.clamp(SHORTEST, LONGEST)),
                Err(fault) => {
                    tracing::info!(url, %fault, "the document of a client cannot be used");
                    (Err(fault), AFTER_FAILURE)
                }
            }
        };
        self.cache.get(url, clock, fetch).await
    }
}

#[cfg(test)]
mod tests;
