//! What the tests of this folder share: keys with a light hash, and a service behind the layer.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full};
use mcp_api_keys::store::KeyStore;
use mcp_api_keys::{ApiKeyLayer, ApiKeys, ApiKeysBuilder, Argon2Params, IssuedKey, NewKey};
use tower::util::ServiceExt;
use tower::{Layer, service_fn};

/// Whether to run with the numbers of a release.
pub(crate) fn size(quick: usize, long: usize) -> usize {
    if std::env::var_os("MCP_KEYS_LONG").is_some() {
        long
    } else {
        quick
    }
}

/// A hash that is as light as Argon2 allows, where its weight is not what is tested.
pub(crate) fn light() -> Argon2Params {
    Argon2Params::new(8, 1, 1).unwrap()
}

pub(crate) fn builder(store: impl KeyStore) -> ApiKeysBuilder {
    ApiKeys::builder(store).argon2(light()).failure_limit(None)
}

pub(crate) async fn issue(keys: &ApiKeys) -> IssuedKey {
    let new = NewKey::named("test").all_servers().scope("*").unwrap();
    keys.manager().issue(new).await.unwrap()
}

/// A service behind the layer that counts how often it was called.
#[derive(Clone, Debug)]
pub(crate) struct Guarded {
    layer: ApiKeyLayer,
    calls: Arc<AtomicU64>,
}

impl Guarded {
    pub(crate) fn new(layer: ApiKeyLayer) -> Self {
        let calls = Arc::default();
        Self { layer, calls }
    }

    /// How often the inner service was called.
    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    /// Sends a request with this key as bearer.
    pub(crate) fn send(&self, key: &str) -> impl Future<Output = Answer> + Send + 'static {
        self.call(request(key))
    }

    pub(crate) fn call(
        &self,
        request: Request<Empty<Bytes>>,
    ) -> impl Future<Output = Answer> + Send + 'static {
        let calls = Arc::clone(&self.calls);
        let inner = service_fn(move |_: Request<Empty<Bytes>>| {
            calls.fetch_add(1, Ordering::SeqCst);
            std::future::ready(Ok::<_, Infallible>(Response::new(Full::new(Bytes::new()))))
        });
        let service = self.layer.layer(inner);
        async move {
            let response = service.oneshot(request).await.unwrap();
            let (head, body) = response.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            Answer { head, body }
        }
    }
}

/// A whole response.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) head: http::response::Parts,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn status(&self) -> StatusCode {
        self.head.status
    }

    /// Everything that a caller sees.
    pub(crate) fn wire(&self) -> String {
        format!(
            "{:?} {:?} {:?}",
            self.head.status, self.head.headers, self.body
        )
    }
}

pub(crate) fn request(key: &str) -> Request<Empty<Bytes>> {
    Request::builder()
        .uri("/mcp")
        .header("authorization", format!("Bearer {key}"))
        .body(Empty::new())
        .unwrap()
}

/// A well-formed key that was never issued: `handle` and 24 characters made from `number`.
pub(crate) fn forged(handle: &str, number: u64) -> String {
    let text = format!("mcp_sk_{handle}{number:024}");
    let checksum = base62(u64::from(crc32fast::hash(text.as_bytes())), 6);
    format!("{text}{checksum}")
}

/// `number` in base 62.
pub(crate) fn base62(mut number: u64, digits: usize) -> String {
    const ALPHABET: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut text = vec![b'0'; digits];
    for place in text.iter_mut().rev() {
        *place = ALPHABET[(number % 62) as usize];
        number /= 62;
    }
    String::from_utf8(text).unwrap()
}

/// Resident memory of this process in bytes.
pub(crate) fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4_096
}

/// The `p`th percentile of what was measured.
pub(crate) fn percentile<T: Copy + Ord>(values: &mut [T], p: f64) -> T {
    values.sort_unstable();
    let last = values.len() - 1;
    values[((last as f64) * p / 100.0).round() as usize]
}

/// Tests that measure memory, time or the load of the machine run one after another.
pub(crate) static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
