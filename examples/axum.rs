//! Routes of an axum app behind one key layer, with a further scope for one of them.
//!
//! ```text
//! cargo run --example axum --features axum -- [--listen 127.0.0.1:0]
//! ```
//!
//! The same routes stand there twice: under `/files` for clients that send their key in a header,
//! and under `/by-key/{key}/files` for clients that can be given a URL and nothing else. `/health`
//! is open to everybody.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::net::SocketAddr;
use std::process::ExitCode;

use axum::Router;
use axum::routing::{get, post};
use mcp_api_keys::framework::axum::around;
use mcp_api_keys::store::MemoryStore;
use mcp_api_keys::{ApiKeys, KeyContext, NewKey, RateLimit, RequireScopeLayer};

type AnyError = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> ExitCode {
    let listen = match listen_address(std::env::args().skip(1)) {
        Ok(address) => address,
        Err(problem) => {
            eprintln!("{problem}\nusage: axum [--listen ADDR]");
            return ExitCode::from(2);
        }
    };
    match serve(listen).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("axum: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(listen: SocketAddr) -> Result<(), AnyError> {
    let keys = ApiKeys::builder(MemoryStore::new()).build().await?;
    let app = app(&keys)?;
    let listener = tokio::net::TcpListener::bind(listen).await?;
    let address = listener.local_addr()?;

    let reader = NewKey::named("reader")
        .server("files")
        .scope("files:read")?
        .rate(RateLimit::per_minute(60));
    let writer = NewKey::named("writer").server("files").scope("files:*")?;
    let reader = keys.manager().issue(reader).await?;
    let writer = keys.manager().issue(writer).await?;
    announce(
        address,
        reader.key().expose_secret(),
        writer.key().expose_secret(),
    );

    // With the peer's address, keys can be tied to networks and failures counted by address.
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, app)
        .with_graceful_shutdown(async {
            let _ = tokio::signal::ctrl_c().await;
        })
        .await?;
    Ok(())
}

fn app(keys: &ApiKeys) -> Result<Router, AnyError> {
    let layer = keys
        .layer()
        .server("files")
        .require_scope("files:read")?
        .legacy_rate_limit_headers(true);
    let write = post(write).layer(RequireScopeLayer::new("files:write")?);
    let files = Router::new().route("/files", get(list).merge(write));

    // Keys in headers: a layer like any other.
    let by_header = files.clone().layer(layer.clone());

    // Keys in the path: around the router, which then routes `/by-key/files`. It is also asked
    // about every path that is no route, so that nobody without a key learns which are.
    let layer = layer.path_keys("/by-key/{key}")?;
    let by_path = around(layer, Router::new().nest("/by-key", files));

    let open = Router::new().route("/health", get(|| async { "fine\n" }));
    Ok(open.merge(by_header).merge(by_path))
}

async fn list(key: KeyContext) -> String {
    format!("{} may read, by {:?}\n", key.name(), key.carrier())
}

async fn write(key: KeyContext, text: String) -> String {
    format!("{} wrote {} bytes\n", key.name(), text.len())
}

fn announce(address: SocketAddr, reader: &str, writer: &str) {
    println!("listening http://{address}");
    println!("reader {reader}");
    println!("writer {writer}");
    println!();
    println!("The keys are shown this once. Try them:");
    println!("curl -i http://{address}/files -H 'Authorization: Bearer {reader}'");
    println!("curl -i http://{address}/files -H 'X-API-Key: {writer}' -d 'some text'");
    println!("curl -i http://{address}/by-key/{reader}/files");
}

fn listen_address(mut words: impl Iterator<Item = String>) -> Result<SocketAddr, String> {
    let mut address = SocketAddr::from(([127, 0, 0, 1], 0));
    while let Some(word) = words.next() {
        if word != "--listen" {
            return Err(format!("unknown option {word}"));
        }
        address = words
            .next()
            .and_then(|value| value.parse().ok())
            .ok_or("--listen needs an address such as 127.0.0.1:8080")?;
    }
    Ok(address)
}
