//! This crate's layer, with everything on and with one thing off at a time.

use std::cell::OnceCell;
use std::convert::Infallible;
use std::future::{Ready, ready};

use axum::body::Body;
use http::{HeaderName, Request, Response};
use mcp_api_keys::key::KeyFormat;
use mcp_api_keys::layer::McpLayer;
use mcp_api_keys::store::MemoryStore;
use mcp_api_keys::{ApiKeyLayer, ApiKeys, ApiKeysBuilder, Argon2Params, NewKey, RateLimit};
use tower::{Layer, Service, service_fn};

use super::cases::{Entrant, World};
use super::load::{PEER_NETWORK, Shape};

/// Keys that were issued, and the texts their holders have.
pub struct Issued {
    /// The keys.
    pub keys: ApiKeys,
    /// Their clear texts.
    pub texts: Vec<String>,
}

/// A limit that no single key can reach.
pub fn ample(name: &str) -> RateLimit {
    RateLimit::per_second(100_000_000).named(name)
}

/// A key with a server, a scope, a network and a limit.
pub fn full_key() -> NewKey {
    plain_key()
        .allow_from(PEER_NETWORK.parse().expect("a network"))
        .rate(ample("requests"))
}

fn plain_key() -> NewKey {
    NewKey::named("agent")
        .server("files")
        .scope("files:read")
        .expect("a scope")
}

/// Issues `count` keys. Their slow hash is light: what is measured is what follows once it is done.
pub async fn issue(count: usize, key: impl Fn() -> NewKey) -> Issued {
    issue_in(ApiKeys::builder(MemoryStore::new()), count, key).await
}

/// The same, with their usage recorded.
pub async fn issue_recorded(count: usize, key: impl Fn() -> NewKey) -> Issued {
    let store = MemoryStore::new();
    issue_in(ApiKeys::builder(store.clone()).usage(store), count, key).await
}

async fn issue_in(builder: ApiKeysBuilder, count: usize, key: impl Fn() -> NewKey) -> Issued {
    let keys = builder
        .argon2(Argon2Params::new(8, 1, 1).expect("valid parameters"))
        .failure_limit(Some(ample("failures")))
        .build()
        .await
        .expect("the memory answers");
    let mut texts = Vec::with_capacity(count);
    for _ in 0..count {
        let issued = keys.manager().issue(key()).await.expect("a valid key");
        texts.push(issued.key().expose_secret().to_owned());
    }
    Issued { keys, texts }
}

/// The layer with everything on.
pub fn layer(keys: &ApiKeys) -> ApiKeyLayer {
    keys.layer()
        .server("files")
        .require_scope("files:read")
        .expect("a scope")
}

/// The service in the middle: it does nothing.
pub fn bare<B: 'static>() -> impl Service<
    Request<B>,
    Response = Response<Body>,
    Error = Infallible,
    Future = Ready<Result<Response<Body>, Infallible>>,
> + Clone
+ Send
+ Sync
+ 'static {
    service_fn(|request: Request<B>| {
        drop(request);
        ready(Ok(Response::new(Body::empty())))
    })
}

/// The sets of keys that the cases need, each with a cache of its own.
pub struct Ours {
    /// Keys with everything.
    pub full: Issued,
    no_limit: OnceCell<Issued>,
    no_network: OnceCell<Issued>,
    two_limits: OnceCell<Issued>,
    recorded: OnceCell<Issued>,
}

type Make = fn(&Ours, &World, &'static str) -> Entrant;

impl Ours {
    /// All cases, by name.
    pub const CASES: &[(&str, Make)] = &[
        ("ours", |ours, world, name| {
            ours.bearer(world, name, &layer(&ours.full.keys))
        }),
        ("ours_recorded", |ours, world, name| {
            let keys = ours.recorded.get_or_init(|| {
                let keys = issue_recorded(world.keys, full_key);
                world.runtime.block_on(keys)
            });
            bearer(keys, world, name, &layer(&keys.keys))
        }),
        ("ours_hot64", |ours, world, name| {
            ours.bearer(world, name, &layer(&ours.full.keys)).hot(64)
        }),
        ("ours_no_headers", |ours, world, name| {
            ours.bearer(world, name, &no_headers(&ours.full))
        }),
        ("ours_hot64_no_headers", |ours, world, name| {
            ours.bearer(world, name, &no_headers(&ours.full)).hot(64)
        }),
        ("ours_no_scope", |ours, world, name| {
            ours.bearer(world, name, &ours.full.keys.layer().server("files"))
        }),
        ("ours_no_limit", |ours, world, name| {
            let keys = ours.no_limit.get_or_init(|| {
                let key = || plain_key().allow_from(PEER_NETWORK.parse().expect("a network"));
                world.runtime.block_on(issue(world.keys, key))
            });
            bearer(keys, world, name, &layer(&keys.keys))
        }),
        ("ours_no_network", |ours, world, name| {
            let keys = ours.no_network(world);
            bearer(keys, world, name, &layer(&keys.keys))
        }),
        ("ours_empty_extensions", |ours, world, name| {
            let keys = ours.no_network(world);
            let shape = Shape::bearer(&keys.texts).without_peer();
            let service = layer(&keys.keys).layer(bare());
            Entrant::new(name, world, shape, service).over("bare_empty_extensions")
        }),
        ("ours_two_limits", |ours, world, name| {
            let keys = ours.two_limits.get_or_init(|| {
                let key = || full_key().rate(ample("more"));
                world.runtime.block_on(issue(world.keys, key))
            });
            bearer(keys, world, name, &layer(&keys.keys))
        }),
        ("ours_legacy_headers", |ours, world, name| {
            let layer = layer(&ours.full.keys).legacy_rate_limit_headers(true);
            ours.bearer(world, name, &layer)
        }),
        ("ours_api_key_header", |ours, world, name| {
            let shape = api_key(&ours.full.texts);
            let service = layer(&ours.full.keys).layer(bare());
            Entrant::new(name, world, shape, service).over("bare_api_key_header")
        }),
        ("ours_path_key", |ours, world, name| {
            let layer = layer(&ours.full.keys).path_keys("/mcp/{key}");
            let service = layer.expect("a template").layer(bare());
            Entrant::new(name, world, Shape::path(&ours.full.texts), service).over("bare_path_key")
        }),
        ("ours_mcp_get", |ours, world, name| {
            let layer = layer(&ours.full.keys).with_mcp(McpLayer::new());
            let shape = Shape::bearer(&ours.full.texts);
            Entrant::new(name, world, shape, layer.layer(bare()))
        }),
        ("ours_malformed", |ours, world, name| {
            let texts: Vec<_> = ours.full.texts.iter().map(|text| misspelt(text)).collect();
            let service = layer(&ours.full.keys).layer(bare());
            Entrant::new(name, world, Shape::bearer(&texts), service).refusing()
        }),
        ("ours_unknown", |ours, world, name| {
            let format = KeyFormat::default();
            let unknown = |_| format.generate(None).expect("a key");
            let texts: Vec<_> = (0..128)
                .map(unknown)
                .map(|key| key.expose_secret().to_owned())
                .collect();
            let service = layer(&ours.full.keys).layer(bare());
            let entrant = Entrant::new(name, world, Shape::bearer(&texts), service);
            entrant.refusing().forgetting()
        }),
    ];

    /// Issues the keys that every run needs.
    pub fn new(world: &World) -> Self {
        Self {
            full: world.runtime.block_on(issue(world.keys, full_key)),
            no_limit: OnceCell::new(),
            no_network: OnceCell::new(),
            two_limits: OnceCell::new(),
            recorded: OnceCell::new(),
        }
    }

    fn no_network(&self, world: &World) -> &Issued {
        self.no_network.get_or_init(|| {
            let key = || plain_key().rate(ample("requests"));
            world.runtime.block_on(issue(world.keys, key))
        })
    }

    fn bearer(&self, world: &World, name: &'static str, layer: &ApiKeyLayer) -> Entrant {
        bearer(&self.full, world, name, layer)
    }
}

fn bearer(keys: &Issued, world: &World, name: &'static str, layer: &ApiKeyLayer) -> Entrant {
    Entrant::new(name, world, Shape::bearer(&keys.texts), layer.layer(bare()))
}

fn no_headers(keys: &Issued) -> ApiKeyLayer {
    layer(&keys.keys).rate_limit_headers(false)
}

/// Requests with `X-API-Key`.
pub fn api_key(texts: &[String]) -> Shape {
    Shape::header(HeaderName::from_static("x-api-key"), texts.iter().cloned())
}

/// The text with another last character, so that the checksum is wrong.
fn misspelt(text: &str) -> String {
    let (front, last) = text.split_at(text.len() - 1);
    format!("{front}{}", if last == "A" { "B" } else { "A" })
}
