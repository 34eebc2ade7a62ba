//! API keys for MCP servers and any tower service: one layer that finds, verifies and limits keys,
//! and the whole life of keys behind it.
//!
//! ```
//! use axum::{Router, body::Body, routing::get};
//! use http::Request;
//! use mcp_api_keys::{ApiKeys, NewKey, store::MemoryStore};
//! use tower::ServiceExt;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let keys = ApiKeys::builder(MemoryStore::new()).build().await?;
//! let issued = keys.manager().issue(NewKey::named("ci-bot").server("files")).await?;
//!
//! let app = Router::new().route("/", get(|| async { "hello" })).layer(keys.layer().server("files"));
//!
//! let bearer = format!("Bearer {}", issued.key().expose_secret());
//! let request = Request::get("/").header("authorization", &bearer).body(Body::empty())?;
//! assert_eq!(app.clone().oneshot(request).await?.status(), 200);
//!
//! keys.manager().revoke(issued.info().id, None).await?;
//! let request = Request::get("/").header("authorization", &bearer).body(Body::empty())?;
//! assert_eq!(app.oneshot(request).await?.status(), 401);
//! # Ok(())
//! # }
//! ```
//!
//! # How it works
//!
//! There is a doorman and there is an office, and they never speak to each other.
//!
//! The doorman is the [`Gate`], inside the [`ApiKeyLayer`]. For each request it finds the key, proves
//! that it is one that was issued, and asks whether it may do this, here, now. It answers with a
//! [`Permit`] or with a [`Rejection`]. The office is the [`KeyManager`]. It issues keys, changes,
//! rotates and withdraws them.
//!
//! They meet in two places. One is the [record](key::KeyRecord) in the [store](store::KeyStore),
//! which outlives the process. The other is the live state of the keys in use, which is shared by
//! both within the process. What the doorman remembers is only ever a *proof*, "this text is the
//! second secret of that key", and never a verdict. Whether the key may be used is read from its
//! live state on each request. So a change that the office has made holds for the next request,
//! however well the key is cached, and a key expires without anybody noticing the time.
//!
//! What other processes change in the same store reaches this one through the store's change log,
//! which is read every two seconds, and at once when the store [rings](store::ChangeBell).
//! [`manual::threats`] gives the bounds.
//!
//! [`ApiKeys`] wires both together over one store: [`ApiKeys::layer`] for the one,
//! [`ApiKeys::manager`] for the other. Behind the layer a request holds a [`KeyContext`], which says
//! who is calling, and no longer holds the key.
//!
//! # The house
//!
//! Each module is a room and stands on a floor. A room uses rooms on lower floors only, and rooms on
//! one floor do not know each other; a test reads the source and holds them to it. So the doorman
//! cannot reach the office, and a store knows nothing of HTTP.
//!
//! ```text
//! 12  testing     the suite for stores, a clock to set, a store that fails on command
//! 11  admin       the office over HTTP: an API for programs, a page for people
//!     oauth       programs connected with a click: metadata, sign-in, consent, tokens
//! 10  keys        ApiKeys: store, cache and limits wired into a layer and a manager
//!  9  framework   axum, tonic, rmcp: one file each
//!     browser     what pages for people share: cookies, sessions, where a form comes from
//!  8  layer       the only room that knows tower, and where a refusal becomes an answer
//!  7  gate        the request path, in one visible sequence
//!     meter       what happens, as metrics
//!     manager     the life of a key: issue, import, change, rotate, withdraw
//!     watch       the rules of alerts at work: fed with usage, heard as events and in the log
//!  6  verify      is this the secret we issued? fingerprints, proofs, tag, pepper, slow hash
//!  5  live        the state of the keys in use, and how fresh it is
//!     redis       limits, used signatures and quotas that several processes share
//!  4  webhook     events, posted to a URL and signed
//!     limit       rate limits and quotas of keys, failures of addresses
//!     rights      what a key may do at present, within its owner's rights and under its plan
//!  3  store       the contract of a store; memory, SQLite, PostgreSQL
//!     event       what happens to keys, told to whoever listens
//!     extract     where in a request a key stands
//!     policy      what a genuine key may do; pure
//!     signing     codes over request bodies, and which were used before
//!     mcp         what a message of MCP does, and what a list may show; pure
//!     client_ip   the caller's address: the peer, then trusted proxies from the right
//!  2  alert       what looks wrong about a key: rules over its use; pure
//!     audit       the trail of acts: who did what to which key
//!     usage       what each key does, by hour and day
//!     context     what a handler may know of its caller
//!     rejection   why a request is turned away, without a word of HTTP
//!  1  key         the vocabulary: format, record, scopes, networks, limits
//!  0  clock       the only reader of time
//!     error       what can go wrong in a store or in the office
//! ```
//!
//! # Features
//!
//! A feature only adds; none changes what the others do. By default there are none, and the layer,
//! the manager and [`MemoryStore`](store::MemoryStore) are there.
//!
//! | feature | adds | pulls in |
//! |---|---|---|
//! | `cli` | the program `mcp-keys`: the command line and the gateway | `admin`, `metrics`, `oauth`, `postgres`, `redis`, `sqlite`, `webhooks`, clap, hyper, rustls |
//! | `admin` | [`admin`]: the manager over HTTP, an API and a page | `axum`, its query, maud, utoipa |
//! | `axum` | [`framework::axum`]: `KeyContext` as an extractor, `around` | axum, without its default features |
//! | `rmcp` | [`framework::rmcp`]: `KeyContext` as an argument of tools | rmcp, its server |
//! | `tonic` | [`framework::tonic`]: `key_context`, the peer's address | tonic, its server |
//! | `oauth` | [`oauth`]: MCP clients connect with a click, on keys of their own | `axum`, its query, hyper, maud, rustls, url |
//! | `metrics` | [`meter`]: metrics of the `metrics` facade | metrics |
//! | `postgres` | [`PostgresStore`](store::PostgresStore) | sqlx with PostgreSQL, rustls |
//! | `redis` | [`redis`]: limits, used signatures and quotas that several processes share | redis, rustls |
//! | `sqlite` | [`SqliteStore`](store::SqliteStore) | sqlx with SQLite, which is compiled in |
//! | `testing` | [`testing`]: not covered by semantic versioning | nothing more |
//! | `webhooks` | [`webhook`]: events, posted to a URL and signed | hyper, rustls |
//! | `full` | all of these | |
//!
//! A tokio runtime is needed, with its timer: the crate starts a task that follows the change log,
//! and runs slow hashes on the threads for blocking work.
//!
//! # Public dependencies
//!
//! Types and traits of these crates are part of this crate's interface; a new major version of one
//! of them is a breaking change here.
//!
//! | crate | where |
//! |---|---|
//! | `http` | requests and responses of the layer, [`Gate::admit`], [`extract`], [`policy`], [`signing`], [`Respond`](layer::Respond), [`oauth::SignIn`] |
//! | `http-body` | the `Body` that the layers' requests, [`ResponseBody`](layer::ResponseBody) and [`ReadBody`](layer::ReadBody) implement |
//! | `bytes` | the data of [`ResponseBody`](layer::ResponseBody) and [`ReadBody`](layer::ReadBody), answers of [`Respond`](layer::Respond) and [`oauth::SignIn`] |
//! | `tower-layer`, `tower-service` | implemented by the layers and their services |
//! | `serde`, `serde_json` | implemented by the records, ids and values of [`key`], and by [`KeyContext`] (to write); [`audit`] holds values |
//! | `zeroize` | implemented by [`ApiKey`] |
//! | `async-trait` | how [`KeyStore`](store::KeyStore), [`UsageSink`](usage::UsageSink), [`ChangeBell`](store::ChangeBell), [`SharedLimiter`](limit::SharedLimiter), [`ReplayGuard`](signing::ReplayGuard), [`oauth::SignIn`] and [`oauth::FetchDocument`] are written |
//! | `sqlx` | the pools of [`SqliteStore`](store::SqliteStore) and [`PostgresStore`](store::PostgresStore) (features `sqlite`, `postgres`) |
//! | `axum` | [`framework::axum`] (feature `axum`), the routers of [`admin`] (feature `admin`) and [`oauth`] (feature `oauth`) |
//! | `rmcp` | [`framework::rmcp`] (feature `rmcp`) |
//! | `tonic` | [`framework::tonic`] (feature `tonic`) |
//!
//! # The manual
//!
//! * [`manual::threats`] tells who attacks, what the crate does about it, what is left to you.
//! * [`manual::defaults`] gives every default, its reason, and when to change it.
//! * [`manual::how_to`] has recipes.
//! * [`manual::mcp`] shows keys for some of the tools of an MCP server.
//! * [`manual::capacity`] says how much one node, one PostgreSQL and one Redis carry.
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "admin")]
#[cfg_attr(docsrs, doc(cfg(feature = "admin")))]
pub mod admin;
pub mod alert;
pub mod audit;
#[cfg(any(feature = "admin", feature = "oauth"))]
mod browser;
pub mod client_ip;
mod clock;
mod context;
mod error;
pub mod event;
pub mod extract;
pub mod framework;
mod gate;
pub mod key;
mod keys;
pub mod layer;
pub mod limit;
mod live;
mod manager;
pub mod manual;
mod mcp;
#[cfg(feature = "metrics")]
#[cfg_attr(docsrs, doc(cfg(feature = "metrics")))]
pub mod meter;
#[cfg(feature = "oauth")]
#[cfg_attr(docsrs, doc(cfg(feature = "oauth")))]
pub mod oauth;
pub mod policy;
#[cfg(feature = "redis")]
#[cfg_attr(docsrs, doc(cfg(feature = "redis")))]
pub mod redis;
mod rejection;
pub mod rights;
pub mod signing;
pub mod store;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod usage;
mod verify;
mod watch;
#[cfg(feature = "webhooks")]
#[cfg_attr(docsrs, doc(cfg(feature = "webhooks")))]
pub mod webhook;

pub use self::clock::{Clock, Moment, ParseTimestampError, SystemClock, Timestamp};
pub use self::context::KeyContext;
pub use self::error::{Error, ErrorKind};
pub use self::gate::{Gate, Permit};
pub use self::key::{ApiKey, Carrier, KeyFormat, RateLimit};
pub use self::keys::{ApiKeys, ApiKeysBuilder};
pub use self::layer::{ApiKeyLayer, RequireScopeLayer, SignedRequestLayer};
pub use self::manager::{
    ConnectionTokens, Grace, ImportKey, IssuedKey, KeyManager, KeyPage, KeyUpdate, NewConnection,
    NewKey, Principal, RefusedRenewal, Renewal, Risk, RiskyKey, SafetyPage, Withdrawn,
};
pub use self::rejection::{Rejection, RejectionKind, RejectionType};
pub use self::verify::{Argon2Params, InvalidArgon2Params, Pepper, VerifyStats};

/// Compiles and runs the code of the README.
#[cfg(all(doctest, feature = "axum", feature = "rmcp", feature = "sqlite"))]
#[doc = include_str!("../README.md")]
#[derive(Debug)]
pub struct ReadmeDoctests;
