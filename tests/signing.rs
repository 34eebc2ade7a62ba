//! Signed requests, through the real layers, over real connections where it matters.

#![cfg(all(feature = "axum", feature = "rmcp", feature = "testing"))]
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests panic"
)]

mod support;

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::request::{Builder, Parts};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use mcp_api_keys::key::KeyId;
use mcp_api_keys::layer::{ReadBody, Respond, SignedApiKeyLayer};
use mcp_api_keys::signing::{
    MemoryReplayGuard, ReplayGuard, Seen, SignatureId, Signed, Signer, SigningMode,
};
use mcp_api_keys::store::MemoryStore;
use mcp_api_keys::testing::ManualClock;
use mcp_api_keys::testing::records::NOON;
use mcp_api_keys::{
    ApiKeys, Error, ErrorKind, Grace, KeyContext, Moment, NewKey, Rejection, RejectionKind,
    SignedRequestLayer, Timestamp,
};
use serde_json::{Value, json};
use support::{Answer, Client, Server, bearer, issue, light, secret, seen, soon};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tower::limit::ConcurrencyLimit;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_test::mock;

const BODY: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;

/// Keys by a clock that stands still, one of them issued, and a handler that counts its calls.
struct Place {
    keys: ApiKeys,
    key: String,
    clock: ManualClock,
    calls: Arc<AtomicUsize>,
}

impl Place {
    async fn new() -> Self {
        let clock = ManualClock::at(NOON);
        let keys = light(MemoryStore::new()).clock(clock.clone());
        let keys = keys.max_stale(Duration::from_secs(86_400));
        let keys = keys.build().await.unwrap();
        let key = issue(&keys, NewKey::named("ci-bot").server("files")).await;
        Self {
            keys,
            key,
            clock,
            calls: Arc::default(),
        }
    }

    fn layer(&self, signing: SignedRequestLayer) -> SignedApiKeyLayer {
        self.keys.layer().server("files").with_signing(signing)
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// The handler behind the layer: it tells all that it sees.
    fn service<B>(
        &self,
        signing: SignedRequestLayer,
    ) -> impl Service<
        Request<B>,
        Response = Response<impl Body<Data = Bytes, Error = Infallible> + Send + use<B>>,
        Error = Infallible,
        Future: Send,
    >
    + Clone
    + Send
    + 'static
    + use<B>
    where
        B: Body<Data = Bytes, Error: std::fmt::Debug> + Send + 'static,
    {
        let calls = Arc::clone(&self.calls);
        self.layer(signing)
            .layer(service_fn(move |request: Request<ReadBody<B>>| {
                calls.fetch_add(1, Ordering::SeqCst);
                tell(request)
            }))
    }

    /// The same, on a loopback port, over HTTP/1.1 and HTTP/2.
    async fn serve(&self, signing: SignedRequestLayer) -> Server {
        let service = self.service(signing);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        Server::new(address, async move {
            // They end with the server.
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((connection, _)) = listener.accept().await {
                let service = TowerToHyperService::new(service.clone());
                connections.spawn(async move {
                    let server = auto::Builder::new(TokioExecutor::new());
                    let io = TokioIo::new(connection);
                    let _ = server.serve_connection(io, service).await;
                });
            }
        })
    }

    /// A request with the key.
    fn request(&self, url: &str) -> Builder {
        Request::post(url).header("authorization", bearer(&self.key))
    }

    /// The same, signed for `body` at this time.
    fn signed_at(&self, url: &str, time: Timestamp, body: &str) -> Builder {
        let mut request = self.request(url);
        let signature = Signer::new(&self.key).sign(time, body.as_bytes());
        signature.set(request.headers_mut().unwrap());
        request
    }

    fn signed(&self, url: &str, body: &str) -> Builder {
        self.signed_at(url, NOON, body)
    }
}

async fn tell<B>(request: Request<ReadBody<B>>) -> Result<Response<Full<Bytes>>, Infallible>
where
    B: Body<Data = Bytes, Error: std::fmt::Debug>,
{
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap();
    let trailers = body.trailers().cloned().unwrap_or_default();
    let text = json!({
        "request": seen(&head),
        "extensions": format!("{:?} {}", head.extensions, head.extensions.len()),
        "signed": head.extensions.get::<Signed>().map(Signed::at),
        "body": String::from_utf8(body.to_bytes().into()).unwrap(),
        "trailers": trailers.len(),
    });
    Ok(Response::new(Full::from(text.to_string())))
}

fn with<B>(request: Builder, body: B) -> Request<B> {
    request.body(body).unwrap()
}

type Channel = StreamBody<ReceiverStream<Result<Frame<Bytes>, Infallible>>>;

/// A body that is sent in parts.
fn channel() -> (Sender, Channel) {
    let (sender, frames) = mpsc::channel(1);
    (Sender(sender), StreamBody::new(ReceiverStream::new(frames)))
}

struct Sender(mpsc::Sender<Result<Frame<Bytes>, Infallible>>);

impl Sender {
    /// Whether anybody still wants it.
    async fn send(&self, part: &'static str) -> bool {
        self.0
            .send(Ok(Frame::data(Bytes::from_static(part.as_bytes()))))
            .await
            .is_ok()
    }
}

fn refused(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

/// A guard that counts what it is asked, and answers as it is told to.
#[derive(Clone, Debug, Default)]
struct Counting {
    asked: Arc<AtomicUsize>,
    broken: Arc<AtomicBool>,
    hangs: Arc<AtomicBool>,
}

#[async_trait]
impl ReplayGuard for Counting {
    async fn remember(&self, _: &SignatureId, _: Moment, keep: Duration) -> Result<Seen, Error> {
        // Twice the tolerance, the time for the body, and some more.
        assert!(keep > Duration::from_secs(610), "{keep:?}");
        self.asked.fetch_add(1, Ordering::SeqCst);
        if self.hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        if self.broken.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Unavailable, "no answer"));
        }
        Ok(Seen::First)
    }
}

// === what passes and what does not, over real connections ===

#[tokio::test]
async fn a_signed_request_passes_and_the_handler_sees_neither_key_nor_signature() {
    let place = Place::new().await;
    let server = place.serve(SignedRequestLayer::required()).await;
    for client in [Client::http1(), Client::http2()] {
        for _ in 0..2 {
            let answer = client
                .send(with(place.signed(&server.url("/a"), BODY), BODY))
                .await;
            assert_eq!(answer.status, 200, "{answer:?}");
            let told = answer.json();
            assert_eq!(told["body"], BODY);
            assert_eq!(told["signed"], json!(NOON));
            assert_eq!(told["request"]["key"]["name"], "ci-bot");
            for name in ["authorization", "x-mcp-timestamp", "x-mcp-signature"] {
                assert_eq!(told["request"]["headers"].get(name), None);
            }
            let extensions = told["extensions"].as_str().unwrap();
            assert!(extensions.contains("KeyContext"), "{extensions}");
            assert!(!extensions.contains("Secret"), "{extensions}");
            assert!(!answer.text.contains(secret(&place.key)));
        }
    }
}

#[tokio::test]
async fn a_request_without_a_body_can_be_signed() {
    let place = Place::new().await;
    let server = place.serve(SignedRequestLayer::required()).await;
    let client = Client::http1();
    let get = |request: Builder| with(request.method("GET"), "");
    let url = server.url("/");
    let answer = client.send(get(place.signed(&url, ""))).await;
    assert_eq!(answer.json()["body"], "");
    assert_eq!(answer.json()["request"]["method"], "GET");
    let answer = client.send(get(place.request(&url))).await;
    assert_eq!(answer.refusal(), refused(401, "missing_signature"));
    let answer = client.send(get(place.signed(&url, BODY))).await;
    assert_eq!(answer.refusal(), refused(401, "invalid_signature"));
}

#[tokio::test]
async fn what_is_required_is_required_and_what_is_optional_is_never_bad() {
    let place = Place::new().await;
    let other = issue(&place.keys, NewKey::named("other").server("files")).await;
    let client = Client::http1();
    for (mode, unsigned) in [
        (SigningMode::Required, Err("missing_signature")),
        (SigningMode::Optional, Ok(())),
        (SigningMode::Off, Ok(())),
    ] {
        let server = place.serve(SignedRequestLayer::new(mode)).await;
        let url = server.url("/");
        let of_other_key = || {
            let mut request = place.request(&url);
            let signature = Signer::new(&other).sign(NOON, BODY.as_bytes());
            signature.set(request.headers_mut().unwrap());
            request
        };
        let early = Timestamp::from_millis(NOON.as_millis() - 301_000);
        let late = Timestamp::from_millis(NOON.as_millis() + 301_000);
        for (request, outcome) in [
            (place.signed(&url, BODY), Ok(())),
            (place.request(&url), unsigned),
            (of_other_key(), Err("invalid_signature")),
            (place.signed(&url, "another"), Err("invalid_signature")),
            (place.signed_at(&url, early, BODY), Err("stale_timestamp")),
            (place.signed_at(&url, late, BODY), Err("stale_timestamp")),
            (
                place.request(&url).header("x-mcp-timestamp", "1"),
                Err("missing_signature"),
            ),
            (
                place.request(&url).header("x-mcp-signature", "00"),
                Err("missing_signature"),
            ),
        ] {
            let before = place.calls();
            let answer = client.send(with(request, BODY)).await;
            // Where signatures are off, none is bad.
            match outcome {
                Err(code) if mode != SigningMode::Off => {
                    assert_eq!(answer.refusal(), refused(401, code), "{mode:?}");
                    assert_eq!(
                        answer.header("www-authenticate"),
                        r#"Bearer error="invalid_token""#
                    );
                    assert_eq!(place.calls(), before);
                }
                _ => assert_eq!(answer.status, 200, "{mode:?} {answer:?}"),
            }
        }
        let twice = place.signed(&url, BODY).header("x-mcp-timestamp", "1");
        let answer = client.send(with(twice, BODY)).await;
        if mode != SigningMode::Off {
            assert_eq!(answer.refusal(), refused(400, "ambiguous_signature"));
        }
    }
}

#[tokio::test]
async fn a_signature_is_no_substitute_for_the_key() {
    let place = Place::new().await;
    let server = place.serve(SignedRequestLayer::optional()).await;
    let mut request = place.signed(&server.url("/"), BODY);
    request.headers_mut().unwrap().remove("authorization");
    let answer = Client::http1().send(with(request, BODY)).await;
    assert_eq!(answer.refusal(), refused(401, "missing_api_key"));
    assert_eq!(place.calls(), 0);
}

#[tokio::test]
async fn a_key_in_any_place_signs_and_in_a_grace_window_each_secret_signs_for_itself() {
    let place = Place::new().await;
    let id = place
        .keys
        .manager()
        .get_by_handle(&place.key[7..15])
        .await
        .unwrap()
        .id;
    let day = Duration::from_secs(86_400);
    let renewed = place
        .keys
        .manager()
        .rotate_with(id, Grace::For(day))
        .await
        .unwrap();
    let new = renewed.key().expose_secret();
    let layer = place
        .keys
        .layer()
        .server("files")
        .path_keys("/mcp/{key}")
        .unwrap();
    let layer = layer.with_signing(SignedRequestLayer::required());
    let service = layer.layer(service_fn(tell::<Full<Bytes>>));
    for (presented, signing, status) in [
        (place.key.as_str(), place.key.as_str(), 200),
        (new, new, 200),
        (place.key.as_str(), new, 401),
        (new, place.key.as_str(), 401),
    ] {
        for carrier in ["authorization", "x-api-key", "path"] {
            let mut request = match carrier {
                "path" => Request::post(format!("/mcp/{presented}")),
                "authorization" => Request::post("/mcp").header(carrier, bearer(presented)),
                _ => Request::post("/mcp").header(carrier, presented),
            };
            let signature = Signer::new(signing).sign(NOON, BODY.as_bytes());
            signature.set(request.headers_mut().unwrap());
            let answer = support::ask(service.clone(), with(request, Full::from(BODY))).await;
            assert_eq!(answer.status, status, "{carrier}");
            assert!(!answer.text.contains(secret(presented)));
        }
    }
}

// === replays ===

#[tokio::test]
async fn a_replay_is_refused_with_a_guard_and_passes_without() {
    let place = Place::new().await;
    let client = Client::http1();
    let guard = MemoryReplayGuard::new();
    for (signing, second) in [
        (SignedRequestLayer::required(), 200),
        (
            SignedRequestLayer::required().replay_guard(guard.clone()),
            401,
        ),
    ] {
        let server = place.serve(signing).await;
        let request = || with(place.signed(&server.url("/"), BODY), BODY);
        assert_eq!(client.send(request()).await.status, 200);
        let again = client.send(request()).await;
        assert_eq!(again.status, second);
        // Written otherwise it is the same signature.
        let mut shouted = request();
        let text = shouted.headers()["x-mcp-signature"].to_str().unwrap();
        let text = text.to_uppercase().parse().unwrap();
        shouted.headers_mut().insert("x-mcp-signature", text);
        assert_eq!(client.send(shouted).await.status, second);
        if second == 401 {
            assert_eq!(again.refusal(), refused(401, "replayed_request"));
        }
    }
    // Layers that are given the same guard share it.
    let server = place
        .serve(SignedRequestLayer::optional().replay_guard(guard))
        .await;
    let answer = client
        .send(with(place.signed(&server.url("/"), BODY), BODY))
        .await;
    assert_eq!(answer.refusal(), refused(401, "replayed_request"));
    // Up to the last moment at which it is in time.
    place.clock.advance(Duration::from_millis(300_999));
    let answer = client
        .send(with(place.signed(&server.url("/"), BODY), BODY))
        .await;
    assert_eq!(answer.refusal(), refused(401, "replayed_request"));
    place.clock.advance(Duration::from_millis(1));
    let answer = client
        .send(with(place.signed(&server.url("/"), BODY), BODY))
        .await;
    assert_eq!(answer.refusal(), refused(401, "stale_timestamp"));
}

#[tokio::test]
async fn a_signature_from_the_future_is_remembered_until_it_is_too_old() {
    let place = Place::new().await;
    let guard = MemoryReplayGuard::new();
    let service = place.service(SignedRequestLayer::required().replay_guard(guard));
    let ahead = Timestamp::from_millis(NOON.as_millis() + 300_000);
    let mut codes = Vec::new();
    for wait in [0, 1, 300_000, 300_998, 1] {
        place.clock.advance(Duration::from_millis(wait));
        let request = with(place.signed_at("/", ahead, BODY), Full::from(BODY));
        let answer = support::ask(service.clone(), request).await;
        codes.push(if answer.status == 200 {
            "ok".to_owned()
        } else {
            answer.refusal().1
        });
    }
    let again = "replayed_request";
    assert_eq!(codes, ["ok", again, again, again, "stale_timestamp"]);
}

#[tokio::test]
async fn of_many_requests_at_once_with_one_signature_exactly_one_passes() {
    let place = Place::new().await;
    let signing = SignedRequestLayer::required().replay_guard(MemoryReplayGuard::new());
    let server = place.serve(signing).await;
    for round in 0..20 {
        let body = format!("round {round}");
        let mut requests = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let request = with(place.signed(&server.url("/"), &body), body.clone());
            requests.spawn(async move { Client::http1().send(request).await });
        }
        let answers = requests.join_all().await;
        let passed = answers.iter().filter(|answer| answer.status == 200);
        assert_eq!(passed.count(), 1);
        for answer in answers.iter().filter(|answer| answer.status != 200) {
            assert_eq!(answer.refusal(), refused(401, "replayed_request"));
        }
    }
    assert_eq!(place.calls(), 20);
}

#[tokio::test]
async fn only_verified_signatures_come_before_the_guard() {
    let place = Place::new().await;
    let guard = Counting::default();
    let service = place.service(SignedRequestLayer::optional().replay_guard(guard.clone()));
    let send = async |request, body| {
        let answer = support::ask(service.clone(), with(request, Full::from(body))).await;
        answer.status.as_u16()
    };
    assert_eq!(send(place.signed("/", BODY), "changed").await, 401);
    assert_eq!(
        send(place.request("/").header("x-mcp-timestamp", "1"), BODY).await,
        401
    );
    assert_eq!(send(place.request("/"), BODY).await, 200);
    assert_eq!(guard.asked.load(Ordering::SeqCst), 0);
    assert_eq!(send(place.signed("/", BODY), BODY).await, 200);
    assert_eq!(guard.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_guard_that_cannot_answer_refuses() {
    let place = Place::new().await;
    let guard = Counting::default();
    let service = place.service(SignedRequestLayer::required().replay_guard(guard.clone()));
    let send = async || {
        let request = with(place.signed("/", BODY), Full::from(BODY));
        support::ask(service.clone(), request).await
    };
    guard.broken.store(true, Ordering::SeqCst);
    let answer = send().await;
    assert_eq!(answer.refusal(), refused(503, "unavailable"));
    assert_eq!(answer.header("retry-after"), "1");
    guard.hangs.store(true, Ordering::SeqCst);
    let start = tokio::time::Instant::now();
    assert_eq!(send().await.refusal(), refused(503, "unavailable"));
    assert_eq!(start.elapsed(), Duration::from_secs(2));
    assert_eq!(place.calls(), 0);
    guard.hangs.store(false, Ordering::SeqCst);
    guard.broken.store(false, Ordering::SeqCst);
    assert_eq!(send().await.status, 200);
}

#[tokio::test]
async fn a_full_guard_refuses_what_is_new_and_knows_what_it_had() {
    let place = Place::new().await;
    let guard = MemoryReplayGuard::with_capacity(2);
    let service = place.service(SignedRequestLayer::required().replay_guard(guard));
    let send = async |body: &'static str| {
        let request = with(place.signed("/", body), Full::from(body));
        support::ask(service.clone(), request).await
    };
    assert_eq!(send("one").await.status, 200);
    assert_eq!(send("two").await.refusal(), refused(503, "unavailable"));
    assert_eq!(
        send("one").await.refusal(),
        refused(401, "replayed_request")
    );
    assert_eq!(place.calls(), 1);
}

// === bodies ===

/// Sends bytes as they are and returns what comes back.
async fn exchange(server: &Server, parts: &[&[u8]]) -> String {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    for part in parts {
        stream.write_all(part).await.unwrap();
    }
    let mut answer = Vec::new();
    soon(stream.read_to_end(&mut answer)).await.unwrap();
    String::from_utf8(answer).unwrap()
}

fn wire_head(place: &Place, body: &str, length: &str) -> Vec<u8> {
    let signature = Signer::new(&place.key).sign(NOON, body.as_bytes());
    format!(
        "POST / HTTP/1.1\r\nhost: example.test\r\nconnection: close\r\nauthorization: {}\r\n\
         x-mcp-timestamp: {}\r\nx-mcp-signature: {}\r\n{length}\r\n\r\n",
        bearer(&place.key),
        signature.timestamp(),
        signature.signature(),
    )
    .into_bytes()
}

#[tokio::test]
async fn a_body_beyond_the_cap_is_refused_unread_if_it_is_announced() {
    let place = Place::new().await;
    let server = place.serve(SignedRequestLayer::required()).await;
    // Not a byte of it is sent.
    let head = wire_head(&place, "", "content-length: 1048577");
    let answer = exchange(&server, &[&head]).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains(r#""code":"body_too_large""#), "{answer}");

    // Held back until asked for, and never asked for.
    let head = wire_head(
        &place,
        "",
        "expect: 100-continue\r\ncontent-length: 1048577",
    );
    let answer = exchange(&server, &[&head]).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");

    let small = place
        .serve(SignedRequestLayer::required().max_body(10))
        .await;
    let head = wire_head(&place, "0123456789a", "transfer-encoding: chunked");
    let answer = exchange(&small, &[&head, b"b\r\n0123456789a\r\n0\r\n\r\n"]).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert_eq!(place.calls(), 0);
    let head = wire_head(&place, "0123456789", "transfer-encoding: chunked");
    let answer = exchange(&small, &[&head, b"5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n"]).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");

    // Exactly one MiB passes, and unsigned bodies have no cap where signing is optional.
    let body = "x".repeat(1_048_576);
    let client = Client::http1();
    let answer = client
        .send(with(place.signed(&server.url("/"), &body), body.clone()))
        .await;
    assert_eq!(answer.status, 200);
    let optional = place
        .serve(SignedRequestLayer::optional().max_body(10))
        .await;
    let answer = client
        .send(with(place.request(&optional.url("/")), body))
        .await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn a_slow_body_is_given_up_and_an_unsigned_one_is_not_waited_for() {
    let place = Place::new().await;
    let short = Duration::from_millis(100);
    let server = place
        .serve(SignedRequestLayer::optional().body_deadline(short))
        .await;
    let head = wire_head(&place, "0123456789", "content-length: 10");
    let answer = exchange(&server, &[&head, b"0123"]).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains(r#""code":"body_timeout""#), "{answer}");
    assert_eq!(place.calls(), 0);

    // The handler is called while the body is still on its way.
    let (sender, body) = channel();
    let called = Arc::clone(&place.calls);
    let waiting = tokio::spawn(
        place
            .service(SignedRequestLayer::optional())
            .oneshot(with(place.request("/"), body)),
    );
    while called.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    assert!(sender.send("late").await);
    drop(sender);
    let answer = Answer::of(soon(waiting).await.unwrap().unwrap()).await;
    assert_eq!(answer.json()["body"], "late");
    assert_eq!(answer.json()["signed"], Value::Null);
}

#[tokio::test(start_paused = true)]
async fn a_body_has_ten_seconds_however_it_comes() {
    let place = Place::new().await;
    let service = place.service(SignedRequestLayer::required());
    let (sender, body) = channel();
    let start = tokio::time::Instant::now();
    let answer = tokio::spawn(support::ask(service, with(place.signed("/", BODY), body)));
    // A byte every second is no excuse.
    tokio::spawn(async move {
        while sender.send("x").await {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    assert_eq!(
        answer.await.unwrap().refusal(),
        refused(408, "body_timeout")
    );
    let waited = start.elapsed();
    assert!((10_000..10_100).contains(&waited.as_millis()), "{waited:?}");
    assert_eq!(place.calls(), 0);
}

/// A body of empty frames without end, always ready.
struct Endless;

impl Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(Some(Ok(Frame::data(Bytes::new()))))
    }
}

#[tokio::test]
async fn a_body_of_nothing_without_end_holds_neither_thread_nor_memory() {
    let place = Place::new().await;
    let short = Duration::from_millis(50);
    let service = place.service(SignedRequestLayer::required().body_deadline(short));
    let beside = tokio::spawn(async {
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    });
    let answer = soon(support::ask(service, with(place.signed("/", ""), Endless))).await;
    assert_eq!(answer.refusal(), refused(408, "body_timeout"));
    assert!(beside.is_finished());
}

#[tokio::test]
async fn a_body_that_breaks_off_never_arrives() {
    let place = Place::new().await;
    let service = place.service(SignedRequestLayer::required());
    let frames = [Ok(Frame::data(Bytes::from_static(b"half"))), Err("broken")];
    let body = StreamBody::new(tokio_stream::iter(frames));
    let answer = support::ask(service, with(place.signed("/", "half"), body)).await;
    assert_eq!(answer.refusal(), refused(408, "body_incomplete"));
    assert_eq!(place.calls(), 0);
}

#[tokio::test]
async fn trailers_come_through_whether_signed_or_not() {
    let place = Place::new().await;
    let service = place.service(SignedRequestLayer::optional());
    for request in [place.request("/"), place.signed("/", "two parts")] {
        let mut trailers = HeaderMap::new();
        trailers.insert("x-checksum", "1".parse().unwrap());
        let frames = [
            Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"two "))),
            Ok(Frame::data(Bytes::from_static(b"parts"))),
            Ok(Frame::trailers(trailers)),
        ];
        let body = StreamBody::new(tokio_stream::iter(frames));
        let told = support::ask(service.clone(), with(request, body))
            .await
            .json();
        assert_eq!(
            (&told["body"], &told["trailers"]),
            (&json!("two parts"), &json!(1))
        );
    }
}

// === answers ===

#[tokio::test]
async fn every_caller_is_answered_in_its_own_shape_and_the_reason_is_attached() {
    let place = Place::new().await;
    let service = place.service(SignedRequestLayer::required().max_body(10));
    for (body, kind, status, code, number, grpc) in [
        (
            "",
            RejectionKind::SignatureMissing,
            401,
            "missing_signature",
            -31_001,
            "16",
        ),
        (
            BODY,
            RejectionKind::BodyTooLarge,
            413,
            "body_too_large",
            -31_013,
            "8",
        ),
    ] {
        let ask = async |name: &str, value: &str| {
            let mut request = place.request("/").header(name, value);
            if !body.is_empty() {
                let signature = Signer::new(&place.key).sign(NOON, body.as_bytes());
                signature.set(request.headers_mut().unwrap());
            }
            let request = with(request, Full::<Bytes>::from(body));
            service.clone().oneshot(request).await.unwrap()
        };
        let api = ask("accept", "*/*").await;
        let rejection = api.extensions().get::<Rejection>().unwrap();
        assert_eq!(rejection.kind(), kind);
        assert!(rejection.key_id().is_some());
        let api = Answer::of(api).await;
        assert_eq!(api.refusal(), refused(status, code));

        let mcp = Answer::of(ask("mcp-protocol-version", "2026-07-28").await).await;
        assert_eq!(mcp.refusal(), refused(status, code));
        assert_eq!(mcp.json()["error"]["code"], number);
        assert_eq!(mcp.json()["jsonrpc"], "2.0");

        let answer = ask("content-type", "application/grpc").await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["grpc-status"], grpc);
    }
}

#[derive(Debug)]
struct Teapot;

impl Respond for Teapot {
    fn respond(&self, rejection: &Rejection, head: &Parts) -> Response<Bytes> {
        // Nor may a responder see what was presented.
        assert!(
            head.headers
                .keys()
                .all(|name| !name.as_str().contains("mcp-"))
        );
        let mut response = Response::new(Bytes::from(rejection.code()));
        *response.status_mut() = StatusCode::IM_A_TEAPOT;
        response
    }
}

#[tokio::test]
async fn the_answers_are_those_of_the_key_layer_unless_others_are_asked_for() {
    let place = Place::new().await;
    let keys = || place.keys.layer().server("files");
    let ours = SignedRequestLayer::required;
    for (layer, status) in [
        (keys().with_signing(ours()), 401),
        (keys().responder(Teapot).with_signing(ours()), 418),
        (keys().with_signing(ours().responder(Teapot)), 418),
    ] {
        let service = layer.layer(service_fn(tell::<Full<Bytes>>));
        for request in [
            place.request("/"),
            place.signed("/", "other"),
            place.signed("/", BODY),
        ] {
            let request = with(request, Full::from(BODY));
            let signed_well = request
                .headers()
                .get("x-mcp-signature")
                .is_some_and(|text| {
                    text == Signer::new(&place.key)
                        .sign(NOON, BODY.as_bytes())
                        .signature()
                });
            let answer = support::ask(service.clone(), request).await;
            assert_eq!(answer.status, if signed_well { 200 } else { status });
        }
    }
}

#[tokio::test]
async fn a_layer_in_the_wrong_place_lets_nothing_through() {
    let place = Place::new().await;
    let calls = Arc::clone(&place.calls);
    let handler = move || {
        let calls = Arc::clone(&calls);
        service_fn(move |_: Request<ReadBody<Full<Bytes>>>| {
            calls.fetch_add(1, Ordering::SeqCst);
            std::future::ready(Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())))
        })
    };
    let signed = || with(place.signed("/", BODY), Full::from(BODY));
    let unavailable = refused(503, "unavailable");
    for mode in [
        SigningMode::Off,
        SigningMode::Optional,
        SigningMode::Required,
    ] {
        let signing = SignedRequestLayer::new(mode);
        let alone = signing.layer(handler());
        assert_eq!(support::ask(alone, signed()).await.refusal(), unavailable);
        let not_told = place
            .keys
            .layer()
            .server("files")
            .layer(signing.layer(handler()));
        assert_eq!(
            support::ask(not_told, signed()).await.refusal(),
            unavailable
        );
    }
    assert_eq!(place.calls(), 0);

    // In the right place, with something in between.
    let stack = ServiceBuilder::new()
        .layer(place.keys.layer().server("files").signed_requests())
        .concurrency_limit(1)
        .layer(SignedRequestLayer::required())
        .service(handler());
    assert_eq!(support::ask(stack, signed()).await.status, 200);
    assert_eq!(place.calls(), 1);
}

// === the tower contract ===

type Bodies = ReadBody<Full<Bytes>>;

#[tokio::test]
async fn the_service_that_was_ready_is_the_one_that_is_called() {
    let place = Place::new().await;
    let (mut service, mut inner): (_, mock::Handle<Request<Bodies>, Response<Full<Bytes>>>) =
        mock::spawn_layer(
            place.layer(SignedRequestLayer::optional().replay_guard(MemoryReplayGuard::new())),
        );
    inner.allow(0);
    assert!(service.poll_ready::<Request<Full<Bytes>>>().is_pending());
    // The first of each has to be looked up first.
    for request in [
        place.signed("/", "one"),
        place.signed("/", "two"),
        place.request("/"),
    ] {
        let body = match request.headers_ref().unwrap().get("x-mcp-signature") {
            Some(text) if text == Signer::new(&place.key).sign(NOON, b"one").signature() => "one",
            _ => "two",
        };
        inner.allow(1);
        assert!(service.poll_ready::<Request<Full<Bytes>>>().is_ready());
        inner.allow(0);
        let answer = tokio::spawn(service.call(with(request, Full::from(body))));
        let (seen, respond) = soon(inner.next_request()).await.unwrap();
        assert!(service.poll_ready::<Request<Full<Bytes>>>().is_pending());
        let seen = seen.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(seen, body);
        respond.send_response(Response::new(Full::default()));
        assert_eq!(soon(answer).await.unwrap().unwrap().status(), 200);
    }
    // Refused before and behind the body: the inner service hears of neither.
    for body in ["one", "three"] {
        inner.allow(1);
        assert!(service.poll_ready::<Request<Full<Bytes>>>().is_ready());
        let call = service.call(with(place.signed("/", "one"), Full::from(body)));
        assert_eq!(soon(call).await.unwrap().status(), 401);
        assert!(inner.poll_request().is_pending());
    }
    inner.allow(1);
    assert!(service.poll_ready::<Request<Full<Bytes>>>().is_ready());
    let call = tokio::spawn(service.call(with(place.signed("/", "four"), Full::from("four"))));
    let (_, respond) = soon(inner.next_request()).await.unwrap();
    respond.send_error("as it is");
    assert_eq!(
        soon(call).await.unwrap().unwrap_err().to_string(),
        "as it is"
    );
}

#[tokio::test]
async fn over_a_concurrency_limit_every_place_is_given_back() {
    let place = Place::new().await;
    let handler = service_fn(tell::<Full<Bytes>>);
    let signing = SignedRequestLayer::required().replay_guard(MemoryReplayGuard::new());
    let mut service = place
        .layer(signing)
        .layer(ConcurrencyLimit::new(handler, 2));
    for round in 0..20 {
        let body = format!("round {round}");
        for (sent, status) in [(body.as_str(), 200), (body.as_str(), 401), ("other", 401)] {
            let ready = soon(service.ready()).await.unwrap();
            let request = with(place.signed("/", &body), Full::from(sent.to_owned()));
            assert_eq!(soon(ready.call(request)).await.unwrap().status(), status);
        }
    }
    // Callers that leave while their bodies are on the way.
    for _ in 0..20 {
        let (sender, body) = channel();
        let handler = service_fn(tell::<Channel>);
        let layer = place.layer(SignedRequestLayer::required());
        let mut service = layer.layer(ConcurrencyLimit::new(handler, 1));
        for _ in 0..2 {
            let (_sender, body) = channel();
            let ready = soon(service.ready()).await.unwrap();
            let call = ready.call(with(place.signed("/", BODY), body));
            drop(call);
        }
        let ready = soon(service.ready()).await.unwrap();
        let mut call = Box::pin(ready.call(with(place.signed("/", BODY), body)));
        assert!(sender.send("half").await);
        let waited = tokio::time::timeout(Duration::from_millis(5), &mut call).await;
        assert!(waited.is_err());
        drop(call);
        // Nobody holds the body any more.
        assert!(!sender.send("rest").await);
    }
}

/// Tells when it is dropped.
struct Watched(Arc<AtomicBool>);

impl Drop for Watched {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Body for Watched {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Pending
    }
}

#[tokio::test]
async fn dropping_an_answer_drops_the_one_behind_it() {
    let place = Place::new().await;
    let dropped = Arc::new(AtomicBool::new(false));
    let watched = Arc::clone(&dropped);
    let handler = service_fn(move |_: Request<ReadBody<Empty<Bytes>>>| {
        let body = Watched(Arc::clone(&watched));
        std::future::ready(Ok::<_, Infallible>(Response::new(body)))
    });
    let service = place.layer(SignedRequestLayer::required()).layer(handler);
    let answer = service
        .oneshot(with(place.signed("/", ""), Empty::new()))
        .await
        .unwrap();
    assert!(!dropped.load(Ordering::SeqCst));
    drop(answer);
    assert!(dropped.load(Ordering::SeqCst));

    // And while the handler still works.
    let dropped = Arc::new(AtomicBool::new(false));
    let watched = Arc::clone(&dropped);
    let handler = service_fn(move |_: Request<ReadBody<Empty<Bytes>>>| {
        let watched = Watched(Arc::clone(&watched));
        async move {
            std::future::pending::<()>().await;
            Ok::<_, Infallible>(Response::new(watched))
        }
    });
    let service = place.layer(SignedRequestLayer::required()).layer(handler);
    let mut call = Box::pin(service.oneshot(with(place.signed("/", ""), Empty::new())));
    let waited = tokio::time::timeout(Duration::from_millis(20), &mut call).await;
    assert!(waited.is_err());
    assert!(!dropped.load(Ordering::SeqCst));
    drop(call);
    assert!(dropped.load(Ordering::SeqCst));
}

#[tokio::test]
async fn a_signature_under_another_key_is_another_signature_to_the_guard() {
    let guard = MemoryReplayGuard::new();
    let now = Moment::new(NOON, 0);
    let keep = Duration::from_secs(600);
    for key in [1, 2] {
        let signature = SignatureId::new(KeyId::from_u128(key), [7; 32]);
        assert_eq!(
            guard.remember(&signature, now, keep).await.unwrap(),
            Seen::First
        );
        assert_eq!(
            guard.remember(&signature, now, keep).await.unwrap(),
            Seen::Again
        );
    }
}

/// Handlers that want to know who calls still do.
#[tokio::test]
async fn the_context_is_there_in_every_mode() {
    let place = Place::new().await;
    for mode in [
        SigningMode::Off,
        SigningMode::Optional,
        SigningMode::Required,
    ] {
        let handler = service_fn(|request: Request<ReadBody<Full<Bytes>>>| {
            let name = request.extensions().get().map(KeyContext::name);
            assert_eq!(name, Some("ci-bot"));
            std::future::ready(Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())))
        });
        let service = place.layer(SignedRequestLayer::new(mode)).layer(handler);
        let request = with(place.signed("/", BODY), Full::from(BODY));
        assert_eq!(support::ask(service, request).await.status, 200);
    }
}
