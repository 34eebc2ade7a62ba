//! What is noted of a request, on each of the ways that it may go.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use mcp_api_keys::key::{KeyId, McpRules};
use mcp_api_keys::layer::McpLayer;
use mcp_api_keys::store::{MemoryStore, SqliteStore};
use mcp_api_keys::testing::ManualClock;
use mcp_api_keys::testing::records::NOON;
use mcp_api_keys::usage::{UsageDimension, UsageObserver, UsageUpdate};
use mcp_api_keys::{ApiKeys, Clock, Grace, NewKey, RateLimit, SignedRequestLayer};
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::support::secret;
use crate::world::{are, builder, issue, keys, plain, read, request, send, told};

use UsageDimension::{Carrier, Operation, Outcome, Secret, Server, Status};

#[tokio::test]
async fn answers_are_counted_by_their_status() {
    let keys = keys().await;
    let (id, key) = issue(&keys, NewKey::named("agent").server("files")).await;
    let layer = keys.layer().server("files").cost(3);
    for path in ["/200", "/204", "/302", "/404", "/401", "/503", "/200"] {
        send(&layer, request(path, &key)).await;
    }
    let expected = [("2xx", 3), ("3xx", 1), ("4xx", 2), ("5xx", 1)];
    assert_eq!(told(&keys, Some(id), Status).await, are(&expected));
    assert_eq!(told(&keys, Some(id), Outcome).await, are(&[("allowed", 7)]));
    assert_eq!(told(&keys, Some(id), Server).await, are(&[("files", 7)]));
    assert_eq!(told(&keys, Some(id), Operation).await, are(&[("GET", 7)]));
    assert_eq!(told(&keys, Some(id), Carrier).await, are(&[("bearer", 7)]));
    let points = read(&keys, Some(id), None).await;
    let counts = &points[0].counts;
    assert_eq!(
        (counts.client_errors, counts.server_errors, counts.cost),
        (2, 1, 21)
    );
    assert_eq!(counts.latency.count(), 7);
    assert!(counts.latency.percentile(50.0).unwrap() < Duration::from_secs(1));
}

#[tokio::test]
async fn requests_that_are_not_answered_are_counted_too() {
    let keys = keys().await;
    let (id, key) = issue(&keys, NewKey::named("agent")).await;
    let layer = keys.layer().any_server();
    // The first is verified, which takes a while; those after it are remembered.
    send(&layer, request("/", &key)).await;
    let hangs = service_fn(|_: Request<Full<Bytes>>| {
        std::future::pending::<Result<Response<Full<Bytes>>, Infallible>>()
    });
    for _ in 0..3 {
        let called = layer.layer(hangs).oneshot(request("/", &key));
        let late = tokio::time::timeout(Duration::from_millis(20), called).await;
        assert!(late.is_err());
    }
    let fails = service_fn(|_: Request<Full<Bytes>>| {
        std::future::ready(Err::<Response<Full<Bytes>>, _>("broken"))
    });
    for _ in 0..2 {
        let failed = layer.layer(fails).oneshot(request("/", &key)).await;
        assert_eq!(failed.map(drop).unwrap_err(), "broken");
    }
    let expected = [("2xx", 1), ("cancelled", 3), ("failed", 2)];
    assert_eq!(told(&keys, Some(id), Status).await, are(&expected));
    let points = read(&keys, Some(id), None).await;
    let counts = &points[0].counts;
    assert_eq!(
        (counts.allowed, counts.cancelled, counts.server_errors),
        (6, 3, 2)
    );
}

#[tokio::test]
async fn denials_are_counted_by_their_reason_and_under_the_key_if_it_is_genuine() {
    let clock = ManualClock::at(NOON);
    let store = MemoryStore::new();
    let keys = builder(store.clone(), store).clock(clock.clone());
    let keys = keys
        .max_stale(Duration::from_secs(86_400))
        .build()
        .await
        .unwrap();
    let layer = keys
        .layer()
        .server("files")
        .require_scope("files:read")
        .unwrap();
    let new = || {
        NewKey::named("agent")
            .server("files")
            .scope("files:read")
            .unwrap()
    };
    let manager = keys.manager();

    let (revoked, revoked_key) = issue(&keys, new()).await;
    send(&layer, request("/", &revoked_key)).await;
    manager.revoke(revoked, None).await.unwrap();
    let (disabled, disabled_key) = issue(&keys, new()).await;
    manager.disable(disabled).await.unwrap();
    let (elsewhere, elsewhere_key) = issue(&keys, NewKey::named("agent").server("mail")).await;
    let (scopeless, scopeless_key) = issue(&keys, NewKey::named("agent").server("files")).await;
    let (limited, limited_key) = issue(&keys, new().rate(RateLimit::per_minute(1))).await;
    let far = new().allow_from("198.51.100.0/24".parse().unwrap());
    let (far, far_key) = issue(&keys, far).await;
    let (expired, expired_key) = issue(&keys, new().expires_in(Duration::from_secs(60))).await;
    send(&layer, request("/", &limited_key)).await;
    clock.advance(Duration::from_secs(70));
    send(&layer, request("/", &limited_key)).await;

    for (id, key, reason) in [
        (revoked, &revoked_key, "revoked"),
        (disabled, &disabled_key, "disabled"),
        (elsewhere, &elsewhere_key, "server_denied"),
        (scopeless, &scopeless_key, "scope_missing"),
        (limited, &limited_key, "rate_limited"),
        (far, &far_key, "address_denied"),
        (expired, &expired_key, "expired"),
    ] {
        for _ in 0..2 {
            assert!(send(&layer, request("/", key)).await.is_client_error());
        }
        let counts = told(&keys, Some(id), Outcome).await;
        assert!(
            counts.contains(&(reason.to_owned(), 2)),
            "{reason} {counts:?}"
        );
        let points = read(&keys, Some(id), Some(Outcome)).await;
        assert!(
            points
                .iter()
                .all(|point| point.counts.allowed + point.counts.denied > 0)
        );
    }
    let none = Request::get("/").body(Full::default()).unwrap();
    send(&layer, none).await;
    let malformed = format!("{expired_key}x");
    send(&layer, request("/", &malformed)).await;
    let unknown = mcp_api_keys::KeyFormat::default().generate(None).unwrap();
    send(&layer, request("/", unknown.expose_secret())).await;
    let all = told(&keys, None, Outcome).await;
    for kind in ["missing", "malformed", "unknown"] {
        assert!(all.contains(&(kind.to_owned(), 1)), "{kind} {all:?}");
    }
    assert_eq!(all.iter().map(|(_, number)| number).sum::<u64>(), 20);
}

#[tokio::test]
async fn the_secrets_of_a_rotation_and_the_places_of_a_key_are_told_apart() {
    let keys = keys().await;
    let (id, old) = issue(&keys, NewKey::named("agent")).await;
    let layer = keys.layer().any_server().path_keys("/mcp/{key}").unwrap();
    let grace = Grace::For(Duration::from_secs(600));
    let issued = keys.manager().rotate_with(id, grace).await.unwrap();
    let new = issued.key().expose_secret().to_owned();
    send(&layer, request("/", &old)).await;
    send(&layer, request("/", &new)).await;
    let by_header = Request::get("/").header("x-api-key", &new);
    send(&layer, by_header.body(Full::default()).unwrap()).await;
    let by_path = Request::get(format!("/mcp/{new}"));
    send(&layer, by_path.body(Full::default()).unwrap()).await;
    assert_eq!(
        told(&keys, Some(id), Secret).await,
        are(&[("1", 1), ("2", 3)])
    );
    let expected = are(&[("bearer", 2), ("header", 1), ("path", 1)]);
    assert_eq!(told(&keys, Some(id), Carrier).await, expected);
}

#[tokio::test]
async fn a_last_use_tells_when_where_from_and_what_for() {
    let clock = ManualClock::at(NOON);
    let store = MemoryStore::new();
    let keys = builder(store.clone(), store).clock(clock.clone());
    let keys = keys
        .max_stale(Duration::from_secs(86_400))
        .build()
        .await
        .unwrap();
    let (id, key) = issue(&keys, NewKey::named("agent").server("files")).await;
    assert_eq!(keys.manager().last_use(id).await.unwrap(), None);
    let layer = keys.layer().server("files");
    send(&layer, request("/", &key)).await;
    keys.flush().await.unwrap();
    clock.advance(Duration::from_secs(7));
    send(&layer, request("/", &key)).await;
    keys.flush().await.unwrap();
    let last = keys.manager().last_use(id).await.unwrap().unwrap();
    assert_eq!(last.at, clock.now().wall);
    assert_eq!(last.address, Some("192.0.2.7".parse().unwrap()));
    assert_eq!(last.carrier, mcp_api_keys::Carrier::Bearer);
    assert_eq!(
        (last.server.as_deref(), last.operation.as_deref()),
        (Some("files"), Some("GET"))
    );
    // A request that is turned away is no use.
    clock.advance(Duration::from_secs(7));
    send(&keys.layer().server("mail"), request("/", &key)).await;
    keys.flush().await.unwrap();
    assert_eq!(keys.manager().last_use(id).await.unwrap(), Some(last));
}

#[tokio::test]
async fn requests_are_named_as_the_integrator_says_and_names_are_bounded() {
    let keys = keys().await;
    let (id, key) = issue(&keys, NewKey::named("agent")).await;
    let layer = keys.layer().any_server();
    let layer = layer.operation(|head| match head.uri.path() {
        "/200" => None,
        "/201" => Some("control\u{7}".to_owned()),
        "/202" => Some("long".repeat(100)),
        path => Some(path.to_owned()),
    });
    for number in 200..300 {
        send(&layer, request(&format!("/{number}"), &key)).await;
    }
    let names = told(&keys, Some(id), Operation).await;
    assert_eq!(names.iter().map(|(_, number)| number).sum::<u64>(), 100);
    assert!(names.contains(&("GET".to_owned(), 1)), "{names:?}");
    assert!(names.contains(&("long".repeat(32), 1)), "{names:?}");
    assert!(names.contains(&("/203".to_owned(), 1)), "{names:?}");
    assert!(names.len() <= 65 && names.iter().all(|(name, _)| name.len() <= 128));
    let (_, other) = names.iter().find(|(name, _)| name == "other").unwrap();
    assert!(*other >= 36, "{names:?}");
    let odd = Request::builder().method("BREW").uri("/200");
    let odd = odd.header("x-api-key", &key).body(Full::default()).unwrap();
    send(&layer, odd).await;
    let names = told(&keys, Some(id), Operation).await;
    assert!(!names.iter().any(|(name, _)| name == "BREW"));
}

fn call(key: &str, body: &str) -> Request<Full<Bytes>> {
    let request = Request::post("/mcp")
        .header("authorization", format!("Bearer {key}"))
        .header("content-type", "application/json");
    request.body(Full::from(body.to_owned())).unwrap()
}

fn tool(name: &str) -> String {
    let name = serde_json::to_string(name).unwrap();
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":{name}}}}}"#)
}

/// Calls with these bodies through the MCP layer, and the statuses of the answers.
async fn mcp(keys: &ApiKeys, key: &str, bodies: &[String]) -> Vec<StatusCode> {
    let layer = McpLayer::new().tool_cost("dear".parse().unwrap(), 50);
    let layer = keys.layer().server("notes").with_mcp(layer);
    let mut statuses = Vec::new();
    for body in bodies {
        let mut service = layer.layer(plain());
        let answer = service
            .ready()
            .await
            .unwrap()
            .call(call(key, body))
            .await
            .unwrap();
        statuses.push(answer.status());
        answer.into_body().collect().await.unwrap();
    }
    statuses
}

#[tokio::test]
async fn messages_of_mcp_are_named_after_their_tool_and_counted_once() {
    let keys = keys().await;
    let rules = McpRules::default().allow_tool("read_*".parse().unwrap());
    let new = NewKey::named("agent").server("notes");
    let (free, free_key) = issue(&keys, new.clone()).await;
    let (bound, bound_key) = issue(&keys, new.clone().mcp(rules)).await;
    let (limited, limited_key) = issue(&keys, new.rate(RateLimit::per_hour(1))).await;
    let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#.to_owned();
    let batch = format!("[{},{}]", tool("a"), tool("b"));
    let bodies = [
        tool("read_note"),
        tool("write_note"),
        tool("dear"),
        tool("read_note"),
        list,
        batch,
        r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":1,"result":{}}"#.to_owned(),
        "no json".to_owned(),
    ];
    mcp(&keys, &free_key, &bodies).await;
    let expected = [
        ("POST", 1),
        ("batch", 1),
        ("dear", 1),
        ("notifications/initialized", 1),
        ("read_note", 2),
        ("response", 1),
        ("tools/list", 1),
        ("write_note", 1),
    ];
    assert_eq!(told(&keys, Some(free), Operation).await, are(&expected));
    assert_eq!(
        told(&keys, Some(free), Outcome).await,
        are(&[("allowed", 9)])
    );
    let points = read(&keys, Some(free), None).await;
    // Four calls and a list of one each, two in the batch, the dear one, and what cannot be read.
    assert_eq!(points[0].counts.cost, 1 + 1 + 50 + 1 + 1 + 2 + 50);

    // Denials are answers of 200 here, and count as denials nevertheless.
    let statuses = mcp(&keys, &bound_key, &bodies[..3]).await;
    assert_eq!(statuses, [StatusCode::OK; 3]);
    let outcomes = are(&[("allowed", 1), ("tool_denied", 2)]);
    assert_eq!(told(&keys, Some(bound), Outcome).await, outcomes);
    let names = are(&[("dear", 1), ("read_note", 1), ("write_note", 1)]);
    assert_eq!(told(&keys, Some(bound), Operation).await, names);
    mcp(&keys, &limited_key, &[tool("a"), tool("a"), tool("b")]).await;
    let outcomes = are(&[("allowed", 1), ("rate_limited", 2)]);
    assert_eq!(told(&keys, Some(limited), Outcome).await, outcomes);
    assert_eq!(read(&keys, Some(limited), None).await[0].counts.cost, 1);
    let last = keys.manager().last_use(free).await.unwrap().unwrap();
    assert!(last.operation.is_some() && last.server.as_deref() == Some("notes"));
    assert_eq!(told(&keys, None, Server).await, are(&[("notes", 15)]));
}

#[tokio::test]
async fn what_the_signing_layer_refuses_is_counted_once() {
    let keys = keys().await;
    let (id, key) = issue(&keys, NewKey::named("agent").server("notes")).await;
    let signed = keys
        .layer()
        .server("notes")
        .with_signing(SignedRequestLayer::required());
    let answer = signed
        .layer(plain())
        .oneshot(call(&key, "{}"))
        .await
        .unwrap();
    assert_eq!(answer.status(), 401);
    let both = signed.with_mcp(McpLayer::new());
    let answer = both.layer(plain()).oneshot(call(&key, "{}")).await.unwrap();
    assert_eq!(answer.status(), 401);
    let expected = are(&[("signature_missing", 2)]);
    assert_eq!(told(&keys, Some(id), Outcome).await, expected);
    assert_eq!(told(&keys, None, Outcome).await, expected);
}

/// P23: whatever callers send, no part of a key is kept.
#[tokio::test]
async fn no_secret_is_in_what_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("keys.db").display());
    let store = SqliteStore::connect(&url).await.unwrap();
    let keys = builder(store.clone(), store.clone()).build().await.unwrap();
    let (_, key) = issue(&keys, NewKey::named("agent").server("notes")).await;
    let layer = keys
        .layer()
        .server("notes")
        .path_keys("/mcp/{key}")
        .unwrap();
    send(&layer, request(&format!("/{key}"), &key)).await;
    send(
        &layer,
        Request::get(format!("/mcp/{key}"))
            .body(Full::default())
            .unwrap(),
    )
    .await;
    send(&layer, request("/", &format!("{key}x"))).await;
    let method = Request::builder()
        .method(&*key)
        .uri("/")
        .header("x-api-key", &key);
    send(&layer, method.body(Full::default()).unwrap()).await;
    let named = layer
        .clone()
        .operation(|head| Some(head.uri.path().to_owned()));
    send(
        &named,
        Request::get(format!("/mcp/{key}"))
            .body(Full::default())
            .unwrap(),
    )
    .await;
    let method = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{key}"}}"#);
    mcp(
        &keys,
        &key,
        &[
            tool(&key),
            tool(&format!("x {key}")),
            tool(&format!("a{key}b")),
            method,
        ],
    )
    .await;
    keys.flush().await.unwrap();
    store.close().await.unwrap();
    let secret = secret(&key).as_bytes();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        for run in secret.windows(8) {
            assert!(!bytes.windows(8).any(|window| window == run));
        }
    }
}

#[derive(Clone, Debug, Default)]
struct Watcher(Arc<Mutex<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    requests: u64,
    denied: Vec<(KeyId, &'static str)>,
    addresses: Vec<std::net::IpAddr>,
    panics: bool,
}

impl UsageObserver for Watcher {
    fn listens(&self) -> bool {
        true
    }

    fn observed(&self, update: &UsageUpdate<'_>) {
        let mut seen = self
            .0
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        seen.requests += update
            .deltas
            .iter()
            .map(|delta| delta.requests)
            .sum::<u64>();
        let denied = update.refusals.iter();
        seen.denied
            .extend(denied.map(|refusal| (refusal.key, refusal.reason)));
        let addresses = update.refusals.iter().filter_map(|refusal| refusal.address);
        seen.addresses.extend(addresses);
        let used = update.uses.iter().filter_map(|(_, last)| last.address);
        seen.addresses.extend(used);
        assert!(!seen.panics, "as it was told");
    }
}

#[tokio::test]
async fn observers_are_told_and_cannot_stop_the_books() {
    let store = MemoryStore::new();
    let watcher = Watcher::default();
    let keys = builder(store.clone(), store).observe_usage(watcher.clone());
    let keys = keys.build().await.unwrap();
    let (id, key) = issue(&keys, NewKey::named("agent")).await;
    let layer = keys.layer().any_server();
    for _ in 0..5 {
        send(&layer, request("/", &key)).await;
    }
    keys.manager().revoke(id, None).await.unwrap();
    send(&layer, request("/", &key)).await;
    keys.flush().await.unwrap();
    {
        let mut seen = watcher.0.lock().unwrap();
        assert_eq!(seen.requests, 6);
        assert_eq!(seen.denied, [(id, "revoked")]);
        let address: std::net::IpAddr = "192.0.2.7".parse().unwrap();
        assert!(seen.addresses.len() >= 2 && seen.addresses.iter().all(|from| *from == address));
        seen.panics = true;
    }
    send(&layer, request("/", &key)).await;
    keys.flush().await.unwrap();
    assert_eq!(
        told(&keys, Some(id), Outcome).await,
        are(&[("allowed", 5), ("revoked", 2)])
    );
}

/// A thread that ends leaves what it noted.
#[test]
fn threads_may_come_and_go() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let keys = runtime.block_on(keys());
    let (id, key) = runtime.block_on(issue(&keys, NewKey::named("agent")));
    let layer = keys.layer().any_server();
    for _ in 0..20 {
        let (layer, key) = (layer.clone(), key.clone());
        let handle = runtime.handle().clone();
        std::thread::spawn(move || handle.block_on(send(&layer, request("/", &key))))
            .join()
            .unwrap();
    }
    let expected = are(&[("2xx", 20)]);
    assert_eq!(runtime.block_on(told(&keys, Some(id), Status)), expected);
    // Recorders that are gone are forgotten by threads that stay.
    for _ in 0..20 {
        let keys = runtime.block_on(crate::world::keys());
        let (id, key) = runtime.block_on(issue(&keys, NewKey::named("agent")));
        let sent = runtime.block_on(send(&keys.layer().any_server(), request("/", &key)));
        assert_eq!(sent, 200);
        assert_eq!(
            runtime.block_on(told(&keys, Some(id), Status)),
            are(&[("2xx", 1)])
        );
    }
}
