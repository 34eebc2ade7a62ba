//! A client that signs its requests, and a server that wants them signed.
//!
//! ```text
//! cargo run --example signed_client
//! cargo run --example signed_client -- --listen 127.0.0.1:0
//! ```
//!
//! Without an option it plays both parts and ends. With `--listen` it is the server alone, until it
//! is stopped.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::net::SocketAddr;
use std::process::ExitCode;

use axum::routing::any;
use axum::{Extension, Router};
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use mcp_api_keys::signing::{MemoryReplayGuard, Signer};
use mcp_api_keys::store::MemoryStore;
use mcp_api_keys::{ApiKeys, Clock, KeyContext, NewKey, SignedRequestLayer, SystemClock};
use tokio::net::TcpListener;

type AnyError = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> ExitCode {
    let listen = match listen_address(std::env::args().skip(1)) {
        Ok(listen) => listen,
        Err(problem) => {
            eprintln!("{problem}\nusage: signed_client [--listen ADDR]");
            return ExitCode::from(2);
        }
    };
    match run(listen).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("signed_client: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(listen: Option<SocketAddr>) -> Result<(), AnyError> {
    let keys = ApiKeys::builder(MemoryStore::new()).build().await?;
    let signing = SignedRequestLayer::required().replay_guard(MemoryReplayGuard::new());
    let layer = keys.layer().server("files").with_signing(signing);
    let app = Router::new().route("/", any(repeat)).layer(layer);

    let address = listen.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 0)));
    let listener = TcpListener::bind(address).await?;
    let url = format!("http://{}/", listener.local_addr()?);
    let issued = keys
        .manager()
        .issue(NewKey::named("ci-bot").server("files"));
    let issued = issued.await?;
    let key = issued.key().expose_secret();

    let server = tokio::spawn(async { axum::serve(listener, app).await });
    if listen.is_some() {
        println!("listening {url}");
        println!("key {key}");
        tokio::select! {
            ended = server => ended??,
            stopped = tokio::signal::ctrl_c() => stopped?,
        }
        return Ok(());
    }
    demonstrate(&url, key).await?;
    server.abort();
    Ok(())
}

/// What stands behind the layer: says who called, and with what.
async fn repeat(Extension(key): Extension<KeyContext>, body: String) -> String {
    format!("{} sent {body}", key.name())
}

async fn demonstrate(url: &str, key: &str) -> Result<(), AnyError> {
    let client = Client::builder(TokioExecutor::new()).build_http();
    let signer = Signer::new(key);
    let body = r#"{"path":"/notes","text":"hello"}"#;

    // The same key twice: in clear in `Authorization`, and in the code over time and body.
    let mut signed = Request::post(url).header("authorization", format!("Bearer {key}"));
    let unsigned = signed.headers_ref().cloned().unwrap_or_default();
    let signature = signer.sign(SystemClock::new().now().wall, body.as_bytes());
    if let Some(headers) = signed.headers_mut() {
        signature.set(headers);
    }
    let signed = signed.body(())?;

    let with = |body: &'static str| signed.clone().map(|()| body);
    let mut without = with(body);
    *without.headers_mut() = unsigned;
    for (what, request) in [
        (
            "body changed",
            with(r#"{"path":"/notes","text":"goodbye"}"#),
        ),
        ("signed", with(body)),
        ("sent again", with(body)),
        ("not signed", without),
    ] {
        let (status, answer) = send(&client, request).await?;
        println!("{what}: {status} {answer}");
    }
    Ok(())
}

async fn send(
    client: &Client<HttpConnector, Full<Bytes>>,
    request: Request<&'static str>,
) -> Result<(StatusCode, String), AnyError> {
    let response = client.request(request.map(Full::from)).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    Ok((status, String::from_utf8(body.into())?))
}

fn listen_address(mut words: impl Iterator<Item = String>) -> Result<Option<SocketAddr>, String> {
    let mut address = None;
    while let Some(word) = words.next() {
        if word != "--listen" {
            return Err(format!("unknown option {word}"));
        }
        let value = words.next().and_then(|value| value.parse().ok());
        address = Some(value.ok_or("--listen needs an address such as 127.0.0.1:8080")?);
    }
    Ok(address)
}
