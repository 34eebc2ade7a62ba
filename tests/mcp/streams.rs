//! P30: streams of a key that is no longer admitted end within a second, with a word about it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Incoming;
use mcp_api_keys::key::{KeyId, Owner};
use mcp_api_keys::store::MemoryStore;
use mcp_api_keys::testing::{Fault, FaultyStore};
use mcp_api_keys::{ApiKeys, IssuedKey, KeyUpdate, NewKey};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use tokio_stream::StreamExt;
use tonic::Code;
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::server::TcpIncoming;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::support::{Client, Server, bearer, light, serve, soon};
use crate::world::{call, layer};

const SECOND: Duration = Duration::from_secs(1);

/// Streams of several kinds, by path, without end.
fn endless() -> Router {
    Router::new().fallback(|request: Request<Body>| async move {
        let part = |text: &'static str| Ok::<_, Infallible>(Frame::data(Bytes::from(text)));
        let tick = |text: &'static str| {
            let interval = tokio::time::interval(Duration::from_millis(50));
            let ticks = tokio_stream::wrappers::IntervalStream::new(interval);
            Body::new(StreamBody::new(ticks.map(move |_| part(text))))
        };
        let silent = |text: &'static str| {
            let first = tokio_stream::iter([part(text)]);
            Body::new(StreamBody::new(first.chain(tokio_stream::pending())))
        };
        let (kind, body) = match request.uri().path() {
            "/silent" => ("text/event-stream", silent("data: first\n\n")),
            "/cut" => ("text/event-stream", silent("data: fir")),
            "/ticking" => ("text/event-stream", tick("data: tick\n\n")),
            // An event that comes in two parts, again and again.
            "/parts" => {
                let parts = [part("data: a\n"), part("\n")];
                let first = tokio_stream::iter(parts);
                let body = StreamBody::new(first.chain(tokio_stream::pending()));
                ("text/event-stream", Body::new(body))
            }
            "/busy" => {
                let kib: &'static str = Box::leak(format!(":{}\n\n", " ".repeat(64_000)).into());
                let parts = tokio_stream::iter(std::iter::repeat_with(move || part(kib)));
                ("text/event-stream", Body::new(StreamBody::new(parts)))
            }
            "/plain" => ("text/plain", tick("tick")),
            other => panic!("{other}"),
        };
        Response::builder()
            .header("content-type", kind)
            .body(body)
            .unwrap()
    })
}

struct House {
    keys: ApiKeys,
    server: Server,
}

impl House {
    async fn new(with_mcp: bool) -> Self {
        let keys = light(MemoryStore::new()).build().await.unwrap();
        // Whose connections may do all that these streams are opened with.
        let ada = Owner::admin("ada".parse().unwrap());
        keys.manager().put_owner(ada).await.unwrap();
        let outer = keys.layer().server("notes");
        let app = match with_mcp {
            true => endless().layer(outer.with_mcp(layer())),
            false => endless().layer(outer),
        };
        let server = serve(app).await;
        Self { keys, server }
    }

    async fn issue(&self, new: NewKey) -> IssuedKey {
        self.keys
            .manager()
            .issue(new.server("notes"))
            .await
            .unwrap()
    }

    async fn open(&self, client: &Client, path: &str, issued: &IssuedKey, post: bool) -> Incoming {
        let response = self.ask(client, path, issued, post).await;
        assert_eq!(response.status(), 200);
        response.into_body()
    }

    async fn ask(
        &self,
        client: &Client,
        path: &str,
        issued: &IssuedKey,
        post: bool,
    ) -> Response<Incoming> {
        let request = Request::builder()
            .method(if post { "POST" } else { "GET" })
            .uri(self.server.url(path))
            .header("authorization", bearer(issued.key().expose_secret()))
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream");
        let body = if post {
            call("read_note").to_string()
        } else {
            String::new()
        };
        client.open(request.body(body).unwrap()).await
    }
}

/// Reads to the end. Returns when that was, and the last text.
async fn read_out(mut body: Incoming) -> (Instant, String) {
    let mut text = String::new();
    while let Some(frame) = soon(body.frame()).await {
        let Ok(frame) = frame else { break };
        if let Ok(data) = frame.into_data() {
            text.push_str(&String::from_utf8_lossy(&data));
            let at = text.len().saturating_sub(2_000);
            text = text.split_off(at);
        }
    }
    (Instant::now(), text)
}

fn last_event(text: &str) -> (String, Value) {
    let event = text.trim_end().rsplit("\n\n").next().unwrap();
    let field = |name: &str| {
        let mut lines = event.lines();
        let value = lines.find_map(|line| line.strip_prefix(name).map(str::to_owned));
        value.unwrap_or_default()
    };
    let data = serde_json::from_str(&field("data: ")).unwrap_or_default();
    (field("event: "), data)
}

async fn withdraw(keys: &ApiKeys, how: &str, id: KeyId) {
    let manager = keys.manager();
    match how {
        "revoked" => drop(manager.revoke(id, None).await.unwrap()),
        "disabled" => drop(manager.disable(id).await.unwrap()),
        "rotated" => drop(manager.rotate(id).await.unwrap()),
        "deleted" => drop(manager.delete(id).await.unwrap()),
        "disconnected" => drop(manager.disconnect(id).await.unwrap()),
        "moved" => {
            let elsewhere = mcp_api_keys::key::Servers::only(["mail"]).unwrap();
            let update = KeyUpdate::new().servers(elsewhere);
            drop(manager.update(id, update).await.unwrap());
        }
        "expired" => {
            let now = mcp_api_keys::Clock::now(&mcp_api_keys::SystemClock::new()).wall;
            let update =
                KeyUpdate::new().expires_at(Some(now.saturating_add(Duration::from_millis(400))));
            drop(manager.update(id, update).await.unwrap());
            sleep(Duration::from_millis(400)).await;
        }
        other => panic!("{other}"),
    }
}

/// Each with what streams are told, and with the status of the next request.
const WAYS: &[(&str, &str, u16)] = &[
    ("revoked", "invalid_api_key", 401),
    ("disabled", "disabled_api_key", 401),
    ("rotated", "invalid_api_key", 401),
    ("deleted", "invalid_api_key", 401),
    ("disconnected", "invalid_api_key", 401),
    ("expired", "expired_api_key", 401),
    ("moved", "server_not_allowed", 403),
];

/// A key of the kind that can be withdrawn like this.
fn withdrawable(how: &str) -> NewKey {
    let new = NewKey::named("a");
    match how {
        "disconnected" => new.owner("ada").connection("assistant"),
        _ => new,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_a_key_is_withdrawn_its_streams_end_within_a_second() {
    for with_mcp in [true, false] {
        let house = House::new(with_mcp).await;
        let other = house.issue(NewKey::named("other")).await;
        let mut others = house
            .open(&Client::http1(), "/ticking", &other, false)
            .await;
        for client in [Client::http1(), Client::http2()] {
            for (how, code, status) in WAYS {
                let issued = house.issue(withdrawable(how)).await;
                let mut open = Vec::new();
                for path in ["/silent", "/ticking", "/parts", "/cut", "/plain"] {
                    for post in [false, true] {
                        let body = house.open(&client, path, &issued, post).await;
                        open.push((path, post, tokio::spawn(read_out(body))));
                    }
                }
                sleep(Duration::from_millis(100)).await;
                withdraw(&house.keys, how, issued.info().id).await;
                let since = Instant::now();
                for post in [false, true] {
                    let next = house.ask(&client, "/silent", &issued, post).await;
                    assert_eq!(next.status(), *status, "{how}");
                }
                for (path, post, reading) in open {
                    let (end, text) = soon(reading).await.unwrap();
                    let after = end.saturating_duration_since(since);
                    assert!(after < SECOND, "{how} {path}: {after:?}");
                    let (event, data) = last_event(&text);
                    match path {
                        // Between the parts of an event there is no place for another.
                        "/cut" | "/plain" => assert!(!text.contains(code), "{text}"),
                        _ if post && with_mcp => {
                            assert_eq!((event.as_str(), &data["id"]), ("message", &json!(2)));
                            assert_eq!(data["error"]["data"]["code"], *code, "{path} {text}");
                        }
                        _ => {
                            assert_eq!(event, "error", "{path} {text}");
                            assert_eq!(data["error"]["code"], *code, "{path} {text}");
                        }
                    }
                }
            }
        }
        let frame = soon(others.frame()).await.unwrap().unwrap();
        assert!(frame.is_data(), "streams of other keys go on");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_streams_at_once() {
    let house = House::new(true).await;
    let (gone, stays) = (
        house.issue(NewKey::named("gone")).await,
        house.issue(NewKey::named("stays")).await,
    );
    let client = Client::http1();
    let (mut ending, mut staying) = (Vec::new(), Vec::new());
    for number in 0..200 {
        let path = ["/silent", "/ticking"][number % 2];
        let body = house.open(&client, path, &gone, number % 3 == 0).await;
        ending.push(tokio::spawn(read_out(body)));
        if number % 4 == 0 {
            staying.push(house.open(&client, "/ticking", &stays, false).await);
        }
    }
    sleep(Duration::from_millis(300)).await;
    withdraw(&house.keys, "revoked", gone.info().id).await;
    let since = Instant::now();
    let mut times = Vec::new();
    for reading in ending {
        let (end, text) = soon(reading).await.unwrap();
        assert!(text.contains("invalid_api_key"), "{text}");
        times.push(end.saturating_duration_since(since));
    }
    times.sort();
    println!(
        "P30: {} streams of a revoked key ended after {:?} (median), {:?} (last)",
        times.len(),
        times[times.len() / 2],
        times[times.len() - 1]
    );
    assert!(times[times.len() - 1] < SECOND, "{times:?}");
    for mut body in staying {
        for _ in 0..3 {
            assert!(soon(body.frame()).await.unwrap().unwrap().is_data());
        }
    }
}

/// An answer that never pauses is looked at as well; so is one whose reader is slow, as soon as it
/// asks for more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_never_pauses_ends_too() {
    for pause in [Duration::ZERO, Duration::from_millis(30)] {
        let house = House::new(true).await;
        let issued = house.issue(NewKey::named("a")).await;
        let mut body = house.open(&Client::http1(), "/busy", &issued, false).await;
        let reading = tokio::spawn(async move {
            let mut last = Vec::new();
            while let Some(Ok(frame)) = soon(body.frame()).await {
                last = frame.into_data().unwrap().to_vec();
                sleep(pause).await;
            }
            (Instant::now(), String::from_utf8(last).unwrap())
        });
        sleep(Duration::from_millis(200)).await;
        withdraw(&house.keys, "revoked", issued.info().id).await;
        let since = Instant::now();
        let (end, last) = soon(reading).await.unwrap();
        let after = end.saturating_duration_since(since);
        println!("P30: a busy stream, read with pauses of {pause:?}, ended after {after:?}");
        // What the sockets hold has to be read first.
        let most = if pause.is_zero() { SECOND } else { SECOND * 10 };
        assert!(after < most, "{after:?}");
        assert!(last.contains("invalid_api_key"), "{last}");
    }
}

/// Without the store streams go on as long as requests do, and not longer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_store_streams_end_when_requests_would_be_refused() {
    let store = FaultyStore::new(MemoryStore::new());
    let faults = store.faults();
    let keys = light(store)
        .poll_interval(Duration::from_millis(100))
        .max_stale(Duration::from_millis(1_500))
        .build()
        .await
        .unwrap();
    let app = endless().layer(keys.layer().server("notes").with_mcp(layer()));
    let house = House {
        server: serve(app).await,
        keys,
    };
    let issued = house.issue(NewKey::named("a")).await;
    let body = house
        .open(&Client::http1(), "/silent", &issued, false)
        .await;
    let reading = tokio::spawn(read_out(body));
    faults.every(Fault::Fail);
    let since = Instant::now();
    sleep(Duration::from_millis(900)).await;
    assert!(
        !reading.is_finished(),
        "it is known how the key was a moment ago"
    );
    let (end, text) = soon(reading).await.unwrap();
    assert!(end - since < Duration::from_secs(10), "{:?}", end - since);
    assert_eq!(
        last_event(&text).1["error"]["code"],
        "unavailable",
        "{text}"
    );
}

/// A change of the key that leaves it its rights ends nothing.
#[tokio::test]
async fn a_changed_key_keeps_its_streams() {
    let house = House::new(true).await;
    let issued = house.issue(NewKey::named("a")).await;
    let mut body = house
        .open(&Client::http1(), "/ticking", &issued, true)
        .await;
    let update = KeyUpdate::new().name("b");
    house
        .keys
        .manager()
        .update(issued.info().id, update)
        .await
        .unwrap();
    let since = Instant::now();
    while since.elapsed() < Duration::from_millis(1_500) {
        assert!(soon(body.frame()).await.unwrap().unwrap().is_data());
    }
}

/// A stream of gRPC ends with a status.
#[tokio::test]
async fn a_grpc_stream_ends_with_a_status() {
    let keys = light(MemoryStore::new()).build().await.unwrap();
    let (_, health) = tonic_health::server::health_reporter();
    let incoming = TcpIncoming::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = incoming.local_addr().unwrap();
    let server = tonic::transport::Server::builder()
        .layer(keys.layer().server("notes"))
        .add_service(health);
    let server = Server::new(address, async {
        server.serve_with_incoming(incoming).await.unwrap();
    });
    for (how, code) in [
        ("revoked", Code::Unauthenticated),
        ("expired", Code::Unauthenticated),
        ("moved", Code::PermissionDenied),
    ] {
        let new = NewKey::named("a").server("notes");
        let issued = keys.manager().issue(new).await.unwrap();
        let channel = tonic::transport::Channel::from_shared(server.url("")).unwrap();
        let mut client = HealthClient::new(channel.connect().await.unwrap());
        let mut request = tonic::Request::new(HealthCheckRequest::default());
        let value: AsciiMetadataValue = bearer(issued.key().expose_secret()).parse().unwrap();
        request.metadata_mut().insert("authorization", value);
        let mut stream = soon(client.watch(request)).await.unwrap().into_inner();
        soon(stream.message()).await.unwrap().unwrap();
        withdraw(&keys, how, issued.info().id).await;
        let since = Instant::now();
        let status = soon(stream.message()).await.unwrap_err();
        println!(
            "P30: a gRPC stream of a {how} key ended after {:?}",
            since.elapsed()
        );
        assert!(since.elapsed() < SECOND, "{:?}", since.elapsed());
        assert_eq!(status.code(), code, "{status:?}");
    }
}
