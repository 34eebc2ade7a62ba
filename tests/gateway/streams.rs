//! Streams: nothing is held back, and who hangs up ends them.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request as AxumRequest;
use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};

use crate::support::{Client, Server, serve, soon};
use crate::world::{Gateway, next, until};

const STEP: Duration = Duration::from_millis(100);
const MIB: u64 = 1_024 * 1_024;

type Chunk = Result<Frame<Bytes>, Infallible>;

fn piece(text: impl Into<Bytes>) -> Chunk {
    Ok(Frame::data(text.into()))
}

#[tokio::test]
async fn events_keep_their_spacing() {
    let app = Router::new().fallback(|| async {
        let (send, receive) = mpsc::channel::<Chunk>(1);
        tokio::spawn(async move {
            for number in 0..5 {
                sleep(STEP).await;
                let _ = send.send(piece(format!("data: {number}\n\n"))).await;
            }
        });
        Response::builder()
            .header("content-type", "text/event-stream")
            .body(Body::new(StreamBody::new(ReceiverStream::new(receive))))
            .unwrap()
    });
    let upstream = serve(app).await;
    let gateway = Gateway::before(&upstream).await;
    let key = gateway.key().await;
    for client in [Client::http1(), Client::http2()] {
        let request = Request::get(gateway.url("/mcp")).header("x-api-key", &key);
        let response = client.open(request.body(String::new()).unwrap()).await;
        let mut body = response.into_body();
        let mut times = Vec::new();
        while let Some(data) = next(&mut body).await {
            assert_eq!(data, format!("data: {}\n\n", times.len()));
            times.push(Instant::now());
        }
        assert_eq!(times.len(), 5);
        for pair in times.windows(2) {
            assert!(pair[1] - pair[0] > STEP / 3, "{:?}", pair[1] - pair[0]);
        }
    }
}

#[tokio::test]
async fn each_piece_comes_back_before_the_next_is_sent() {
    let app = Router::new().fallback(|request: AxumRequest| async {
        Body::from_stream(request.into_body().into_data_stream())
    });
    let upstream = serve(app).await;
    let gateway = Gateway::before(&upstream).await;
    let key = gateway.key().await;
    for client in [Client::http1(), Client::http2()] {
        let (send, receive) = mpsc::channel::<Chunk>(1);
        let request = Request::post(gateway.url("/mcp"))
            .header("x-api-key", &key)
            .body(StreamBody::new(ReceiverStream::new(receive)))
            .unwrap();
        let mut body = client.open(request).await.into_body();
        for text in ["one", "two", "three"] {
            send.send(piece(text)).await.unwrap();
            assert_eq!(next(&mut body).await.unwrap(), text);
        }
        drop(send);
        assert_eq!(next(&mut body).await, None);
    }
}

/// Says when it is dropped.
#[derive(Debug)]
struct Guard(Arc<AtomicBool>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A server that never ends: under `/mcp/stream` its answer, under `/mcp/wait` its thinking.
async fn endless() -> (Server, Arc<AtomicBool>, Arc<AtomicBool>) {
    let (begun, ended) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicBool::new(false)),
    );
    let flags = (Arc::clone(&begun), Arc::clone(&ended));
    let app = Router::new().fallback(move |request: AxumRequest| {
        let (begun, ended) = flags.clone();
        async move {
            begun.store(true, Ordering::SeqCst);
            let guard = Guard(ended);
            if request.uri().path() == "/mcp/wait" {
                let () = std::future::pending().await;
            }
            let stream = tokio_stream::iter([piece("data: 1\n\n")])
                .chain(tokio_stream::pending())
                .map(move |chunk| {
                    let _ = &guard;
                    chunk
                });
            Body::new(StreamBody::new(stream))
        }
    });
    (serve(app).await, begun, ended)
}

#[tokio::test]
async fn a_caller_that_hangs_up_ends_the_request_at_the_server() {
    for path in ["/mcp/stream", "/mcp/wait"] {
        for make in [Client::http1, Client::http2] {
            let (upstream, begun, ended) = endless().await;
            let gateway = Gateway::before(&upstream).await;
            let key = gateway.key().await;
            let request = Request::get(gateway.url(path)).header("x-api-key", &key);
            let request = request.body(String::new()).unwrap();
            let client = make();
            let caller = tokio::spawn(async move {
                let mut body = client.open(request).await.into_body();
                while body.frame().await.is_some() {}
            });
            until("the request", async || begun.load(Ordering::SeqCst)).await;
            sleep(STEP).await;
            assert!(!ended.load(Ordering::SeqCst));
            caller.abort();
            until("the end at the server", async || {
                ended.load(Ordering::SeqCst)
            })
            .await;
        }
    }
}

fn megabytes(count: u64) -> impl Stream<Item = Chunk> {
    const PIECE: u64 = 64 * 1_024;
    let pieces = (0..count * MIB / PIECE).map(|_| piece(vec![7; PIECE as usize]));
    tokio_stream::iter(pieces)
}

#[tokio::test]
async fn large_bodies_pass_without_being_kept() {
    const SIZE: u64 = 32;
    let received = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&received);
    let app = Router::new().fallback(move |request: AxumRequest| {
        let count = Arc::clone(&count);
        async move {
            // Slower than the caller, so that what is not held back there would pile up between.
            sleep(STEP * 5).await;
            let mut body = request.into_body();
            while let Some(frame) = body.frame().await {
                let data = frame.unwrap().into_data().unwrap();
                count.fetch_add(data.len() as u64, Ordering::SeqCst);
            }
            Body::new(StreamBody::new(megabytes(SIZE)))
        }
    });
    let upstream = serve(app).await;
    let gateway = Gateway::before(&upstream).await;
    let key = gateway.key().await;
    let client = Client::http1();
    // What the first request costs is not what the body costs.
    client
        .get(&gateway.url("/me"), &[("x-api-key", &key)])
        .await;
    let before = gateway.peak_memory();

    let request = Request::post(gateway.url("/mcp"))
        .header("x-api-key", &key)
        .body(StreamBody::new(megabytes(SIZE)))
        .unwrap();
    let mut body = client.open(request).await.into_body();
    assert_eq!(received.load(Ordering::SeqCst), SIZE * MIB);
    sleep(STEP * 5).await;
    let mut size = 0;
    while let Some(frame) = soon(body.frame()).await {
        size += frame.unwrap().into_data().unwrap().len() as u64;
    }
    assert_eq!(size, SIZE * MIB);
    if let (Some(before), Some(after)) = (before, gateway.peak_memory()) {
        let grown = after - before;
        assert!(grown < 8 * MIB, "it grew by {} KiB", grown / 1_024);
    }
}
