//! The key layer without any framework: a tower service on hyper, over HTTP/1.1 and HTTP/2.
//!
//! ```text
//! cargo run --example hyper -- [--listen 127.0.0.1:0]
//! ```

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::process::ExitCode;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use mcp_api_keys::client_ip::PeerAddr;
use mcp_api_keys::store::MemoryStore;
use mcp_api_keys::{ApiKeyLayer, ApiKeys, KeyContext, NewKey};
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceBuilder;

type AnyError = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> ExitCode {
    let listen = match listen_address(std::env::args().skip(1)) {
        Ok(address) => address,
        Err(problem) => {
            eprintln!("{problem}\nusage: hyper [--listen ADDR]");
            return ExitCode::from(2);
        }
    };
    match serve(listen).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hyper: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(listen: SocketAddr) -> Result<(), AnyError> {
    let keys = ApiKeys::builder(MemoryStore::new()).build().await?;
    let layer = keys.layer().server("greeter");
    let listener = TcpListener::bind(listen).await?;
    let address = listener.local_addr()?;

    // Good from this machine and nowhere else.
    let new = NewKey::named("local")
        .server("greeter")
        .allow_from("127.0.0.0/8".parse()?)
        .allow_from("::1".parse()?);
    let issued = keys.manager().issue(new).await?;
    announce(address, issued.key().expose_secret());

    loop {
        let (connection, peer) = tokio::select! {
            accepted = listener.accept() => accepted?,
            _ = tokio::signal::ctrl_c() => return Ok(()),
        };
        tokio::spawn(connect(connection, peer, layer.clone()));
    }
}

/// Serves one connection. Nothing but this tells the layer where it comes from.
async fn connect(connection: TcpStream, peer: SocketAddr, layer: ApiKeyLayer) {
    let service = ServiceBuilder::new()
        .map_request(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(PeerAddr(peer));
            request
        })
        .layer(layer)
        .service_fn(greet);
    let connection = auto::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(connection), TowerToHyperService::new(service))
        .await;
    if let Err(error) = connection {
        eprintln!("hyper: connection from {peer}: {error}");
    }
}

async fn greet(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let name = request
        .extensions()
        .get()
        .map_or("stranger", KeyContext::name);
    let text = format!("hello, {name}, over {:?}\n", request.version());
    Ok(Response::new(Full::from(text)))
}

fn announce(address: SocketAddr, key: &str) {
    println!("listening http://{address}");
    println!("key {key}");
    println!();
    println!("The key is shown this once. Try it:");
    println!("curl -i http://{address} -H 'Authorization: Bearer {key}'");
    println!("curl -i http://{address} -H 'Authorization: Bearer {key}' --http2-prior-knowledge");
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
