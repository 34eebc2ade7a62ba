//! Recipes.
//!
//! * [Keys in the path](#keys-in-the-path)
//! * [Behind a proxy](#behind-a-proxy)
//! * [Several servers, one store](#several-servers-one-store)
//! * [Many nodes](#many-nodes)
//! * [A scope on a single route](#a-scope-on-a-single-route)
//! * [A policy of your own](#a-policy-of-your-own)
//! * [Signed requests](#signed-requests)
//! * [A store of your own](#a-store-of-your-own)
//! * [A pepper, and a new one](#a-pepper-and-a-new-one)
//! * [Moving to another key format](#moving-to-another-key-format)
//! * [Bring keys from another system](#bring-keys-from-another-system)
//! * [Telling secret scanners](#telling-secret-scanners)
//! * [Browsers and CORS](#browsers-and-cors)
//! * [Without a framework](#without-a-framework)
//! * [Without tower](#without-tower)
//! * [A page to manage keys with](admin_page), on a page of its own
//! * [Let Claude connect to your MCP server](connect), by OAuth (feature `oauth`)
//! * [Seeing what happens](observe): logs, events, alerts, webhooks, metrics, traces
//! * [Many nodes behind a load balancer](many_nodes), on a page of their own
//! * [Owners, plans and quotas](owners), on a page of their own
//! * [Managing keys over HTTP](admin), on a page of its own (feature `admin`)
//! * [Limits that several processes share](shared_limits), likewise
//! * [What each key does](usage), likewise
//!
//! # Keys in the path
//!
//! Put the layer around the router. Routing then sees `/mcp`, whatever way the key came in:
//!
//! ```
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use axum::{Router, routing::post};
//! use mcp_api_keys::framework::axum::around;
//! use mcp_api_keys::{ApiKeys, store::MemoryStore};
//!
//! let keys = ApiKeys::builder(MemoryStore::new()).build().await?;
//! let router = Router::new().route("/mcp", post(|| async { "pong" }));
//!
//! let layer = keys.layer().server("files").path_keys("/mcp/{key}")?;
//! let app: Router = around(layer, router); // POST /mcp and POST /mcp/<key>
//! # let _ = app;
//! # Ok(())
//! # }
//! ```
//!
//! If it has to stand inside, because some routes are open, the routes name the segment themselves. The
//! URI that handlers see is clean, and axum's `OriginalUri` as well, but axum has captured the segment
//! before the layer runs: do not ask for `Path` in these handlers, and do not log captured parameters.
//!
//! ```
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use axum::{Router, routing::{get, post}};
//! use mcp_api_keys::{ApiKeys, store::MemoryStore};
//!
//! let keys = ApiKeys::builder(MemoryStore::new()).build().await?;
//! let layer = keys.layer().server("files").path_keys("/mcp/{key}")?;
//!
//! let app: Router = Router::new()
//!     .route("/mcp", post(|| async { "pong" }))
//!     .route("/mcp/{key}", post(|| async { "pong" }))
//!     .layer(layer)
//!     .route("/health", get(|| async { "open to everybody" }));
//! # let _ = app;
//! # Ok(())
//! # }
//! ```
//!
//! Then look at what stands in front: the access log of the proxy, the trace layer outside of this one.
//! [Threats](super::threats#a-reader-of-logs) has the list.
//!
//! # Behind a proxy
//!
//! Name the proxies and the one header they write the caller's address into. They must append to that
//! header or overwrite it, never pass the client's own line on unchanged.
//!
//! ```
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use mcp_api_keys::client_ip::{ClientIp, ClientIpSource};
//! use mcp_api_keys::{ApiKeys, store::MemoryStore};
//!
//! let proxies = ["10.0.0.0/8".parse()?, "fd00::/8".parse()?];
//! let keys = ApiKeys::builder(MemoryStore::new())
//!     .client_ip(ClientIp::behind(proxies, ClientIpSource::XForwardedFor))
//!     .build()
//!     .await?;
//! # let _ = keys;
//! # Ok(())
//! # }
//! ```
//!
//! The connection's own address is still what decides whether the header is read, so it has to reach the
//! layer: see [what is yours](super::threats#what-is-yours). On a unix socket there is none, and
//! [`trust_local_peer`](crate::client_ip::ClientIp::trust_local_peer) says that whoever can connect is the
//! proxy.
//!
//! # Several servers, one store
//!
//! One [`ApiKeys`](crate::ApiKeys), one layer for each server. They share caches and limits: a key with
//! sixty requests a minute has sixty for all of them together.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use axum::{Router, body::Body, routing::post};
//! use http::Request;
//! use mcp_api_keys::framework::axum::around;
//! use mcp_api_keys::{ApiKeys, NewKey, store::MemoryStore};
//! use tower::ServiceExt;
//!
//! let keys = ApiKeys::builder(MemoryStore::new()).build().await?;
//! let files = Router::new().route("/mcp", post(|| async { "files" }));
//! let mail = Router::new().route("/mcp", post(|| async { "mail" }));
//!
//! // Below `/files` the path is `/mcp` again, and the template is written for that.
//! let files = around(keys.layer().server("files").path_keys("/mcp/{key}")?, files);
//! let mail = around(keys.layer().server("mail").path_keys("/mcp/{key}")?, mail);
//! let app = Router::new().nest_service("/files", files).nest_service("/mail", mail);
//!
//! let issued = keys.manager().issue(NewKey::named("ada").server("files")).await?;
//! let key = issued.key().expose_secret();
//! for (path, status) in [
//!     (format!("/files/mcp/{key}"), 200),
//!     (format!("/mail/mcp/{key}"), 403),
//!     ("/files/mcp".to_owned(), 401),
//! ] {
//!     let request = Request::post(path).body(Body::empty())?;
//!     assert_eq!(app.clone().oneshot(request).await?.status(), status);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Many nodes
//!
//! Several *processes* share a store: each has its own [`ApiKeys`](crate::ApiKeys) over it. On one machine
//! that may be a SQLite file; on several it is [`PostgresStore`](crate::store::PostgresStore):
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use mcp_api_keys::{ApiKeys, store::PostgresStore};
//!
//! let url = "postgres://gate@db.internal/keys?sslmode=verify-full";
//! let keys = ApiKeys::builder(PostgresStore::connect(url).await?).build().await?;
//! # let _ = keys;
//! # Ok(())
//! # }
//! ```
//!
//! * **They learn of each other's changes** within the bounds of
//!   [threats](super::threats#how-soon-a-change-holds): in PostgreSQL within milliseconds, and otherwise at the
//!   next poll.
//! * **Count the connections.** A node takes up to twelve: ten for lookups and writes, one for the change log,
//!   one that listens. `max_connections` of the server has to allow for all nodes.
//! * **Behind PgBouncer in transaction mode**, version 1.21 or newer, set `max_prepared_statements` and
//!   `ignore_startup_parameters = options`. An older one (Debian 12 has 1.18) loses statements, and a store
//!   says so when it is opened. Notifications do not pass, which the node logs at its start: hear of changes
//!   [over Redis](many_nodes#word-over-redis), or shorten
//!   [`poll_interval`](crate::ApiKeysBuilder::poll_interval) if two seconds are too long.
//! * **Lists are answered from indexes**, without any extension. What is tried key by key: keys that are idle,
//!   and names by a text of less than three characters (0.1 s with 100,000 keys). The first start with this
//!   version makes the indexes, two seconds for 100,000 keys, during which nobody writes.
//! * **The tables are made at the first start**, by a user who may create tables. Afterwards a user with
//!   `SELECT`, `INSERT`, `UPDATE` and `DELETE` on them is enough, until a version of this crate brings new
//!   tables. Processes that start together wait for each other.
//! * **Connect to the primary.** A replica may be behind by any time; a node says that the store is unavailable
//!   rather than trust one.
//! * **Rate limits** are counted by each node for itself; quotas are counted in the store, by all together.
//!
//! [Many nodes behind a load balancer](many_nodes) goes on from here.
//!
//! # A scope on a single route
//!
//! ```
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use axum::{Router, routing::{get, post}};
//! use mcp_api_keys::layer::RequireScopeLayer;
//! use mcp_api_keys::{ApiKeys, store::MemoryStore};
//!
//! let keys = ApiKeys::builder(MemoryStore::new()).build().await?;
//! let app: Router = Router::new()
//!     .route("/notes", post(|| async { "written" }))
//!     .route_layer(RequireScopeLayer::new("notes:write")?)
//!     .route("/notes/all", get(|| async { "read" }))
//!     .layer(keys.layer().server("notes"));
//! # let _ = app;
//! # Ok(())
//! # }
//! ```
//!
//! The key layer stands outside, so by the time a scope is missing the request has been counted. Where a
//! refused request must spend nothing, ask on the key layer itself. In a handler or tool,
//! [`has_scope`](crate::KeyContext::has_scope) asks:
//!
//! ```
//! use mcp_api_keys::{KeyContext, key::Scope};
//!
//! fn may_write(key: &KeyContext, scope: &Scope) -> bool {
//!     key.has_scope(scope)
//! }
//! ```
//!
//! # A policy of your own
//!
//! A rule over what is known of key and request. It runs on every request, sometimes twice for one, so it
//! must be quick, must not block, and must not count.
//!
//! ```
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use mcp_api_keys::policy::{Facts, Policy};
//! use mcp_api_keys::{ApiKeys, Rejection, store::MemoryStore};
//!
//! /// Keys marked as of the staging environment do nothing here.
//! #[derive(Debug)]
//! struct ProductionOnly;
//!
//! impl Policy for ProductionOnly {
//!     fn check(&self, facts: &Facts<'_>) -> Result<(), Rejection> {
//!         match facts.key().metadata.get("environment").map(String::as_str) {
//!             Some("staging") => Err(Rejection::by_policy("wrong_environment", "This is production")),
//!             _ => Ok(()),
//!         }
//!     }
//! }
//!
//! let keys = ApiKeys::builder(MemoryStore::new()).build().await?;
//! let layer = keys.layer().server("files").policy(ProductionOnly);
//! # let _ = layer;
//! # Ok(())
//! # }
//! ```
//!
//! The caller sees 403 with `"code":"wrong_environment"`. [`Facts::head`](crate::policy::Facts::head) still
//! holds the credential: do not log it.
//!
//! # Signed requests
//!
//! Read first [what a signature gives](super::threats#what-a-signature-gives), and what it does not: the
//! key travels in the same request, so TLS is needed as before.
//!
//! The server puts a [`SignedRequestLayer`](crate::SignedRequestLayer) inside the key layer;
//! [`with_signing`](crate::ApiKeyLayer::with_signing) puts it in its place:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use axum::{Router, routing::post};
//! use mcp_api_keys::signing::MemoryReplayGuard;
//! use mcp_api_keys::{ApiKeys, SignedRequestLayer, store::MemoryStore};
//!
//! let keys = ApiKeys::builder(MemoryStore::new()).build().await?;
//! let signing = SignedRequestLayer::required().replay_guard(MemoryReplayGuard::new());
//! let layer = keys.layer().server("files").with_signing(signing);
//! let app: Router = Router::new().route("/mcp", post(|| async { "pong" })).layer(layer);
//! # let _ = app;
//! # Ok(())
//! # }
//! ```
//!
//! [`optional`](crate::SignedRequestLayer::optional) lets unsigned requests pass too; a handler then sees
//! by [`Signed`](crate::signing::Signed) in the extensions which kind it has. To put another layer between
//! the two, stack them by hand:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # use mcp_api_keys::{ApiKeys, SignedRequestLayer, store::MemoryStore};
//! # let keys = ApiKeys::builder(MemoryStore::new()).build().await?;
//! let stack = tower::ServiceBuilder::new()
//!     .layer(keys.layer().server("files").signed_requests()) // hands the key on
//!     .concurrency_limit(100)
//!     .layer(SignedRequestLayer::optional()); // and this takes it out
//! # let _ = stack;
//! # Ok(())
//! # }
//! ```
//!
//! Around an axum router, for keys in the path, it is
//! `Router::new().fallback_service(layer.layer(router))`.
//!
//! A client in Rust uses [`Signer`](crate::signing::Signer); the example `signed_client` is one. In any
//! other language it is a few lines. In Python, without any package:
//!
//! ```python
//! timestamp = str(int(time.time()))
//! message = f"{timestamp}.{body}".encode()
//! headers = {
//!     "Authorization": f"Bearer {api_key}",
//!     "X-MCP-Timestamp": timestamp,
//!     "X-MCP-Signature": hmac.new(api_key.encode(), message, hashlib.sha256).hexdigest(),
//! }
//! ```
//!
//! Three things go wrong in practice. The body that is signed must be the bytes that are sent: sign the
//! text, not the object. A key from `echo` ends in a newline that is not part of it. And with a replay
//! guard a retry has to be signed anew, in another second than the first try or with another body.
//!
//! # A store of your own
//!
//! Implement [`KeyStore`](crate::store::KeyStore). Its contract is six sentences, and the suite in
//! `testing::store` (feature `testing`) has a test for each promise; `examples/custom_store.rs` is a whole
//! one, in one file.
//!
//! ```
//! use mcp_api_keys::store::MemoryStore;
//! use mcp_api_keys::testing::store;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! // In your tests, with your store:
//! store::run_all(|| async { MemoryStore::new() }).await;
//! # }
//! ```
//!
//! What is easily got wrong: a handle belongs to one key at most; a revision is taken in the same
//! transaction as its change, so that nobody reads revision 8 before revision 7 is there; and a store that
//! cannot answer says `Unavailable`, never "not found". To see how the rest behaves when it does,
//! `testing::FaultyStore` fails, hangs and panics on command.
//!
//! # A pepper, and a new one
//!
//! At least 32 random bytes, kept where the store is not: in the environment, in a secret manager.
//!
//! ```
//! # async fn example(november: &[u8], december: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
//! use mcp_api_keys::{ApiKeys, Pepper, store::MemoryStore};
//!
//! let keys = ApiKeys::builder(MemoryStore::new())
//!     .pepper(Pepper::new("2026-12", december)?)
//!     .previous_pepper(Pepper::new("2026-11", november)?)
//!     .build()
//!     .await?;
//! # let _ = keys;
//! # Ok(())
//! # }
//! ```
//!
//! To change it, make the new one current under a **new name** and keep the old one as a previous one. A
//! key is moved over when it is verified the next time by a process that does not remember it, so after a
//! restart or two the old one can go. A key that was not seen in between is verified by its slow hash, once.
//! Nothing is lost with a lost pepper but speed.
//!
//! Give each secret a name of its own. Another secret under a former name is told apart by a check stored
//! with the code, and costs the slow hash once a key, as any pepper does that is not at hand.
//!
//! # Moving to another key format
//!
//! Issue the new one, go on accepting the old one, and rotate key by key with
//! [`rotate_in`](crate::KeyManager::rotate_in), which writes the new secret in the format it is given; id,
//! rights and limits stay. A plain [`rotate`](crate::KeyManager::rotate) writes it as the old one was.
//!
//! ```
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use mcp_api_keys::{ApiKeys, KeyFormat, store::MemoryStore};
//!
//! let keys = ApiKeys::builder(MemoryStore::new())
//!     .format(KeyFormat::new("acme_")?)
//!     .accept_format(KeyFormat::default()) // the `mcp_sk_` keys that are out there
//!     .build()
//!     .await?;
//! # let _ = keys;
//! # Ok(())
//! # }
//! ```
//!
//! # Bring keys from another system
//!
//! Its users go on with the keys they have, and nobody needs the keys themselves: handle and hash are
//! enough. The hash must be that of the whole key text, as `$argon2id$…`, as bcrypt, or as
//! `sha256:` and the digest in hexadecimal or base64; [`import`](crate::KeyManager::import) has the bounds.
//! The handle is the 8 letters or digits that follow the prefix. A system that has not kept them cannot be
//! imported from: its keys cannot be found by their hashes.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use mcp_api_keys::{ApiKeys, ErrorKind, ImportKey, KeyFormat, Pepper, store::MemoryStore};
//!
//! let keys = ApiKeys::builder(MemoryStore::new())
//!     .accept_format(KeyFormat::new("mgw_")?.without_checksum()) // how the old keys are written
//!     .pepper(Pepper::new("2026-11", &[7; 32])?) // 32 random bytes, in earnest
//!     .build()
//!     .await?;
//!
//! let lines = r#"
//! {"name":"ci","handle":"Ab12Cd34","servers":["files"],"scopes":["files:*"],"hash":"sha256:ou6eHTgYZLLai2OiL3eBeNXKr4lRFDsWJ4gl+hSZDuw="}
//! {"name":"ada","handle":"Ef56Gh78","servers":"all","owner":"ada","hash":"$2b$05$.YVzajYc9RzE3Mx3ZDyQj.9PGee3ADPdHYqP4WmZnEN6Wt6luisom"}
//! "#;
//! for line in lines.trim().lines() {
//!     let key: ImportKey = serde_json::from_str(line)?; // a fault names its field
//!     match keys.manager().import(key).await {
//!         Err(error) if error.kind() == ErrorKind::Conflict => println!("{error}"), // done before
//!         imported => println!("{}", imported?.masked),
//!     }
//! }
//! # assert_eq!(keys.manager().get_by_handle("Ef56Gh78").await?.owner, Some("ada".parse()?));
//! # Ok(())
//! # }
//! ```
//!
//! Running it again imports what is missing and reports the rest. A key that was presented in vain a moment
//! ago works at once in the process that imports it; another process follows within about five seconds.
//!
//! bcrypt and SHA-256 give way to Argon2id when a key is first used. Then move on to keys that were made
//! here, for [an imported key stays as weak as it came](super::threats#imported-keys):
//!
//! 1. Issue a new key with the same rights, beside the old one.
//! 2. Move the services one by one. Both keys work.
//! 3. Give the old key a short expiry, with [`update`](crate::KeyManager::update). Whoever was forgotten is
//!    told that the key has expired, and the expiry can be moved again.
//! 4. When nobody has called, [`revoke`](crate::KeyManager::revoke) it.
//!
//! Where one holder has to change one key, [`rotate_with`](crate::KeyManager::rotate_with) a grace window
//! is shorter: rights, limits and id stay.
//!
//! # Telling secret scanners
//!
//! ```
//! use mcp_api_keys::KeyFormat;
//!
//! let format = KeyFormat::new("acme_")?;
//! assert_eq!(format.scanner_pattern(), r"\bacme_[0-9A-Za-z]{38}\b");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! For gitleaks, in `.gitleaks.toml`:
//!
//! ```toml
//! [[rules]]
//! id = "acme-api-key"
//! description = "An API key of Acme"
//! regex = '''\bacme_[0-9A-Za-z]{38}\b'''
//! keywords = ["acme_"]
//! ```
//!
//! On GitHub the same expression goes into a custom pattern of secret scanning. Of keys with a checksum a
//! scanner can verify its finds: the last six characters are the CRC-32 of everything before them, in base
//! 62 with the digits `0-9A-Za-z`, padded with `0`.
//!
//! When a find is reported, [`get_by_handle`](crate::KeyManager::get_by_handle) tells whose key it is, from
//! the eight characters after the prefix.
//!
//! # Browsers and CORS
//!
//! A browser asks for permission before it sends a key, and that request has none. `CorsLayer` goes outside,
//! which is below in a chain of `layer` calls. Expose what clients want to read:
//!
//! ```text
//! let cors = CorsLayer::new()
//!     .allow_origin(origin)
//!     .allow_methods([Method::GET, Method::POST, Method::DELETE])
//!     .allow_headers([AUTHORIZATION, CONTENT_TYPE, MCP_PROTOCOL_VERSION, MCP_SESSION_ID])
//!     .expose_headers([WWW_AUTHENTICATE, RETRY_AFTER, MCP_SESSION_ID]);
//! let app = router.layer(keys.layer().server("files")).layer(cors);
//! ```
//!
//! # Without a framework
//!
//! Any service over `http::Request` that can be cloned:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::convert::Infallible;
//! use std::net::SocketAddr;
//!
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use mcp_api_keys::client_ip::PeerAddr;
//! use mcp_api_keys::{ApiKeys, KeyContext, NewKey, store::MemoryStore};
//! use tower::{Layer, ServiceExt, service_fn};
//!
//! let keys = ApiKeys::builder(MemoryStore::new()).build().await?;
//! let hello = service_fn(|request: Request<Full<Bytes>>| async move {
//!     let name = request.extensions().get::<KeyContext>().map_or("nobody", KeyContext::name);
//!     Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(format!("hello, {name}")))))
//! });
//! let service = keys.layer().server("files").layer(hello);
//!
//! let new = NewKey::named("ada").server("files").allow_from("203.0.113.0/24".parse()?);
//! let issued = keys.manager().issue(new).await?;
//! let mut request = Request::new(Full::default());
//! request.headers_mut().insert("x-api-key", issued.key().expose_secret().parse()?);
//!
//! // A server on bare hyper says, for each request, where the connection came from.
//! request.extensions_mut().insert(PeerAddr(SocketAddr::from(([203, 0, 113, 7], 50_000))));
//! assert_eq!(service.oneshot(request).await?.status(), 200);
//! # Ok(())
//! # }
//! ```
//!
//! # Without tower
//!
//! The [`Gate`](crate::Gate) decides on a request's head, and is all that the layer asks:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use mcp_api_keys::{ApiKeys, KeyContext, NewKey, RejectionKind, store::MemoryStore};
//!
//! let keys = ApiKeys::builder(MemoryStore::new()).build().await?;
//! let gate = keys.layer().server("files").gate().clone();
//!
//! let issued = keys.manager().issue(NewKey::named("ada").server("files")).await?;
//! let request = http::Request::builder().header("x-api-key", issued.key().expose_secret()).body(())?;
//! let (mut head, ()) = request.into_parts();
//!
//! let permit = gate.admit(&mut head).await?;
//! assert!(permit.limit().is_none());
//! assert!(head.headers.is_empty());
//! assert_eq!(head.extensions.get::<KeyContext>().map(KeyContext::name), Some("ada"));
//!
//! let (mut head, ()) = http::Request::new(()).into_parts();
//! let rejection = gate.admit(&mut head).await.unwrap_err();
//! assert_eq!(rejection.kind(), RejectionKind::Missing);
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "admin")]
#[cfg_attr(docsrs, doc(cfg(feature = "admin")))]
pub mod admin;
#[cfg(feature = "admin")]
#[cfg_attr(docsrs, doc(cfg(feature = "admin")))]
pub mod admin_page;
#[cfg(all(feature = "oauth", any(not(doctest), feature = "rmcp")))]
#[cfg_attr(docsrs, doc(cfg(feature = "oauth")))]
pub mod connect;
pub mod many_nodes;
pub mod observe;
pub mod owners;
#[cfg(feature = "redis")]
pub mod shared_limits;
pub mod usage;
