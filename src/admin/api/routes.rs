//! Which path leads where.

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};

use super::browser::{Origins, keep_out};
use super::fault::{PlainResponder, no_such_method, no_such_path};
use super::{
    Office, alerts, audit, bulk, connections, document, key_acts, keys, me, owners, plans, usage,
    webhooks,
};

pub(super) fn router(office: Arc<Office>, origins: Origins) -> Router {
    let layer = office.keys.layer().any_server();
    let layer = layer.responder(PlainResponder::default());
    let behind = Router::new()
        .route("/keys", get(keys::list).post(keys::create))
        .route("/keys/import", post(bulk::import))
        .route("/keys/revoke", post(bulk::revoke))
        .route("/keys/by-handle/{handle}", get(keys::find))
        .route(
            "/keys/{id}",
            get(keys::read).patch(keys::update).delete(keys::delete),
        )
        .route("/keys/{id}/enable", post(key_acts::enable))
        .route("/keys/{id}/disable", post(key_acts::disable))
        .route("/keys/{id}/rotate", post(key_acts::rotate))
        .route("/keys/{id}/end-grace", post(key_acts::end_grace))
        .route("/keys/{id}/revoke", post(key_acts::revoke))
        .route("/keys/{id}/last-use", get(usage::last))
        .route("/connections", get(connections::list))
        .route(
            "/connections/{id}/disconnect",
            post(connections::disconnect),
        )
        .route("/safety", get(connections::safety))
        .route("/owners", get(owners::list))
        .route(
            "/owners/{id}",
            get(owners::read).put(owners::define).delete(owners::remove),
        )
        .route("/owners/{id}/suspend", post(owners::suspend))
        .route("/owners/{id}/resume", post(owners::resume))
        .route("/plans", get(plans::list))
        .route(
            "/plans/{name}",
            get(plans::read).put(plans::define).delete(plans::remove),
        )
        .route("/audit", get(audit::read))
        .route("/alerts", get(alerts::list))
        .route("/alerts/{id}/{rule}/acknowledge", post(alerts::acknowledge))
        .route("/webhooks/dead-letters", get(webhooks::dead_letters))
        .route("/usage", get(usage::series))
        .route("/me", get(me::who))
        .route("/me/keys", get(me::keys))
        .route("/me/rotate", post(me::rotate))
        .route("/me/revoke", post(me::revoke))
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .with_state(office)
        .layer(layer);
    Router::new()
        .route("/openapi.json", get(document::serve))
        .method_not_allowed_fallback(no_such_method)
        .fallback_service(behind)
        .layer(from_fn_with_state(origins, keep_out))
}
