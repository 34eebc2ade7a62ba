//! What the tests of this folder share: a service behind the layer, a sink that fails on command, and
//! ways to read what was written.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use mcp_api_keys::key::KeyId;
use mcp_api_keys::store::MemoryStore;
use mcp_api_keys::usage::{
    LastUse, UsageBatch, UsageDimension, UsagePoint, UsageQuery, UsageRequest, UsageRetention,
    UsageSink, UsageStep,
};
use mcp_api_keys::{
    ApiKeyLayer, ApiKeys, ApiKeysBuilder, Error, ErrorKind, IssuedKey, NewKey, Timestamp,
};
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::support::{light, peer};

/// Keys in memory whose usage is in memory.
pub(crate) async fn keys() -> ApiKeys {
    let store = MemoryStore::new();
    builder(store.clone(), store).build().await.unwrap()
}

pub(crate) fn builder(
    store: impl mcp_api_keys::store::KeyStore,
    sink: impl UsageSink,
) -> ApiKeysBuilder {
    light(store).failure_limit(None).usage(sink)
}

pub(crate) async fn issue(keys: &ApiKeys, new: NewKey) -> (KeyId, String) {
    let issued: IssuedKey = keys.manager().issue(new).await.unwrap();
    (issued.info().id, issued.key().expose_secret().to_owned())
}

/// A service that answers as the path says: `/404` by that status.
pub(crate) fn service()
-> impl Service<Request<Full<Bytes>>, Response = Response<Full<Bytes>>, Error = Infallible, Future: Send>
+ Clone {
    service_fn(|request: Request<Full<Bytes>>| {
        let status = request.uri().path().trim_start_matches('/').parse();
        let mut response = Response::new(Full::default());
        *response.status_mut() = status.unwrap_or(StatusCode::OK);
        std::future::ready(Ok(response))
    })
}

/// A service that answers every request, whatever its body is.
pub(crate) fn plain<B: Send + 'static>()
-> impl Service<Request<B>, Response = Response<Full<Bytes>>, Error = Infallible, Future: Send> + Clone
{
    service_fn(|request: Request<B>| {
        drop(request);
        std::future::ready(Ok(Response::new(Full::default())))
    })
}

pub(crate) fn request(path: &str, key: &str) -> Request<Full<Bytes>> {
    let request = Request::builder()
        .uri(path)
        .header("authorization", format!("Bearer {key}"));
    let mut request = request.body(Full::default()).unwrap();
    request.extensions_mut().insert(peer("192.0.2.7"));
    request
}

/// Sends a request through the layer and reads the whole answer.
pub(crate) async fn send(layer: &ApiKeyLayer, request: Request<Full<Bytes>>) -> StatusCode {
    let response = layer.layer(service()).oneshot(request).await.unwrap();
    let status = response.status();
    response.into_body().collect().await.unwrap();
    status
}

/// The labels and requests of a day before the last one and a day after, once everything is written.
pub(crate) async fn told(
    keys: &ApiKeys,
    key: Option<KeyId>,
    by: UsageDimension,
) -> Vec<(String, u64)> {
    keys.flush().await.unwrap();
    let points = read(keys, key, Some(by)).await;
    let mut all = std::collections::BTreeMap::new();
    for point in points {
        let label = point.label.unwrap_or_else(|| "-".to_owned());
        *all.entry(label).or_default() += point.counts.requests;
    }
    all.into_iter().collect()
}

pub(crate) async fn read(
    keys: &ApiKeys,
    key: Option<KeyId>,
    by: Option<UsageDimension>,
) -> Vec<UsagePoint> {
    keys.manager().usage(&query(key, by)).await.unwrap()
}

pub(crate) fn query(key: Option<KeyId>, by: Option<UsageDimension>) -> UsageQuery {
    let [from, until] = ["2020-01-01T00:00:00Z", "2100-01-01T00:00:00Z"]
        .map(|text| text.parse::<Timestamp>().unwrap());
    let mut query = UsageQuery::new(from, until, UsageStep::Hour);
    (query.key, query.by) = (key, by);
    query
}

/// All requests that were written down.
pub(crate) async fn total(keys: &ApiKeys, key: Option<KeyId>) -> u64 {
    let points = read(keys, key, None).await;
    points.iter().map(|point| point.counts.requests).sum()
}

/// Labels and numbers, to compare with.
pub(crate) fn are(expected: &[(&str, u64)]) -> Vec<(String, u64)> {
    let expected = expected.iter();
    expected
        .map(|(label, number)| ((*label).to_owned(), *number))
        .collect()
}

/// What a [`Faulty`] sink does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Fault {
    None,
    /// Nothing takes effect.
    Fail,
    /// It takes effect, and fails nevertheless.
    Lose,
    /// It takes effect, and never answers.
    Hang,
    /// It refuses for good.
    Refuse,
    Panic,
}

/// A sink that fails on command.
#[derive(Clone, Debug)]
pub(crate) struct Faulty<S> {
    pub(crate) inner: S,
    fault: Arc<AtomicU8>,
    /// The batches that it was given.
    pub(crate) given: Arc<Mutex<Vec<(u64, usize)>>>,
}

impl<S> Faulty<S> {
    pub(crate) fn new(inner: S) -> Self {
        Self {
            inner,
            fault: Arc::new(AtomicU8::new(Fault::None as u8)),
            given: Arc::default(),
        }
    }

    pub(crate) fn set(&self, fault: Fault) {
        self.fault.store(fault as u8, Ordering::SeqCst);
    }
}

#[async_trait]
impl<S: UsageSink> UsageSink for Faulty<S> {
    async fn write(&self, batch: &UsageBatch) -> Result<(), Error> {
        let down = || Error::new(ErrorKind::Unavailable, "the sink is down");
        let given = (batch.id.number, batch.rows.len());
        self.given.lock().unwrap().push(given);
        let is = |fault| self.fault.load(Ordering::SeqCst) == fault as u8;
        if is(Fault::Fail) {
            return Err(down());
        }
        if is(Fault::Refuse) {
            return Err(Error::new(ErrorKind::Corrupt, "the sink has no such table"));
        }
        assert!(!is(Fault::Panic), "as it was told");
        self.inner.write(batch).await?;
        if is(Fault::Lose) {
            return Err(down());
        }
        if is(Fault::Hang) {
            std::future::pending::<()>().await;
        }
        Ok(())
    }

    async fn read(&self, request: &UsageRequest) -> Result<Vec<UsagePoint>, Error> {
        self.inner.read(request).await
    }

    async fn last_uses(&self, keys: &[KeyId]) -> Result<Vec<(KeyId, LastUse)>, Error> {
        self.inner.last_uses(keys).await
    }

    async fn prune(&self, kept: UsageRetention, now: Timestamp) -> Result<bool, Error> {
        self.inner.prune(kept, now).await
    }
}
