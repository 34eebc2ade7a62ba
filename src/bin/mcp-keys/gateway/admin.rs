//! The admin page on a listener of its own.

use std::io::Write;
use std::net::SocketAddr;

use mcp_api_keys::ApiKeys;
use mcp_api_keys::admin::AdminPage;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

use super::Error;
use super::setting::Setting;

/// The page for as long as it is held.
#[derive(Debug)]
pub(super) struct Admin(AbortHandle);

impl Drop for Admin {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Serves the page at `address`, and says where.
pub(super) async fn start(address: Setting<SocketAddr>, keys: &ApiKeys) -> Result<Admin, Error> {
    let cannot = |error| {
        let what = format!("{}: cannot listen on {}", address.name, address.value);
        Error::failed(what, error)
    };
    let listener = TcpListener::bind(address.value).await.map_err(cannot)?;
    let local = listener.local_addr().map_err(cannot)?;
    let page = AdminPage::new(keys).into_router();
    let service = page.into_make_service_with_connect_info::<SocketAddr>();
    let serving = tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, service).await {
            tracing::error!(%error, "the admin page is no longer served");
        }
    });
    if !local.ip().to_canonical().is_loopback() {
        tracing::warn!(
            "the admin page is served without TLS at {local}, which is no loopback address"
        );
    }
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "admin http://{local}").and_then(|()| out.flush());
    Ok(Admin(serving.abort_handle()))
}
