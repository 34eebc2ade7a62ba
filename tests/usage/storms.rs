//! Many requests at once: every one of them is counted, or told as dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::Request;
use http_body_util::{Empty, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use mcp_api_keys::NewKey;
use mcp_api_keys::usage::UsageDimension;
use tower::{Layer, Service, ServiceExt};

use crate::world::{are, issue, keys, request, service, told, total};

fn size(quick: u64, long: u64) -> u64 {
    if std::env::var_os("MCP_KEYS_LONG").is_some() {
        long
    } else {
        quick
    }
}

/// As many requests as two threads can make, far more than are ever served.
#[test]
#[allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "it is measured"
)]
fn a_million_requests_are_counted_or_told_as_dropped() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let offered = size(400_000, 5_000_000);
    runtime.block_on(async move {
        let keys = keys().await;
        let mut held = Vec::new();
        for number in 0..100 {
            held.push(issue(&keys, NewKey::named(format!("agent {number}"))).await);
        }
        let held = Arc::new(held);
        let started = std::time::Instant::now();
        let threads: Vec<_> = (0..2)
            .map(|thread| {
                let (layer, held) = (keys.layer().any_server(), Arc::clone(&held));
                std::thread::spawn(move || {
                    let mut builder = tokio::runtime::Builder::new_current_thread();
                    let runtime = builder.enable_all().build().unwrap();
                    runtime.block_on(async {
                        let mut service = layer.layer(service());
                        for number in 0..offered / 2 {
                            let (_, key) = &held[(number as usize * 7 + thread) % held.len()];
                            let called = service.ready().await.unwrap().call(request("/", key));
                            assert_eq!(called.await.unwrap().status(), 200);
                        }
                    });
                })
            })
            .collect();
        for thread in threads {
            tokio::task::spawn_blocking(|| thread.join().unwrap())
                .await
                .unwrap();
        }
        let rate = offered as f64 / started.elapsed().as_secs_f64();
        keys.flush().await.unwrap();
        let stats = keys.usage_stats().unwrap();
        println!("{offered} requests at {rate:.0}/s through the layer: {stats:?}");
        assert_eq!(stats.noted + stats.dropped, offered);
        assert_eq!(stats.written, stats.noted);
        assert_eq!(total(&keys, None).await, stats.noted);
        let mut sum = 0;
        for (id, _) in &*held {
            sum += total(&keys, Some(*id)).await;
        }
        assert_eq!(sum, stats.noted);
    });
}

/// Over real connections, on several threads, some of whose callers go before they are answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sums_over_real_connections_are_exact() {
    let keys = keys().await;
    let (one, one_key) = issue(&keys, NewKey::named("one").server("files")).await;
    let (other, other_key) = issue(&keys, NewKey::named("other").server("files")).await;
    let layer = keys.layer().server("files");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let calls = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&calls);
    let inner = tower::service_fn(move |request: Request<hyper::body::Incoming>| {
        counted.fetch_add(1, Ordering::SeqCst);
        let is_bad = request.uri().path() == "/bad";
        async move {
            tokio::task::yield_now().await;
            let mut response = http::Response::new(Full::<Bytes>::default());
            if is_bad {
                *response.status_mut() = http::StatusCode::BAD_REQUEST;
            }
            Ok::<_, std::convert::Infallible>(response)
        }
    });
    let served = layer.layer(inner);
    let server = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let service = TowerToHyperService::new(served.clone());
            tokio::spawn(async move {
                let builder = auto::Builder::new(TokioExecutor::new());
                let _ = builder
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    let each = size(300, 5_000);
    let tasks: Vec<_> = (0..8_u64)
        .map(|task| {
            let key = if task % 2 == 0 { &one_key } else { &other_key };
            let bearer = format!("Bearer {key}");
            tokio::spawn(async move {
                let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
                for number in 0..each {
                    let path = if number % 5 == 0 { "bad" } else { "good" };
                    let uri = format!("http://{address}/{path}");
                    let request = Request::post(uri).header("authorization", &bearer);
                    let request = request.body(Empty::new()).unwrap();
                    client.request(request).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let all = 8 * each;
    assert_eq!(calls.load(Ordering::SeqCst), all);
    assert_eq!(
        told(&keys, None, UsageDimension::Status).await,
        are(&[("2xx", all / 5 * 4), ("4xx", all / 5)])
    );
    for id in [one, other] {
        assert_eq!(
            told(&keys, Some(id), UsageDimension::Operation).await,
            are(&[("POST", all / 2)])
        );
    }
    assert_eq!(keys.usage_stats().unwrap().dropped, 0);
    server.abort();
}
