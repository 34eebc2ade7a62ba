//! The two ends of `end_to_end.sh`: a server on loopback, with and without the layer, and a client
//! for when neither wrk nor oha is installed.
//!
//! `--serve bare|ours --for SECONDS` prints a port and a key and ends by itself.
//! `--load PORT KEY --for SECONDS` prints requests a second and the 99th percentile of latency in
//! microseconds. Without either it does nothing, so that `cargo bench` passes over it.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    reason = "a measurement reads the time, prints, and stops at the first fault"
)]

mod support;

use std::convert::Infallible;
use std::future::ready;
use std::net::Ipv4Addr;
use std::time::Duration;

use axum::body::Body;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use mcp_api_keys::NewKey;
use mcp_api_keys::client_ip::PeerAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tower::{Layer, Service, ServiceExt, service_fn};

use support::measure::wall_nanos;
use support::ours::{ample, issue, telling_layer};
use support::report::Arguments;

/// Connections of the client.
const CONNECTIONS: usize = 32;

fn main() {
    let mut arguments = Arguments::read();
    let seconds = arguments.number("--for").unwrap_or(10) as u64;
    let words = arguments.rest();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let limit = Duration::from_secs(seconds);
    match *words {
        ["--serve", which] => {
            let _ = runtime.block_on(async { timeout(limit, serve(which == "ours")).await });
        }
        ["--load", port, key] => {
            let port = port.parse().expect("a port");
            runtime.block_on(load(port, key.to_owned(), limit));
        }
        _ => println!("end_to_end is run by benches/end_to_end.sh"),
    }
}

async fn serve(with_layer: bool) {
    let key = || {
        NewKey::named("agent")
            .server("files")
            .scope("files:read")
            .expect("a scope")
            .allow_from("127.0.0.0/8".parse().expect("a network"))
            .rate(ample("requests"))
    };
    let issued = issue(1, key).await;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
    let listener = listener.expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    println!("{port} {}", issued.texts[0]);
    let hello = service_fn(|_: Request<Incoming>| {
        let answer = Response::new(Body::from("hello, world\n"));
        ready(Ok::<_, Infallible>(answer))
    });
    if with_layer {
        accept(listener, telling_layer(&issued.keys).layer(hello)).await;
    } else {
        accept(listener, hello).await;
    }
}

/// Serves HTTP/1.1. The peer's address stands in the extensions in either case, as frameworks put it
/// there.
async fn accept<S, B>(listener: TcpListener, service: S)
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
    B: http_body::Body<Data: Send, Error: Into<tower::BoxError>> + Send + 'static,
{
    loop {
        let (stream, peer) = listener.accept().await.expect("a connection");
        stream.set_nodelay(true).expect("TCP");
        let service = service.clone().map_request(move |mut request: Request<_>| {
            request.extensions_mut().insert(PeerAddr(peer));
            request
        });
        tokio::spawn(async move {
            let service = TowerToHyperService::new(service);
            let connection = hyper::server::conn::http1::Builder::new();
            let _ = connection
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn load(port: u16, key: String, limit: Duration) {
    let request = format!(
        "GET /mcp HTTP/1.1\r\nhost: localhost\r\nuser-agent: load\r\naccept: */*\r\n\
         authorization: Bearer {key}\r\n\r\n"
    );
    let end = wall_nanos() + u64::try_from(limit.as_nanos()).expect("a short time");
    let clients: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let request = request.clone();
            tokio::spawn(async move { client(port, request.as_bytes(), end).await })
        })
        .collect();
    let mut latencies = Vec::new();
    for client in clients {
        latencies.extend(client.await.expect("a client that ends"));
    }
    latencies.sort_unstable();
    let rate = latencies.len() as f64 / limit.as_secs_f64();
    let p99 = latencies.get(latencies.len() * 99 / 100).copied();
    println!("{rate:.0} {:.1}", p99.unwrap_or(0) as f64 / 1e3);
}

/// The nanoseconds of each answer, one after the other.
async fn client(port: u16, request: &[u8], end: u64) -> Vec<u64> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))
        .await
        .expect("a server");
    stream.set_nodelay(true).expect("TCP");
    let mut latencies = Vec::with_capacity(1 << 16);
    let mut answer = Vec::with_capacity(4_096);
    loop {
        let start = wall_nanos();
        if start >= end {
            return latencies;
        }
        stream.write_all(request).await.expect("it is sent");
        answer.clear();
        while !answer.ends_with(b"hello, world\n") {
            let read = stream.read_buf(&mut answer).await.expect("an answer");
            assert!(read > 0, "the server hung up: {answer:?}");
            assert!(answer.len() < 4_096, "{}", String::from_utf8_lossy(&answer));
        }
        latencies.push(wall_nanos() - start);
    }
}
