//! Managing keys over HTTP.
//!
//! * [In an axum app](#in-an-axum-app)
//! * [Beside the gateway](#beside-the-gateway)
//! * [The first key](#the-first-key)
//! * [Keys for members](#keys-for-members)
//! * [Seeing to alerts](#seeing-to-alerts)
//! * [Changing what was read](#changing-what-was-read)
//! * [Sending a create again](#sending-a-create-again)
//! * [From a page in a browser](#from-a-page-in-a-browser)
//!
//! # In an axum app
//!
//! [`AdminApi`](crate::admin::AdminApi) (feature `admin`) is a router. It asks for a key itself, so no
//! layer goes around it; nest it where it is to be. The document under `openapi.json` tells every path, every
//! body and every answer, and the scope that each path needs.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use axum::{Router, routing::post};
//! use mcp_api_keys::{ApiKeys, admin::AdminApi, store::MemoryStore};
//!
//! let keys = ApiKeys::builder(MemoryStore::new()).build().await?;
//! let app: Router = Router::new()
//!     .route("/mcp", post(|| async { "pong" }))
//!     .layer(keys.layer().server("files"))
//!     .nest("/api/v1", AdminApi::new(&keys).into_router());
//! # let _ = app;
//! # Ok(())
//! # }
//! ```
//!
//! The answers that make a key hold it in clear: serve the API over TLS, or on a loopback address. Keys that
//! manage others should be few, have [networks](crate::key::NetworkRules) and end.
//!
//! # Beside the gateway
//!
//! ```text
//! mcp-keys serve --listen 0.0.0.0:8080 --route files=http://127.0.0.1:9000 --admin-listen 8081
//! ```
//!
//! prints `admin http://127.0.0.1:8081` as well, and serves the API there under `/api/v1`. A port alone is on
//! the loopback address; `--admin-listen 10.0.0.5:8081` is another. With `--tls-cert` and `--tls-key` it
//! speaks TLS as the gateway does. `/healthz` answers without a key, and
//! `/metrics` answers to keys with the scope `metrics:read`.
//!
//! # The first key
//!
//! The command line works on the store itself, and so needs none:
//!
//! ```text
//! mcp-keys bootstrap root                               # an admin, and a key of theirs for everything
//! mcp-keys create --name office --scope 'keys:*'        # or a key of nobody's that manages keys
//! ```
//!
//! Nobody gives more than the key has that they act by. So `office` makes keys without servers and without
//! other scopes, and withdraws any; to make keys for servers it needs these itself, as with
//! `--all-servers --scope '*'`.
//!
//! ```text
//! curl -H "Authorization: Bearer $KEY" http://127.0.0.1:8081/api/v1/me
//! curl -H "Authorization: Bearer $KEY" -H 'Content-Type: application/json' \
//!      -d '{"name":"ci-bot","owner":"ada","servers":["files"],"scopes":["files:read"],"expires_in":2592000}' \
//!      http://127.0.0.1:8081/api/v1/keys
//! ```
//!
//! A bare `*` counts here only in a key for all servers. A key for one server that is given `*` may do
//! everything *there*, as a server's default key may, and nothing here.
//!
//! # Keys for members
//!
//! Whoever has a key may ask `/me` who they are, end it at `/me/revoke`, and unless it is read-only rotate it at
//! `/me/rotate`. With `keys:read` and `keys:write` a member manages their own keys and learns nothing of others'.
//! Their owner has to have these scopes too: no key reaches further than its owner.
//!
//! ```text
//! mcp-keys owner set ada --server files --scope 'files:*' --scope keys:read --scope keys:write
//! mcp-keys create --name self-service --owner ada --scope keys:read --scope keys:write
//! ```
//!
//! `keys:admin` lets a key act on all keys, if its owner is an admin at that moment, or if it has no owner.
//! Without it, an admin's key manages the admin's own.
//!
//! Members switch their keys off and on. What an admin has switched off, only an admin switches on; its owner
//! can still revoke or delete it.
//!
//! # Seeing to alerts
//!
//! Where alerts are kept, `GET /alerts` lists them, the open ones first, to keys with `alerts:read`: all of them to
//! an admin, those about their own keys to a member. `POST /alerts/{id}/{rule}/acknowledge` notes who has seen
//! to one (`alerts:write`). `GET /webhooks/dead-letters` lists the messages of webhooks
//! that were given up (`alerts:read`, to admins).
//!
//! ```text
//! curl -H "Authorization: Bearer $KEY" 'http://127.0.0.1:8081/api/v1/alerts?state=open&limit=20'
//! ```
//!
//! # Changing what was read
//!
//! Keys, owners and plans come with an `ETag`. Send it back in `If-Match`, and the change is made only if nobody
//! was faster; else the answer is 412, and nothing has changed. `If-None-Match: *` defines an owner or a plan only
//! if there is none.
//!
//! # Sending a create again
//!
//! When the answer to a create got lost, nobody holds the new key. Name the create in `Idempotency-Key`, and
//! send the same again: for ten minutes the answer is the same, with the key, and for a day after the first it is a
//! 409 that names the key, which can be rotated then. One process knows of its own creates; nothing of this
//! is stored.
//!
//! # From a page in a browser
//!
//! The API reads no cookie, so a page has to have a key. Pages of another origin than the API's are refused by
//! `Origin` and `Sec-Fetch-Site`, unless they are
//! [allowed](crate::admin::AdminApi::allow_origin); then a CORS layer belongs around the router as well, as for
//! [every layer](crate::manual::how_to#browsers-and-cors).
