//! Defects found in other crates and servers by running or reading them, each as a test of ours.

#![cfg(all(feature = "axum", feature = "rmcp", feature = "testing"))]
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests panic"
)]

mod support;

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use bytes::Bytes;
use http::request::Builder;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use mcp_api_keys::client_ip::{ClientIp, ClientIpSource};
use mcp_api_keys::key::KeyId;
use mcp_api_keys::policy::{Facts, Policy};
use mcp_api_keys::store::{KeyStore, MemoryStore};
use mcp_api_keys::testing::records::NOON;
use mcp_api_keys::testing::{Call, Fault, FaultyStore, ManualClock};
use mcp_api_keys::{
    ApiKeyLayer, ApiKeys, ErrorKind, KeyFormat, NewKey, RateLimit, Rejection, RejectionKind,
};
use support::tools::{call, initialize, initialized, mcp, message, with_key};
use support::{Answer, Client, Probe, ask, bearer, issue, light, peer, secret, serve, soon};
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};
use tower_test::mock;

type Body = Full<Bytes>;

/// A layer with a handler behind it.
#[derive(Clone)]
struct Door {
    layer: ApiKeyLayer,
    probe: Probe,
}

impl Door {
    fn of(keys: &ApiKeys) -> Self {
        let probe = Probe::default();
        let layer = keys.layer().server("files");
        Self { layer, probe }
    }

    async fn ask(&self, request: Builder) -> Answer {
        let request = request.body(Body::default()).unwrap();
        ask(self.layer.layer(self.probe.service()), request).await
    }

    /// `ok`, or the code of the refusal.
    async fn outcome(&self, request: Builder) -> String {
        let answer = self.ask(request).await;
        if answer.status == StatusCode::OK {
            "ok".to_owned()
        } else {
            answer.refusal().1
        }
    }
}

fn request(key: &str) -> Builder {
    Request::get("/").header("authorization", bearer(key))
}

/// A key for the server behind the doors.
fn new_key() -> NewKey {
    NewKey::named("ci-bot").server("files")
}

/// A well-formed key that was never issued.
fn stranger() -> String {
    let key = KeyFormat::default().generate(None).unwrap();
    key.expose_secret().to_owned()
}

async fn id_of(keys: &ApiKeys, key: &str) -> KeyId {
    let parsed = KeyFormat::default();
    let parsed = parsed.parse(key.as_bytes()).unwrap();
    let info = keys.manager().get_by_handle(parsed.handle()).await;
    info.unwrap().id
}

/// A clock to set by hand, and keys that trust the store for as long as it may show.
async fn keys_by(clock: &ManualClock) -> ApiKeys {
    let keys = light(MemoryStore::new()).clock(clock.clone());
    let keys = keys.max_stale(Duration::from_secs(10 * 86_400));
    keys.build().await.unwrap()
}

fn behind_a_proxy() -> ClientIp {
    ClientIp::behind(
        ["10.0.0.0/8".parse().unwrap()],
        ClientIpSource::XForwardedFor,
    )
}

// === addresses ===

#[tokio::test]
async fn rotating_x_forwarded_for_gives_no_fresh_failure_budget() {
    const PROXY: &str = "10.0.0.1";
    for (client_ip, from, proxied) in [
        (ClientIp::peer(), "203.0.113.9", false),
        (behind_a_proxy(), "203.0.113.9", false),
        (behind_a_proxy(), PROXY, true),
    ] {
        let keys = light(MemoryStore::new())
            .client_ip(client_ip)
            .failure_limit(Some(RateLimit::per_day(5)))
            .clock(ManualClock::at(NOON));
        let keys = keys.build().await.unwrap();
        let door = Door::of(&keys);
        let known = issue(&keys, new_key()).await;
        let cold = issue(&keys, new_key()).await;
        // What the proxy saw stands behind what the client made up.
        let claim = |made_up: String| match proxied {
            true => format!("{made_up}, 203.0.113.9"),
            false => made_up,
        };
        let ask = |key: &str, made_up: String| {
            let request = request(key).extension(peer(from));
            let request = request.header("x-forwarded-for", claim(made_up));
            let door = door.clone();
            async move { door.outcome(request).await }
        };
        assert_eq!(ask(&known, "192.0.2.1".to_owned()).await, "ok");

        let mut outcomes = Vec::new();
        for number in 0..100 {
            outcomes.push(ask(&stranger(), format!("198.51.100.{number}")).await);
        }
        assert!(outcomes[..5].iter().all(|code| code == "invalid_api_key"));
        assert!(outcomes[5..].iter().all(|code| code == "too_many_failures"));

        let spoofed = "192.0.2.1".to_owned();
        assert_eq!(ask(&cold, spoofed.clone()).await, "too_many_failures");
        assert_eq!(ask(&known, spoofed).await, "ok", "proven keys go on");
        let elsewhere = request(&cold).extension(peer("203.0.113.10"));
        assert_eq!(door.outcome(elsewhere).await, "ok", "others go on");
    }
}

#[tokio::test]
async fn two_xff_lines_or_client_sent_forwarded_never_choose_the_address() {
    const CLIENT: &str = "203.0.113.9";
    const SPOOFED: &str = "198.51.100.7";
    let keys = light(MemoryStore::new()).client_ip(behind_a_proxy());
    let keys = keys.build().await.unwrap();
    let door = Door::of(&keys);
    let of_client = issue(&keys, new_key().allow_from(CLIENT.parse().unwrap())).await;
    let of_other = issue(&keys, new_key().allow_from(SPOOFED.parse().unwrap())).await;

    let proxied: fn(Builder) -> Builder = |request| {
        let request = request.extension(peer("10.0.0.1"));
        request.header("x-forwarded-for", CLIENT)
    };
    let direct: fn(Builder) -> Builder = |request| request.extension(peer(CLIENT));
    let claims: [fn(Builder) -> Builder; 6] = [
        |request| request,
        |request| request.header("x-forwarded-for", SPOOFED),
        |request| request.header("x-forwarded-for", format!("{SPOOFED}, 10.0.0.2")),
        |request| request.header("forwarded", format!("for={SPOOFED}")),
        |request| request.header("x-real-ip", SPOOFED),
        |request| request.header("cf-connecting-ip", SPOOFED),
    ];
    for way in [proxied, direct] {
        for claim in claims {
            // The client's own lines come first, the proxy's is added behind them.
            let outcome = door.outcome(way(claim(request(&of_client)))).await;
            assert_eq!(outcome, "ok");
            let outcome = door.outcome(way(claim(request(&of_other)))).await;
            assert_eq!(outcome, "ip_not_allowed");
        }
    }
}

/// What a policy of an integrator would say, who knows nothing of mapped addresses.
#[derive(Debug)]
struct Ipv4Only;

impl Policy for Ipv4Only {
    fn check(&self, facts: &Facts<'_>) -> Result<(), Rejection> {
        match facts.client() {
            Some(address) if address.is_ipv4() => Ok(()),
            _ => Err(Rejection::by_policy("ipv4_only", "Come by IPv4")),
        }
    }
}

#[tokio::test]
async fn mapped_ipv6_is_ipv4() {
    let keys = light(MemoryStore::new())
        .client_ip(behind_a_proxy())
        .failure_limit(Some(RateLimit::per_day(1)));
    let keys = keys.build().await.unwrap();
    let mut door = Door::of(&keys);
    door.layer = door.layer.policy(Ipv4Only);
    let network = || "203.0.113.0/24".parse().unwrap();
    let allowed = issue(&keys, new_key().allow_from(network())).await;
    let denied = issue(&keys, new_key().deny_from(network())).await;

    let direct = |key: &str| request(key).extension(peer("::ffff:203.0.113.7"));
    let proxied = |key: &str| {
        let request = request(key).extension(peer("::ffff:10.0.0.1"));
        request.header("x-forwarded-for", "::ffff:203.0.113.7")
    };
    for request in [direct(&allowed), proxied(&allowed)] {
        assert_eq!(door.outcome(request).await, "ok");
    }
    for request in [direct(&denied), proxied(&denied)] {
        assert_eq!(door.outcome(request).await, "ip_not_allowed");
    }
    // One client, one budget, however its address is written.
    let plain = request(&stranger()).extension(peer("203.0.113.7"));
    assert_eq!(door.outcome(plain).await, "invalid_api_key");
    for request in [direct(&stranger()), proxied(&stranger())] {
        assert_eq!(door.outcome(request).await, "too_many_failures");
    }
}

#[tokio::test]
async fn missing_connect_info_is_no_500() {
    let keys = light(MemoryStore::new())
        .failure_limit(Some(RateLimit::per_day(1)))
        .build();
    let keys = keys.await.unwrap();
    let app = Router::new()
        .route_service("/", Probe::default().service())
        .layer(keys.layer().server("files"));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    // Without `into_make_service_with_connect_info`.
    let _server = support::Server::new(address, async {
        axum::serve(listener, app).await.unwrap();
    });
    let (client, url) = (Client::http1(), format!("http://{address}/"));

    let free = issue(&keys, new_key()).await;
    let bound = issue(&keys, new_key().allow_from("127.0.0.1".parse().unwrap())).await;
    let answer = client.get(&url, &[("x-api-key", &free)]).await;
    assert_eq!(answer.status, StatusCode::OK);
    let answer = client.get(&url, &[("x-api-key", &bound)]).await;
    assert_eq!(answer.refusal(), (403, "ip_not_allowed".to_owned()));
    for _ in 0..5 {
        // Counted together, strangers without an address would lock out everybody else.
        let answer = client.get(&url, &[("x-api-key", &stranger())]).await;
        assert_eq!(answer.refusal(), (401, "invalid_api_key".to_owned()));
    }
}

// === limits ===

#[tokio::test]
async fn retry_after_is_never_zero_and_always_long_enough() {
    let clock = ManualClock::at(NOON);
    let keys = keys_by(&clock).await;
    let door = Door::of(&keys);
    for limit in [
        RateLimit::per_second(1_000).burst(1),
        RateLimit::per_second(3).burst(1),
        RateLimit::per_minute(60),
        RateLimit::per_minute(7).burst(2),
        RateLimit::per_hour(1),
    ] {
        let key = issue(&keys, new_key().rate(limit.clone())).await;
        while door.outcome(request(&key)).await == "ok" {}
        for _ in 0..3 {
            let refused = door.ask(request(&key)).await;
            assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
            let wait: u64 = refused.header("retry-after").parse().unwrap();
            assert!(wait >= 1, "{limit}");
            clock.advance(Duration::from_secs(wait));
            assert_eq!(door.outcome(request(&key)).await, "ok", "{limit}");
            while door.outcome(request(&key)).await == "ok" {}
        }
    }
}

#[tokio::test]
async fn sixty_per_minute_is_sixty() {
    let clock = ManualClock::at(NOON);
    let keys = keys_by(&clock).await;
    let door = Door::of(&keys);
    let key = issue(&keys, new_key().rate(RateLimit::per_minute(60))).await;
    let admitted = async || {
        let mut admitted = 0;
        for _ in 0..100 {
            admitted += usize::from(door.outcome(request(&key)).await == "ok");
        }
        admitted
    };
    assert_eq!(admitted().await, 60);
    clock.advance(Duration::from_secs(1));
    assert_eq!(admitted().await, 1);
    clock.advance(Duration::from_secs(60));
    assert_eq!(admitted().await, 60);
}

#[tokio::test]
async fn limits_are_not_reset_by_a_flood_of_other_keys() {
    // Some keys are forgotten, or all of them at once.
    for cached in [8, 0] {
        let store = FaultyStore::new(MemoryStore::new());
        let faults = store.faults();
        let keys = light(store)
            .cached_keys(cached)
            .poll_interval(Duration::from_millis(1))
            .clock(ManualClock::at(NOON));
        let keys = keys.build().await.unwrap();
        let door = Door::of(&keys);
        let limited = || new_key().rate(RateLimit::per_hour(10));
        let victim = issue(&keys, limited()).await;
        let mut admitted = 0;
        for _ in 0..3 {
            for _ in 0..20 {
                admitted += usize::from(door.outcome(request(&victim)).await == "ok");
            }
            for _ in 0..50 {
                let other = issue(&keys, limited()).await;
                assert_eq!(door.outcome(request(&other)).await, "ok");
            }
            // The node tidies up now and then, after so many looks at the change log.
            let tidied = faults.calls_of(Call::ChangesSince) + 20;
            soon(async {
                while faults.calls_of(Call::ChangesSince) < tidied {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            })
            .await;
            assert_eq!(admitted, 10);
        }
        if cached == 0 {
            assert!(faults.lookups() > 3 * 50 + 3, "the victim was forgotten");
        }
    }
}

#[tokio::test]
async fn denial_spends_no_quota() {
    let clock = ManualClock::at(NOON);
    let keys = keys_by(&clock).await;
    let door = Door::of(&keys);
    let limited = new_key()
        .rate(RateLimit::per_hour(3).named("hour"))
        .allow_from("203.0.113.7".parse().unwrap());
    let key = issue(&keys, limited).await;
    let asking = || request(&key).extension(peer("203.0.113.7"));
    let other_door = |layer| Door {
        layer,
        probe: door.probe.clone(),
    };
    let mail = other_door(keys.layer().server("mail"));
    let write = keys.layer().server("files").require_scope("files:write");
    let write = other_door(write.unwrap());

    for left in [2, 1, 0] {
        for _ in 0..10 {
            let elsewhere = request(&key).extension(peer("198.51.100.1"));
            assert_eq!(door.outcome(elsewhere).await, "ip_not_allowed");
            assert_eq!(mail.outcome(asking()).await, "server_not_allowed");
            assert_eq!(write.outcome(asking()).await, "insufficient_scope");
        }
        let answer = door.ask(asking()).await;
        let limit = answer.header("ratelimit");
        assert!(
            limit.starts_with(&format!(r#""hour";r={left};"#)),
            "{limit}"
        );
    }
    assert_eq!(door.outcome(asking()).await, "rate_limit_exceeded");
    assert_eq!(door.probe.calls(), 3);
}

#[tokio::test]
async fn a_request_that_one_limit_refuses_spends_nothing_of_the_other() {
    let clock = ManualClock::at(NOON);
    let keys = keys_by(&clock).await;
    let door = Door::of(&keys);
    for limits in [["second", "hour"], ["hour", "second"]] {
        let key = limits.iter().fold(new_key(), |new, name| match *name {
            "second" => new.rate(RateLimit::per_second(1).named("second")),
            name => new.rate(RateLimit::per_hour(3).named(name)),
        });
        let key = issue(&keys, key).await;
        for _ in 0..3 {
            assert_eq!(door.outcome(request(&key)).await, "ok");
            for _ in 0..10 {
                let refused = door.outcome(request(&key)).await;
                assert_eq!(refused, "rate_limit_exceeded");
            }
            clock.advance(Duration::from_secs(1));
        }
        assert_eq!(door.outcome(request(&key)).await, "rate_limit_exceeded");
    }
}

// === the inner service ===

#[tokio::test]
async fn an_unready_inner_service_is_never_called() {
    let store = FaultyStore::new(MemoryStore::new());
    let faults = store.faults();
    let keys = light(store).build().await.unwrap();
    let key = issue(&keys, new_key()).await;
    let asking = || request(&key).body(Body::default()).unwrap();
    let (mut service, mut inner): (_, mock::Handle<Request<Body>, Response<Body>>) =
        mock::spawn_layer(keys.layer().server("files"));

    inner.allow(0);
    assert!(service.poll_ready::<Request<Body>>().is_pending());
    // Once for a key that has to be looked up first, once for one that is remembered.
    for remembered in [false, true] {
        inner.allow(1);
        assert!(service.poll_ready::<Request<Body>>().is_ready());
        inner.allow(0);
        faults.every_call_of(Call::FindByHandle, Fault::Hang);
        let answer = tokio::spawn(service.call(asking()));
        if !remembered {
            soon(faults.until_held(1)).await;
            assert!(inner.poll_request().is_pending(), "called before verifying");
        }
        // The one that was ready is gone with the request; what is left has to wait its turn.
        assert!(service.poll_ready::<Request<Body>>().is_pending());
        faults.clear();
        let (seen, respond) = soon(inner.next_request()).await.unwrap();
        assert!(!seen.headers().contains_key("authorization"));
        respond.send_response(Response::new(Body::from("done")));
        let answer = soon(answer).await.unwrap().unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
    }
    assert_eq!(faults.lookups(), 1);
}

#[tokio::test]
async fn a_refused_request_leaves_the_inner_service_alone() {
    let keys = light(MemoryStore::new()).build().await.unwrap();
    let (mut service, mut inner): (_, mock::Handle<Request<Body>, Response<Body>>) =
        mock::spawn_layer(keys.layer().server("files"));
    for request in [Request::get("/"), request(&stranger()), request("nonsense")] {
        inner.allow(1);
        assert!(service.poll_ready::<Request<Body>>().is_ready());
        let request = request.body(Body::default()).unwrap();
        let answer = service.call(request).await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        assert!(inner.poll_request().is_pending());
    }
}

#[tokio::test]
async fn over_a_concurrency_limit_requests_wait_their_turn() {
    let keys = light(MemoryStore::new()).build().await.unwrap();
    let (inside, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (entered, highest) = (Arc::clone(&inside), Arc::clone(&most));
    let service = ServiceBuilder::new()
        .layer(keys.layer().server("files"))
        .concurrency_limit(2)
        .service(service_fn(move |_: Request<Body>| {
            let (entered, highest) = (Arc::clone(&entered), Arc::clone(&highest));
            async move {
                let now = entered.fetch_add(1, Ordering::SeqCst) + 1;
                highest.fetch_max(now, Ordering::SeqCst);
                tokio::task::yield_now().await;
                entered.fetch_sub(1, Ordering::SeqCst);
                Ok::<_, Infallible>(Response::new(Body::default()))
            }
        }));
    let key = issue(&keys, new_key()).await;
    // Twice: the first round has to look the key up.
    for _ in 0..2 {
        let mut requests = tokio::task::JoinSet::new();
        for _ in 0..16 {
            let request = request(&key).body(Body::default()).unwrap();
            requests.spawn(service.clone().oneshot(request));
        }
        for answer in soon(requests.join_all()).await {
            assert_eq!(answer.unwrap().status(), StatusCode::OK);
        }
    }
    assert_eq!(most.load(Ordering::SeqCst), 2);
}

// === key texts ===

/// Six base62 digits of CRC-32, as anybody can compute them.
fn with_checksum(text: &str) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut rest = crc32fast::hash(text.as_bytes());
    let mut digits = [0; 6];
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS[rest as usize % 62];
        rest /= 62;
    }
    format!("{text}{}", std::str::from_utf8(&digits).unwrap())
}

#[tokio::test]
async fn forged_checksum_opens_nothing() {
    let keys = light(MemoryStore::new()).build().await.unwrap();
    let door = Door::of(&keys);
    let key = issue(&keys, new_key()).await;
    let body = key.strip_prefix("mcp_sk_").unwrap();
    assert_eq!(with_checksum(&key[..key.len() - 6]), key);

    let (handle, secret) = (&body[..8], &body[8..32]);
    let other = if secret.starts_with('a') { "b" } else { "a" };
    for (forged, kind) in [
        (
            format!("mcp_sk_{handle}{}", "0".repeat(24)),
            RejectionKind::WrongSecret,
        ),
        (
            format!("mcp_sk_{handle}{other}{}", &secret[1..]),
            RejectionKind::WrongSecret,
        ),
        (
            format!("mcp_sk_{}{secret}", "0".repeat(8)),
            RejectionKind::Unknown,
        ),
    ] {
        let forged = with_checksum(&forged);
        assert!(KeyFormat::default().parse(forged.as_bytes()).is_ok());
        let request = request(&forged).body(Body::default()).unwrap();
        let service = door.layer.layer(door.probe.service());
        let response = service.oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        let rejection = response.extensions().get::<Rejection>().unwrap();
        assert_eq!(rejection.kind(), kind);
        assert_eq!(rejection.key_id(), None);
        let text = Answer::of(response).await.text;
        assert!(text.contains("invalid_api_key"), "{text}");
    }
    assert_eq!(door.probe.calls(), 0);
}

#[tokio::test]
async fn an_attackers_number_overflows_nothing() {
    let keys = light(MemoryStore::new())
        .accept_format(KeyFormat::segmented("ok1").unwrap())
        .build();
    let keys = keys.await.unwrap();
    let door = Door::of(&keys);
    let mut texts = vec![
        format!("mcp_sk_{}", "z".repeat(38)),
        format!("mcp_sk_{}{}", "0".repeat(32), "zzzzzz"),
        format!("mcp_sk_{}{}", "0".repeat(32), "999999"),
        format!("mcp_sk_{}", "9".repeat(100_000)),
        format!(
            "ok1-{}-{}-{}",
            "9".repeat(65),
            "9".repeat(8),
            "9".repeat(32)
        ),
        format!("ok1--{}-{}", "9".repeat(8), "9".repeat(32)),
        format!("ok1-{}", "-".repeat(41)),
        "ok1-18446744073709551616".to_owned(),
        "mcp_sk_".to_owned(),
        "ok1-".to_owned(),
    ];
    texts.extend((0..64).map(|length| format!("mcp_sk_{}", "z".repeat(length))));
    texts.extend((0..64).map(|length| format!("ok1-{}", "9".repeat(length))));
    for text in texts {
        assert_eq!(
            door.outcome(request(&text)).await,
            "invalid_api_key",
            "{text:.80}"
        );
    }
    let bytes = http::HeaderValue::from_bytes(b"Bearer mcp_sk_\xff\xfe").unwrap();
    let request = Request::get("/").header("authorization", bytes);
    assert_eq!(door.outcome(request).await, "invalid_api_key");
}

#[tokio::test]
async fn a_prefix_with_underscores_parses_back() {
    let prefixes = ["mcp_", "mcp_sk_", "my_co_live_", "a__b", "__", "x-y_"];
    for prefix in prefixes {
        let mut keys = light(MemoryStore::new()).format(KeyFormat::new(prefix).unwrap());
        for other in prefixes {
            keys = keys.accept_format(KeyFormat::new(other).unwrap().without_checksum());
        }
        let keys = keys.build().await.unwrap();
        let issued = keys.manager().issue(new_key()).await.unwrap();
        let key = issued.key().expose_secret();
        assert!(key.starts_with(prefix));
        assert_eq!(key[prefix.len()..][..8], *issued.info().handle.as_str());
        assert_eq!(Door::of(&keys).outcome(request(key)).await, "ok");
    }
}

#[tokio::test]
async fn hashing_does_not_hold_up_the_async_thread() {
    // One thread for everything, and the real, slow hash.
    let keys = ApiKeys::builder(MemoryStore::new()).build().await.unwrap();
    let door = Door::of(&keys);
    let key = issue(&keys, new_key()).await;
    let mut turns = 0;
    let outcome = {
        let mut asking = std::pin::pin!(door.outcome(request(&key)));
        loop {
            tokio::select! {
                biased;
                outcome = &mut asking => break outcome,
                () = tokio::task::yield_now() => turns += 1,
            }
        }
    };
    assert_eq!(outcome, "ok");
    assert!(turns > 100, "others had {turns} turns meanwhile");
}

// === revocation ===

#[tokio::test]
async fn a_validation_writes_nothing_to_the_store() {
    let store = FaultyStore::new(MemoryStore::new());
    let faults = store.faults();
    let keys = light(store).build().await.unwrap();
    let door = Door::of(&keys);
    let key = issue(&keys, new_key().rate(RateLimit::per_minute(50))).await;
    let writes = || {
        let writes = [Call::Insert, Call::Replace, Call::Delete];
        writes
            .map(|call| faults.calls_of(call))
            .iter()
            .sum::<usize>()
    };
    let before = writes();
    for number in 0..100 {
        let outcome = door.outcome(request(&key)).await;
        assert_eq!(outcome == "ok", number < 50);
        assert_eq!(door.outcome(request(&stranger())).await, "invalid_api_key");
    }
    assert_eq!(writes(), before);
    assert_eq!(faults.lookups(), 101, "a proven key is looked up once");
}

#[tokio::test]
async fn a_concurrent_verification_does_not_restore_a_revoked_key() {
    let memory = MemoryStore::new();
    let store = FaultyStore::new(memory.clone());
    let faults = store.faults();
    let keys = light(store).build().await.unwrap();
    let door = Door::of(&keys);
    let key = issue(&keys, new_key()).await;
    let id = id_of(&keys, &key).await;

    // The row has been read, and is on its way, when the key is revoked.
    faults.nth_call_of(Call::FindByHandle, 1, Fault::Withhold);
    let verifying = tokio::spawn({
        let (door, request) = (door.clone(), request(&key));
        async move { door.outcome(request).await }
    });
    soon(faults.until_held(1)).await;
    keys.manager().revoke(id, None).await.unwrap();
    let revoked = memory.get(id).await.unwrap().unwrap();
    faults.clear();

    assert_eq!(soon(verifying).await.unwrap(), "invalid_api_key");
    assert_eq!(door.outcome(request(&key)).await, "invalid_api_key");
    assert_eq!(memory.get(id).await.unwrap().unwrap(), revoked);
    assert_eq!(door.probe.calls(), 0);
}

#[tokio::test]
async fn a_revoked_key_does_not_live_on_in_the_cache() {
    let store = MemoryStore::new();
    let here = light(store.clone()).build().await.unwrap();
    let there = light(store).build().await.unwrap();
    let (door, other_door) = (Door::of(&here), Door::of(&there));
    for (act, refusal) in [
        ("revoke", "invalid_api_key"),
        ("delete", "invalid_api_key"),
        ("rotate", "invalid_api_key"),
        ("disable", "disabled_api_key"),
    ] {
        let key = issue(&here, new_key()).await;
        let id = id_of(&here, &key).await;
        for door in [&door, &other_door] {
            assert_eq!(door.outcome(request(&key)).await, "ok");
        }
        let manager = here.manager();
        match act {
            "revoke" => drop(manager.revoke(id, None).await.unwrap()),
            "delete" => assert!(manager.delete(id).await.unwrap()),
            "rotate" => drop(manager.rotate(id).await.unwrap()),
            _ => drop(manager.disable(id).await.unwrap()),
        }
        assert_eq!(door.outcome(request(&key)).await, refusal, "after {act}");
        // Elsewhere as soon as the change log has been read.
        there.catch_up().await.unwrap();
        assert_eq!(
            other_door.outcome(request(&key)).await,
            refusal,
            "after {act}"
        );
    }
}

#[tokio::test]
async fn a_rotation_does_not_outlive_the_original_expiry() {
    let clock = ManualClock::at(NOON);
    let keys = keys_by(&clock).await;
    let door = Door::of(&keys);
    let hour = Duration::from_secs(3_600);
    let first = keys.manager().issue(new_key().expires_in(hour));
    let first = first.await.unwrap();
    let id = first.info().id;
    let old = first.key().expose_secret();
    assert_eq!(door.outcome(request(old)).await, "ok");

    clock.advance(hour / 2);
    let second = keys.manager().rotate(id).await.unwrap();
    let new = second.key().expose_secret();
    assert_eq!(second.info().id, id);
    assert_eq!(second.info().expires_at, first.info().expires_at);
    assert_eq!(door.outcome(request(old)).await, "invalid_api_key");
    assert_eq!(door.outcome(request(new)).await, "ok");

    clock.advance(hour / 2 - Duration::from_millis(1));
    assert_eq!(door.outcome(request(new)).await, "ok");
    clock.advance(Duration::from_millis(1));
    assert_eq!(door.outcome(request(old)).await, "invalid_api_key");
    assert_eq!(door.outcome(request(new)).await, "expired_api_key");
    let again = keys.manager().rotate(id).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Conflict);
}

// === carriers ===

#[tokio::test]
async fn query_and_cookie_are_never_carriers() {
    let keys = light(MemoryStore::new()).build().await.unwrap();
    let mut door = Door::of(&keys);
    let key = issue(&keys, new_key()).await;
    for with_path_keys in [false, true] {
        if with_path_keys {
            door.layer = door.layer.path_keys("/mcp/{key}").unwrap();
        }
        for name in [
            "key",
            "api_key",
            "apikey",
            "token",
            "access_token",
            "authorization",
        ] {
            for request in [
                Request::get(format!("/mcp?{name}={key}")),
                Request::get(format!("/mcp/?a=b&{name}={key}")),
                Request::get(format!("/mcp?/mcp/{key}")),
                Request::get("/mcp").header("cookie", format!("{name}={key}")),
                Request::get("/mcp").header("cookie", format!("a=b; {name}=Bearer {key}")),
            ] {
                assert_eq!(door.outcome(request).await, "missing_api_key");
            }
        }
    }
    assert_eq!(door.probe.calls(), 0);
}

#[tokio::test]
async fn a_request_without_a_key_never_passes() {
    let store = FaultyStore::new(MemoryStore::new());
    let faults = store.faults();
    let keys = light(store).build().await.unwrap();
    let key = issue(&keys, new_key().all_servers()).await;
    let path_layer = keys.layer().path_keys("/mcp/{key}").unwrap();
    let nowhere = keys.layer().no_default_extractors();
    let layers = [
        keys.layer(),
        keys.layer().server("files"),
        path_layer,
        nowhere,
    ];
    let headers: [Option<(&str, &str)>; 13] = [
        None,
        Some(("authorization", "")),
        Some(("authorization", "Bearer")),
        Some(("authorization", "Bearer ")),
        Some(("authorization", "Bearer\tx")),
        Some(("authorization", "Bearer null")),
        Some(("authorization", "Basic dXNlcjpwYXNz")),
        Some(("authorization", &key)),
        Some(("x-api-key", "")),
        Some(("x-api-key", "  ")),
        Some(("x-api-key", "undefined")),
        Some(("proxy-authorization", &key)),
        Some(("x-forwarded-user", "admin")),
    ];
    let methods = [
        "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "CONNECT", "TRACE", "X",
    ];
    let uris = [
        "/",
        "/mcp",
        "/mcp/",
        "/mcp/mcp_sk_",
        "/.well-known/x",
        "*",
        "http://h/health",
    ];
    let mut codes = BTreeSet::new();
    for layer in layers {
        let door = Door {
            layer,
            probe: Probe::default(),
        };
        for (header, method) in headers.iter().flat_map(|h| methods.map(|m| (h, m))) {
            for uri in uris {
                let method: Method = method.parse().unwrap();
                let mut request = Request::builder().method(method).uri(uri);
                if let Some((name, value)) = header {
                    request = request.header(*name, *value);
                }
                codes.insert(door.outcome(request).await);
            }
        }
        assert_eq!(door.probe.calls(), 0);
    }
    let expected = [
        "ambiguous_credentials",
        "invalid_api_key",
        "missing_api_key",
    ];
    assert!(codes.iter().eq(&expected), "{codes:?}");
    assert_eq!(faults.lookups(), 0, "the store is not asked about nothing");
}

#[tokio::test]
async fn authorization_is_invisible_to_tools() {
    let keys = light(MemoryStore::new()).build().await.unwrap();
    let key = issue(&keys, new_key()).await;
    let layer = keys
        .layer()
        .server("files")
        .path_keys("/mcp/{key}")
        .unwrap();
    let app = Router::new().route_service("/mcp", mcp());
    let server = serve(mcp_api_keys::framework::axum::around(layer, app)).await;
    let client = Client::http1();

    let url = server.url("/mcp");
    let begin = with_key(message(&url, None, &initialize()), &key);
    let begun = client.send(begin).await;
    let session = Some(begun.header("mcp-session-id"));
    let ready = client.send(with_key(message(&url, session, &initialized()), &key));
    assert_eq!(ready.await.status, StatusCode::ACCEPTED);

    let by_bearer = with_key(message(&url, session, &call("request")), &key);
    let mut by_header = message(&url, session, &call("request"));
    let value = key.parse().unwrap();
    by_header.headers_mut().insert("x-api-key", value);
    let by_path = message(&format!("{url}/{key}"), session, &call("request"));
    for request in [by_bearer, by_header, by_path] {
        let answer = client.send(request).await;
        let text = &answer.text;
        assert!(text.contains("ci-bot"), "the tool was called: {text}");
        assert!(text.contains("mcp-session-id"), "it sees headers: {text}");
        assert!(!text.contains("authorization"), "{text}");
        assert!(!text.contains("x-api-key"), "{text}");
        assert!(!text.contains(secret(&key)), "{text}");
    }
}
