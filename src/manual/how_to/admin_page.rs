//! A page to manage keys with (feature `admin`).
//!
//! * [Serve it](#serve-it)
//! * [Who gets in](#who-gets-in)
//! * [Behind a proxy](#behind-a-proxy)
//! * [Sessions](#sessions)
//! * [What it does and does not load](#what-it-does-and-does-not-load)
//!
//! # Serve it
//!
//! [`AdminPage`](crate::admin::AdminPage) is an axum router, to be nested wherever you like. The first
//! admin's key is made once, and is all that somebody needs to sign in:
//!
//! ```
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::net::SocketAddr;
//!
//! use axum::Router;
//! use mcp_api_keys::{ApiKeys, admin::AdminPage, store::MemoryStore};
//!
//! let keys = ApiKeys::builder(MemoryStore::new()).build().await?;
//! if let Some(first) = keys.manager().bootstrap("ada".parse()?).await? {
//!     println!("sign in with {}", first.key().expose_secret());
//! }
//!
//! let app = Router::new().nest("/admin", AdminPage::new(&keys).into_router());
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:8081").await?;
//! axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await?;
//! # Ok(())
//! # }
//! ```
//!
//! The page shares the process's [`ApiKeys`](crate::ApiKeys), so what is done on it holds for the next
//! request here. It goes *beside* the key layer, not behind it: it asks for a key itself.
//!
//! The gateway serves it with `mcp-keys serve … --admin-listen 127.0.0.1:8081`, and the first key comes
//! from `mcp-keys bootstrap ada`.
//!
//! # Who gets in
//!
//! Whoever signs in presents a key, and acts as its owner within what the key itself may do:
//!
//! | the key | manages |
//! |---|---|
//! | holds `keys:admin`, and its owner is an admin, or it has none | all keys |
//! | has an owner, otherwise | the keys of its owner |
//! | has no owner, otherwise | nothing: it does not get in |
//!
//! Each part of the page takes a scope: `keys:read` to get in at all, `keys:write` to make, change, renew,
//! revoke and delete keys, `owners:read` and `owners:write`, `plans:read` and `plans:write`, `audit:read`,
//! `usage:read`, `alerts:read` and `alerts:write`. What changes anything takes a key with full access, too.
//! A bare `*` stands for all of these in a key for all servers only: keys for one server are given it for
//! the sake of that server.
//!
//! A member who is to manage their own keys needs these scopes as an [owner](super::owners), and a key with
//! them:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use mcp_api_keys::key::Owner;
//! use mcp_api_keys::{ApiKeys, NewKey, store::MemoryStore};
//!
//! let keys = ApiKeys::builder(MemoryStore::new()).build().await?;
//! let mut bob = Owner::member("bob".parse()?).server("files".parse()?);
//! for scope in ["files:*", "keys:read", "keys:write"] {
//!     bob = bob.scope(scope.parse()?);
//! }
//! keys.manager().put_owner(bob).await?;
//!
//! let new = NewKey::named("bob's page").owner("bob").server("files");
//! let new = new.scope("keys:read")?.scope("keys:write")?.scope("files:*")?;
//! let issued = keys.manager().issue(new).await?;
//! println!("bob signs in with {}", issued.key().expose_secret());
//! # Ok(())
//! # }
//! ```
//!
//! Whatever they make there stays within that key: its servers, scopes, access, tools, addresses and expiry.
//! [`only_admins_change_keys`](crate::ApiKeysBuilder::only_admins_change_keys) lets members look and nothing
//! else, and [`members_plan`](crate::ApiKeysBuilder::members_plan) puts what they make on one plan.
//!
//! # Behind a proxy
//!
//! Over TLS the session's cookie is `Secure` and its name begins with `__Host-`. Behind a proxy that speaks
//! TLS in your place, the page believes its `X-Forwarded-Proto: https`, if it is one that
//! [`client_ip`](crate::ApiKeysBuilder::client_ip) trusts. Or say so once for all:
//! [`AdminPage::https`](crate::admin::AdminPage::https). The proxy has to pass on the name that the browser
//! asked for (`Host`), since forms are taken from that name only.
//!
//! Without TLS use the page on a loopback address only.
//!
//! # Sessions
//!
//! A session ends 30 minutes after its last request, 12 hours after it began, when somebody signs out, and
//! with the process. The key is not kept for it: what is kept is the proof that it was presented, and the key
//! is judged again at each request. So revoking, renewing, disabling or deleting a key, suspending its owner,
//! or narrowing where it may be used from, ends all its sessions at the next request, on other nodes within
//! their [polling interval](super::super::threats#how-soon-a-change-holds).
//!
//! Several processes each have sessions of their own: send a browser to the same one, or let people sign in
//! at one process only.
//!
//! Signing in counts as a use of the key and is charged to its limits; what is done afterwards is not. An
//! address that fails too often with keys that are not known is [not heard](crate::ApiKeysBuilder::failure_limit)
//! for a while, as everywhere else.
//!
//! # What it does and does not load
//!
//! Pages are made on the server. They need no script and no cookie but the one of the session; with script
//! there is a button that copies a new key. Style and script are one small file each, compiled in, and nothing
//! is asked of anybody else: the content policy of every answer forbids it.
