//! What nodes promise that share a limiter, with a clock that is set by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use http::StatusCode;
use mcp_api_keys::key::{KeyId, Quota};
use mcp_api_keys::limit::{Charge, Decision, OutageMode, SharedLimiter, SharedLimits};
use mcp_api_keys::store::MemoryStore;
use mcp_api_keys::testing::ManualClock;
use mcp_api_keys::testing::limiter::LocalLimiter;
use mcp_api_keys::{ApiKeys, Error, ErrorKind, IssuedKey, NewKey, RateLimit, Timestamp};
use tokio::sync::Semaphore;

use crate::world::{Guarded, builder};

fn clock() -> ManualClock {
    ManualClock::at(Timestamp::from_millis(1_790_000_000_000))
}

/// A limiter that can be looked at, held up and broken.
#[derive(Clone, Debug)]
struct Probed {
    inner: LocalLimiter,
    asked: Arc<AtomicUsize>,
    given_back: Arc<AtomicUsize>,
    /// As many answers may leave.
    answers: Arc<Semaphore>,
    fault: Arc<AtomicUsize>,
}

const FAILS: usize = 1;
const HANGS: usize = 2;

impl Probed {
    fn new(clock: &ManualClock) -> Self {
        Self {
            inner: LocalLimiter::new(clock.clone()),
            asked: Arc::default(),
            given_back: Arc::default(),
            answers: Arc::new(Semaphore::new(1_000_000)),
            fault: Arc::default(),
        }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn given_back(&self) -> usize {
        self.given_back.load(Ordering::SeqCst)
    }

    fn break_it(&self, fault: usize) {
        self.fault.store(fault, Ordering::SeqCst);
    }

    /// Keeps answers back from now on.
    fn hold(&self) {
        self.answers.forget_permits(usize::MAX);
    }

    fn release(&self, answers: usize) {
        self.answers.add_permits(answers);
    }
}

#[async_trait::async_trait]
impl SharedLimiter for Probed {
    async fn take(&self, key: KeyId, charges: &[Charge]) -> Result<Decision, Error> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        match self.fault.load(Ordering::SeqCst) {
            FAILS => return Err(Error::new(ErrorKind::Unavailable, "broken")),
            HANGS => std::future::pending().await,
            _ => {}
        }
        let decision = self.inner.take(key, charges).await;
        self.answers.acquire().await.unwrap().forget();
        decision
    }

    async fn give_back(&self, key: KeyId, charges: &[Charge]) -> Result<(), Error> {
        let given = self.inner.give_back(key, charges).await;
        self.given_back.fetch_add(1, Ordering::SeqCst);
        given
    }
}

/// Nodes on one store and one limiter.
async fn nodes(
    count: usize,
    clock: &ManualClock,
    limits: impl Into<SharedLimits>,
) -> (Vec<ApiKeys>, Vec<Guarded>) {
    let store = Arc::new(MemoryStore::new());
    let limits = limits.into();
    let mut nodes = Vec::new();
    for _ in 0..count {
        let builder = builder(Arc::clone(&store)).clock(clock.clone());
        nodes.push(builder.shared_limits(limits.clone()).build().await.unwrap());
    }
    let guarded = nodes
        .iter()
        .map(|keys| Guarded::new(keys.layer()))
        .collect();
    (nodes, guarded)
}

async fn issue(keys: &ApiKeys, limits: impl IntoIterator<Item = RateLimit>) -> IssuedKey {
    let new = NewKey::named("limited").all_servers();
    let new = limits.into_iter().fold(new, NewKey::rate);
    keys.manager().issue(new).await.unwrap()
}

fn text(issued: &IssuedKey) -> &str {
    issued.key().expose_secret()
}

async fn until(what: impl Fn() -> bool) {
    for _ in 0..2_000 {
        if what() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it does not happen");
}

/// P15 on four nodes: sixty-four tasks, every step counted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_nodes_admit_exactly_the_burst_and_the_rate() {
    let clock = clock();
    let (keys, guarded) = nodes(4, &clock, LocalLimiter::new(clock.clone())).await;
    let limits = [
        RateLimit::per_minute(600).burst(25),
        RateLimit::per_day(1_000_000).named("day"),
    ];
    let issued = issue(&keys[0], limits).await;
    let key: Arc<str> = text(&issued).into();
    let admitted = Arc::new(AtomicU64::new(0));
    let mut worst = 0;
    for step in 0..200_u64 {
        let tasks: Vec<_> = (0..64)
            .map(|task| {
                let (guarded, key) = (guarded[task % 4].clone(), Arc::clone(&key));
                let admitted = Arc::clone(&admitted);
                tokio::spawn(async move {
                    if guarded.send(&key).await.status() == StatusCode::OK {
                        admitted.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let exact = 25 + step * 13 / 10;
        worst = worst.max(admitted.load(Ordering::Relaxed).abs_diff(exact));
        clock.advance(Duration::from_millis(130));
    }
    println!("P15, four nodes: 200 steps of 64 tasks, at most {worst} off");
    assert!(worst <= 1);
}

#[tokio::test]
async fn what_is_refused_by_anything_else_asks_nobody_and_takes_nothing() {
    let clock = clock();
    let limiter = Probed::new(&clock);
    let (keys, _) = nodes(1, &clock, limiter.clone()).await;
    let issued = issue(&keys[0], [RateLimit::per_hour(2)]).await;
    let strict = Guarded::new(keys[0].layer().require_scope("admin").unwrap());
    for _ in 0..10 {
        assert_eq!(
            strict.send(text(&issued)).await.status(),
            StatusCode::FORBIDDEN
        );
    }
    // Nor does a request that costs nothing, or a key without limits.
    let free = Guarded::new(keys[0].layer().cost(0));
    assert_eq!(free.send(text(&issued)).await.status(), StatusCode::OK);
    let unlimited = issue(&keys[0], []).await;
    let plain = Guarded::new(keys[0].layer());
    assert_eq!(plain.send(text(&unlimited)).await.status(), StatusCode::OK);
    assert_eq!(limiter.asked(), 0);
    let dear = Guarded::new(keys[0].layer().cost(2));
    assert_eq!(dear.send(text(&issued)).await.status(), StatusCode::OK);
    assert_eq!(limiter.asked(), 1);
}

#[tokio::test]
async fn a_key_that_is_known_to_be_over_is_refused_without_asking() {
    let clock = clock();
    let limiter = Probed::new(&clock);
    let (keys, guarded) = nodes(2, &clock, limiter.clone()).await;
    let issued = issue(&keys[0], [RateLimit::per_minute(6).burst(2)]).await;
    for node in &guarded {
        assert_eq!(node.send(text(&issued)).await.status(), StatusCode::OK);
    }
    // The second node knows that nothing is left, since it was the last to ask; the first asks.
    for (node, asked) in [(&guarded[1], 2), (&guarded[0], 3), (&guarded[0], 3)] {
        let refused = node.send(text(&issued)).await;
        assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(refused.head.headers["retry-after"], "10");
        assert_eq!(limiter.asked(), asked);
    }
    clock.advance(Duration::from_millis(900));
    let refused = guarded[0].send(text(&issued)).await;
    assert_eq!(
        refused.head.headers["retry-after"], "10",
        "9.1 s, rounded up"
    );
    assert_eq!(limiter.asked(), 3);
    // After a second it is not taken for granted any more.
    clock.advance(Duration::from_millis(100));
    guarded[0].send(text(&issued)).await;
    assert_eq!(limiter.asked(), 4);
    clock.advance(Duration::from_secs(9));
    assert_eq!(
        guarded[1].send(text(&issued)).await.status(),
        StatusCode::OK
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_withdrawn_while_the_limiter_thinks_is_refused_and_pays_nothing() {
    let clock = clock();
    let limiter = Probed::new(&clock);
    let (keys, guarded) = nodes(1, &clock, limiter.clone()).await;
    let issued = issue(&keys[0], [RateLimit::per_hour(5)]).await;
    limiter.hold();
    let waiting: Vec<_> = (0..3)
        .map(|_| tokio::spawn(guarded[0].send(text(&issued))))
        .collect();
    until(|| limiter.asked() == 3).await;
    keys[0].manager().disable(issued.info().id).await.unwrap();
    limiter.release(1_000);
    for request in waiting {
        assert_eq!(request.await.unwrap().status(), StatusCode::UNAUTHORIZED);
    }
    assert_eq!(guarded[0].calls(), 0);
    until(|| limiter.given_back() == 3).await;
    keys[0].manager().enable(issued.info().id).await.unwrap();
    let mut admitted = 0;
    for _ in 0..6 {
        clock.advance(Duration::from_secs(1));
        admitted += u32::from(guarded[0].send(text(&issued)).await.status() == StatusCode::OK);
    }
    assert_eq!(admitted, 5, "nothing was lost");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_that_change_while_the_limiter_thinks_are_asked_about_anew() {
    let clock = clock();
    let limiter = Probed::new(&clock);
    let (keys, guarded) = nodes(1, &clock, limiter.clone()).await;
    let issued = issue(&keys[0], [RateLimit::per_hour(5)]).await;
    limiter.hold();
    let waiting = tokio::spawn(guarded[0].send(text(&issued)));
    until(|| limiter.asked() == 1).await;
    let tighter = vec![RateLimit::per_hour(1).named("tight")];
    let update = mcp_api_keys::KeyUpdate::new().limits(tighter);
    keys[0]
        .manager()
        .update(issued.info().id, update)
        .await
        .unwrap();
    limiter.release(1_000);
    assert_eq!(waiting.await.unwrap().status(), StatusCode::OK);
    until(|| limiter.given_back() == 1).await;
    assert_eq!(limiter.asked(), 2);
    let refused = guarded[0].send(text(&issued)).await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
}

/// Quotas and limits are charged together or not at all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_quota_refuses_is_given_back_to_the_limits() {
    let clock = clock();
    let limiter = Probed::new(&clock);
    let (keys, guarded) = nodes(1, &clock, limiter.clone()).await;
    let new = NewKey::named("both")
        .all_servers()
        .rate(RateLimit::per_hour(10));
    let issued = keys[0]
        .manager()
        .issue(new.quota(Quota::per_day(3)))
        .await
        .unwrap();
    limiter.hold();
    let waiting: Vec<_> = (0..8)
        .map(|_| tokio::spawn(guarded[0].send(text(&issued))))
        .collect();
    // All of them had a quota to hope for when they asked.
    until(|| limiter.asked() == 8).await;
    limiter.release(1_000);
    let mut statuses = Vec::new();
    for request in waiting {
        statuses.push(request.await.unwrap().status().as_u16());
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 200, 429, 429, 429, 429, 429]);
    until(|| limiter.given_back() == 5).await;
    // And what a limit refuses takes nothing of a quota.
    let new = NewKey::named("other")
        .all_servers()
        .rate(RateLimit::per_hour(2));
    let issued = keys[0]
        .manager()
        .issue(new.quota(Quota::per_day(3)))
        .await
        .unwrap();
    for expected in [200, 200, 429, 429, 429] {
        assert_eq!(
            guarded[0].send(text(&issued)).await.status().as_u16(),
            expected
        );
    }
    clock.advance(Duration::from_secs(3_600));
    keys[0].catch_up().await.unwrap();
    for expected in [200, 429] {
        let answer = guarded[0].send(text(&issued)).await;
        assert_eq!(answer.status().as_u16(), expected, "{}", answer.wire());
    }
}

#[tokio::test]
async fn a_caller_who_hangs_up_is_not_served() {
    let clock = clock();
    let limiter = Probed::new(&clock);
    let (keys, guarded) = nodes(1, &clock, limiter.clone()).await;
    let issued = issue(&keys[0], [RateLimit::per_hour(5)]).await;
    limiter.hold();
    let waiting = tokio::spawn(guarded[0].send(text(&issued)));
    until(|| limiter.asked() == 1).await;
    waiting.abort();
    assert!(waiting.await.unwrap_err().is_cancelled());
    limiter.release(1_000);
    assert_eq!(guarded[0].calls(), 0);
    assert_eq!(
        guarded[0].send(text(&issued)).await.status(),
        StatusCode::OK
    );
}

/// What each mode promises holds for every request, whether the limiter fails or hangs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_mode_does_what_it_says_when_the_limiter_fails() {
    for fault in [FAILS, HANGS] {
        for mode in [
            OutageMode::LocalFallback,
            OutageMode::Open,
            OutageMode::Closed,
        ] {
            let clock = clock();
            let limiter = Probed::new(&clock);
            let limits = SharedLimits::new(limiter.clone()).outage(mode);
            let (keys, guarded) = nodes(2, &clock, limits).await;
            let issued = issue(&keys[0], [RateLimit::per_hour(10)]).await;
            // Four are spent, all by the first node, and it is the only one that knows.
            for _ in 0..4 {
                assert_eq!(
                    guarded[0].send(text(&issued)).await.status(),
                    StatusCode::OK
                );
            }
            limiter.break_it(fault);
            let mut admitted = [0, 0];
            for (node, admitted) in admitted.iter_mut().enumerate() {
                let all: Vec<_> = (0..20)
                    .map(|_| tokio::spawn(guarded[node].send(text(&issued))))
                    .collect();
                for request in all {
                    let answer = request.await.unwrap();
                    *admitted += u32::from(answer.status() == StatusCode::OK);
                    if mode == OutageMode::Closed {
                        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
                        assert_eq!(answer.head.headers["retry-after"], "1");
                    }
                }
            }
            let expected = match mode {
                OutageMode::LocalFallback => [6, 10],
                OutageMode::Open => [20, 20],
                _ => [0, 0],
            };
            assert_eq!(admitted, expected, "{mode} with fault {fault}");
            // As soon as it answers again, what it has counted holds.
            limiter.break_it(0);
            clock.advance(Duration::from_secs(2));
            assert_eq!(
                guarded[1].send(text(&issued)).await.status(),
                StatusCode::OK
            );
        }
    }
}

/// Behind an `McpLayer` messages are charged by what they are.
#[tokio::test]
async fn behind_the_mcp_layer_only_requests_ask() {
    use std::convert::Infallible;

    use bytes::Bytes;
    use http_body_util::{Empty, Full};
    use mcp_api_keys::layer::{McpLayer, ReadBody};
    use tower::{Layer, ServiceExt, service_fn};

    let clock = clock();
    let limiter = Probed::new(&clock);
    let (keys, _) = nodes(1, &clock, limiter.clone()).await;
    let issued = issue(&keys[0], [RateLimit::per_hour(5)]).await;
    let layer = keys[0]
        .layer()
        .with_mcp(McpLayer::new().tool_cost("dear".parse().unwrap(), 4));
    let service = layer.layer(service_fn(
        async |_: http::Request<ReadBody<Full<Bytes>>>| {
            Ok::<_, Infallible>(http::Response::new(Empty::<Bytes>::new()))
        },
    ));
    let send = async |body: &'static str| {
        let request = http::Request::post("/mcp")
            .header("authorization", format!("Bearer {}", text(&issued)))
            .header("content-type", "application/json")
            .body(Full::<Bytes>::from(body))
            .unwrap();
        let response = service.clone().oneshot(request).await.unwrap();
        let limit = response.headers().get("ratelimit").cloned();
        limit.map(|value| value.to_str().unwrap().to_owned())
    };
    send(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).await;
    send(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#).await;
    assert_eq!(limiter.asked(), 0);
    let call = r#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"dear"}}"#;
    let limit = send(call).await.unwrap();
    assert!(limit.contains("r=1"), "{limit}");
    assert_eq!(limiter.asked(), 1);
}
