//! The page: keys, owners, plans and the trail, made on the server and usable without script.
//!
//! 1. Whoever signs in presents a key once. It goes through the same gate as any other request, its
//!    failures are counted by address, and it is not kept: a session holds the proof that it was
//!    presented. The session's id stands in a cookie that nothing but this page reads.
//! 2. Every request judges the key behind its session again. Once the key is revoked, replaced,
//!    disabled or expired, or its owner is suspended, or the request comes from where the key may
//!    not be used, the session is over.
//! 3. A session ends 30 minutes after its last request, and 12 hours after it began.
//! 4. Nothing is changed but by a POST that comes from the page itself: it carries the token of its
//!    session, and what the browser says of its origin must fit.
//! 5. A new secret is in one answer only, which is the answer to the form that asked for it. It
//!    never stands in a URL, and nothing the page serves may be kept by a cache.
//! 6. What people have written is text: the templates escape it, and the content policy of every
//!    answer allows no script but the page's own file.

mod acts;
mod alerts;
mod assets;
mod audit;
mod connections;
mod desk;
mod difference;
mod draft;
mod fields;
mod form;
mod form_fields;
mod guard;
mod key;
mod keys;
mod last_use;
mod letters;
mod notation;
mod notes;
mod owners;
mod parts;
mod plans;
mod plot;
mod problem;
mod rights;
mod safety;
mod secret;
mod shell;
mod sign_in;
mod submission;
mod times;
mod trail;
mod usage;
mod visit;

use std::sync::Arc;

use axum::Router;
use axum::middleware::map_response;
use axum::routing::{get, post};

use self::desk::Desk;
use crate::keys::ApiKeys;

/// A page to manage keys with, in a browser.
///
/// It can be nested anywhere: its links follow the place that it is served at.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use axum::{Router, body::Body};
/// use http::Request;
/// use mcp_api_keys::{ApiKeys, admin::AdminPage, store::MemoryStore};
/// use tower::ServiceExt;
///
/// let keys = ApiKeys::builder(MemoryStore::new()).build().await?;
/// if let Some(first) = keys.manager().bootstrap("ada".parse()?).await? {
///     println!("sign in with {}", first.key().expose_secret());
/// }
///
/// let app: Router = Router::new().nest("/admin", AdminPage::new(&keys).into_router());
///
/// let request = Request::get("/admin/sign-in").body(Body::empty())?;
/// assert_eq!(app.oneshot(request).await?.status(), 200);
/// # Ok(())
/// # }
/// ```
///
/// Serve it with the peer's address
/// (`into_make_service_with_connect_info::<SocketAddr>()`): sign-ins that fail are counted by it,
/// and keys with rules on addresses need it.
///
/// # TLS
///
/// Over TLS the session's cookie is `Secure` and has a name that begins with `__Host-`. The page
/// knows of TLS if it is told ([`https`](Self::https)), or by `X-Forwarded-Proto: https` from one
/// of the proxies that [`ApiKeysBuilder::client_ip`](crate::ApiKeysBuilder::client_ip) trusts.
/// Without TLS use it on a loopback address only.
#[derive(Clone, Debug)]
#[must_use]
pub struct AdminPage {
    keys: ApiKeys,
    https: bool,
}

impl AdminPage {
    /// The page for these keys.
    pub fn new(keys: &ApiKeys) -> Self {
        Self {
            keys: keys.clone(),
            https: false,
        }
    }

    /// Whether the page is reached over TLS, whatever a proxy says. Then its cookies are never sent
    /// without. Off by default.
    pub fn https(mut self, on: bool) -> Self {
        self.https = on;
        self
    }

    /// The page as a router, to be served or nested. Its sessions are its own: they are known to
    /// this router and its clones, and end with the process.
    pub fn into_router(self) -> Router {
        let desk = Arc::new(Desk::new(&self.keys, self.https));
        Router::new()
            .route("/", get(keys::front))
            .route("/assets/{name}", get(assets::asset))
            .route("/sign-in", get(sign_in::show).post(sign_in::submit))
            .route("/sign-out", post(sign_in::sign_out))
            .route("/keys", get(keys::list))
            .route("/keys/new", get(form::new).post(form::create))
            .route("/keys/{id}", get(key::show))
            .route("/keys/{id}/edit", get(form::edit).post(form::save))
            .route("/keys/{id}/renew", get(acts::ask_renew).post(acts::renew))
            .route("/keys/{id}/end-grace", post(acts::end_grace))
            .route("/keys/{id}/enable", post(acts::enable))
            .route("/keys/{id}/disable", post(acts::disable))
            .route(
                "/keys/{id}/revoke",
                get(acts::ask_revoke).post(acts::revoke),
            )
            .route(
                "/keys/{id}/delete",
                get(acts::ask_delete).post(acts::delete),
            )
            .route("/keys/{id}/disconnect", post(acts::disconnect))
            .route("/connections", get(connections::list))
            .route("/owners", get(owners::list))
            .route("/owners/edit", get(owners::edit).post(owners::save))
            .route("/owners/suspend", post(owners::suspend))
            .route("/owners/resume", post(owners::resume))
            .route("/owners/remove", post(owners::remove))
            .route("/plans", get(plans::list))
            .route("/plans/edit", get(plans::edit).post(plans::save))
            .route("/plans/remove", post(plans::remove))
            .route("/usage", get(usage::overview))
            .route("/alerts", get(alerts::list))
            .route("/alerts/acknowledge", post(alerts::acknowledge))
            .route("/audit", get(audit::list))
            .route("/safety", get(safety::list))
            .fallback(problem::no_such_page)
            .method_not_allowed_fallback(problem::no_such_method)
            .layer(map_response(guard::headers))
            .with_state(desk)
    }
}
