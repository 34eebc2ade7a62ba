//! The gateway's own life, and that of the keys while it runs.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::Request;
use http_body::Frame;
use http_body_util::StreamBody;
use mcp_api_keys::NewKey;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tokio_stream::wrappers::ReceiverStream;

use crate::support::{Client, serve, soon};
use crate::world::{Gateway, mirror, next, until};

#[tokio::test]
async fn what_another_process_revokes_is_refused_in_time() {
    let upstream = mirror().await;
    let gateway = Gateway::before(&upstream).await;
    let new = NewKey::named("short-lived").all_servers();
    let issued = gateway.keys.manager().issue(new).await.unwrap();
    let key = issued.key().expose_secret();
    let ask = || Client::http1().get(&gateway.url("/mcp"), &[("x-api-key", key)]);
    assert_eq!(ask().await.status, 200);

    let id = issued.info().id;
    gateway.keys.manager().revoke(id, None).await.unwrap();
    let revoked = Instant::now();
    until("the refusal", async || ask().await.status == 401).await;
    assert!(revoked.elapsed() < Duration::from_millis(2_500));
}

/// A gateway with a stream under way through it, and what feeds the stream.
async fn streaming() -> (Gateway, mpsc::Sender<&'static str>, hyper::body::Incoming) {
    let (feed, mut fed) = mpsc::channel::<&'static str>(1);
    let (send, receive) = mpsc::channel::<Result<Frame<Bytes>, std::convert::Infallible>>(1);
    let receive = std::sync::Mutex::new(Some(receive));
    let receive = std::sync::Arc::new(receive);
    let app = Router::new().fallback(move || {
        let receive = receive.lock().unwrap().take().unwrap();
        async move { Body::new(StreamBody::new(ReceiverStream::new(receive))) }
    });
    tokio::spawn(async move {
        while let Some(text) = fed.recv().await {
            let _ = send.send(Ok(Frame::data(Bytes::from(text)))).await;
        }
    });
    let upstream = serve(app).await;
    let gateway = Gateway::before(&upstream).await;
    let key = gateway.key().await;
    let request = Request::get(gateway.url("/mcp")).header("x-api-key", key);
    let request = request.body(String::new()).unwrap();
    let response = Client::http1().open(request).await;
    // The server lives as long as its connection does.
    std::mem::forget(upstream);
    (gateway, feed, response.into_body())
}

#[tokio::test]
async fn told_to_end_it_takes_nobody_new_and_lets_streams_finish() {
    let (mut gateway, feed, mut body) = streaming().await;
    feed.send("one").await.unwrap();
    assert_eq!(next(&mut body).await.unwrap(), "one");
    let address = gateway.url.strip_prefix("http://").unwrap().to_owned();
    // Connections that say nothing do not hold it up.
    let mut idle = TcpStream::connect(&address).await.unwrap();

    gateway.terminate().await;
    until("the closed door", async || {
        TcpStream::connect(&address).await.is_err()
    })
    .await;
    assert_eq!(soon(idle.read(&mut [0; 1])).await.unwrap_or(0), 0);
    feed.send("two").await.unwrap();
    assert_eq!(next(&mut body).await.unwrap(), "two");
    drop(feed);
    assert_eq!(next(&mut body).await, None);
    let ended = Instant::now();
    assert!(gateway.ended().await.success());
    assert!(ended.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn told_to_end_it_writes_down_what_was_used_last() {
    let upstream = mirror().await;
    let mut gateway = Gateway::before(&upstream).await;
    let manager = gateway.keys.manager();
    let issued = manager.issue(NewKey::named("used").all_servers()).await;
    let issued = issued.unwrap();
    let key = [("x-api-key", issued.key().expose_secret())];
    let begun = Instant::now();
    let answer = Client::http1().get(&gateway.url("/mcp"), &key).await;
    assert_eq!(answer.status, 200);
    gateway.terminate().await;
    assert!(gateway.ended().await.success());
    // Otherwise it is written down every five seconds.
    assert!(begun.elapsed() < Duration::from_secs(4));
    let info = gateway.keys.manager().get(issued.info().id).await;
    assert!(info.unwrap().last_used_at.is_some());
}

#[tokio::test]
async fn told_twice_it_ends_at_once() {
    let (mut gateway, _feed, _body) = streaming().await;
    let address = gateway.url.strip_prefix("http://").unwrap().to_owned();
    gateway.terminate().await;
    until("the closed door", async || {
        TcpStream::connect(&address).await.is_err()
    })
    .await;
    sleep(Duration::from_millis(100)).await;
    gateway.terminate().await;
    let told = Instant::now();
    assert!(gateway.ended().await.success());
    assert!(told.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn a_stream_that_does_not_finish_is_ended_after_ten_seconds() {
    let (mut gateway, _feed, _body) = streaming().await;
    gateway.terminate().await;
    let told = Instant::now();
    assert!(gateway.ended().await.success());
    let waited = told.elapsed().as_secs_f64();
    assert!((9.5..12.0).contains(&waited), "{waited}");
}
