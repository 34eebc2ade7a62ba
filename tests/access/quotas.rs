//! Quotas: so much per day or month, counted in the store.

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full};
use mcp_api_keys::RejectionKind;
use mcp_api_keys::key::{KeyId, Quota};
use mcp_api_keys::testing::ManualClock;
use mcp_api_keys::{ApiKeys, KeyUpdate, NewKey, RateLimit, Timestamp};
use serde_json::Value;
use tower::{Layer, ServiceExt, service_fn};

use crate::world::{
    DAY, Database, NOW, SECOND, admitted, any_server, builder, in_database, in_memory, issue, node,
    outcome, pass, present,
};

fn with(quota: Quota) -> NewKey {
    NewKey::named("k").quota(quota)
}

async fn used(keys: &ApiKeys, id: KeyId) -> u64 {
    keys.flush().await.unwrap();
    keys.manager().quotas(id).await.unwrap()[0].used
}

/// Exactly the amount, again in each period, and told when that begins.
#[tokio::test]
async fn a_quota_admits_exactly_its_amount_in_each_day_and_month() {
    for (quota, at, resets_at) in [
        (
            Quota::per_day(1),
            "2026-12-31T23:59:59.999Z",
            "2027-01-01T00:00:00Z",
        ),
        (
            Quota::per_day(99),
            "2026-09-20T00:00:00Z",
            "2026-09-21T00:00:00Z",
        ),
        (
            Quota::per_day(250),
            "2028-02-28T12:00:00Z",
            "2028-02-29T00:00:00Z",
        ),
        (
            Quota::per_month(250),
            "2027-02-01T00:00:00Z",
            "2027-03-01T00:00:00Z",
        ),
        (
            Quota::per_month(101),
            "2028-02-29T23:00:00Z",
            "2028-03-01T00:00:00Z",
        ),
        (
            Quota::per_month(1_000),
            "2026-12-31T10:00:00Z",
            "2027-01-01T00:00:00Z",
        ),
    ] {
        let at: Timestamp = at.parse().unwrap();
        let resets_at: Timestamp = resets_at.parse().unwrap();
        let clock = ManualClock::at(at);
        let store = crate::backends::in_database().await;
        let keys = builder(store).clock(clock.clone()).build().await.unwrap();
        let gate = any_server(&keys);
        let amount = usize::try_from(quota.amount()).unwrap();
        let (key, id) = issue(&keys, with(quota.clone())).await;
        assert_eq!(admitted(&gate, &key, amount + 20).await, amount, "{quota}");
        let refused = present(&gate, &key).await.unwrap_err();
        assert_eq!(refused.kind(), RejectionKind::QuotaExceeded);
        assert_eq!(refused.quota(), Some(&quota));
        let wait = resets_at.saturating_since(at);
        assert_eq!(refused.retry_after(), Some(wait), "{quota}");
        let status = &keys.manager().quotas(id).await.unwrap()[0];
        assert_eq!((status.used, status.resets_at), (quota.amount(), resets_at));

        pass(&keys, &clock, wait.saturating_sub(SECOND / 1_000)).await;
        assert_eq!(
            admitted(&gate, &key, 3).await,
            0,
            "{quota}: a moment too soon"
        );
        pass(&keys, &clock, SECOND / 1_000).await;
        assert_eq!(keys.manager().quotas(id).await.unwrap()[0].used, 0);
        assert_eq!(admitted(&gate, &key, amount + 20).await, amount, "{quota}");
    }
}

#[tokio::test]
async fn a_request_costs_what_its_layer_says() {
    let keys = in_database().await;
    let gate = |cost: u32| keys.layer().any_server().cost(cost).gate().clone();
    let (key, id) = issue(&keys, with(Quota::per_day(100))).await;
    assert_eq!(admitted(&gate(25), &key, 3).await, 3);
    assert_eq!(used(&keys, id).await, 75);
    assert_eq!(admitted(&gate(30), &key, 1).await, 0);
    assert_eq!(used(&keys, id).await, 75, "a refused request takes nothing");
    assert_eq!(admitted(&gate(24), &key, 2).await, 1);
    assert_eq!(admitted(&gate(1), &key, 2).await, 1);
    // What costs nothing passes when nothing is left, and takes nothing.
    assert_eq!(admitted(&gate(0), &key, 50).await, 50);
    assert_eq!(used(&keys, id).await, 100);
    // What costs more than there ever is, never.
    let (key, id) = issue(&keys, with(Quota::per_day(100))).await;
    assert_eq!(admitted(&gate(101), &key, 3).await, 0);
    assert_eq!(used(&keys, id).await, 0);
    assert_eq!(admitted(&gate(100), &key, 3).await, 1);
}

/// A request that the rate limit refuses takes nothing of the quota, and the other way round.
#[tokio::test]
async fn rate_limits_and_quotas_are_taken_together_or_not_at_all() {
    let (keys, clock) = in_memory().await;
    let gate = any_server(&keys);
    let new = with(Quota::per_day(100)).rate(RateLimit::per_minute(5));
    let (key, id) = issue(&keys, new).await;
    assert_eq!(admitted(&gate, &key, 50).await, 5);
    assert_eq!(outcome(&gate, &key).await, Err(RejectionKind::RateLimited));
    assert_eq!(used(&keys, id).await, 5);

    let update = KeyUpdate::new().quotas(vec![Quota::per_day(7)]);
    keys.manager().update(id, update).await.unwrap();
    pass(&keys, &clock, 60 * SECOND).await;
    assert_eq!(admitted(&gate, &key, 50).await, 2);
    assert_eq!(
        outcome(&gate, &key).await,
        Err(RejectionKind::QuotaExceeded)
    );
    let update = KeyUpdate::new().quotas(vec![Quota::per_day(1_000)]);
    keys.manager().update(id, update).await.unwrap();
    assert_eq!(admitted(&gate, &key, 50).await, 3, "of five a minute");

    // Several quotas as well.
    let new = with(Quota::per_month(9).named("monthly")).quota(Quota::per_day(100));
    let (key, id) = issue(&keys, new).await;
    assert_eq!(admitted(&gate, &key, 50).await, 9);
    keys.flush().await.unwrap();
    let status = keys.manager().quotas(id).await.unwrap();
    assert_eq!((status[0].used, status[1].used), (9, 9));
}

/// What was used is known after a restart: all of it after one in order, and after a crash all but
/// a hundredth of the quota.
#[tokio::test]
async fn what_was_used_survives_a_restart_and_a_crash() {
    let database = Database::new().await;
    let first = node(&database).await;
    let (key, id) = issue(&first, with(Quota::per_month(1_000))).await;
    assert_eq!(admitted(&any_server(&first), &key, 333).await, 333);
    assert_eq!(used(&first, id).await, 333);
    drop(first);
    let second = node(&database).await;
    assert_eq!(admitted(&any_server(&second), &key, 101).await, 101);
    // A crash: what it holds is lost, and nobody has it.
    drop(second);
    let third = node(&database).await;
    let rest = admitted(&any_server(&third), &key, 1_000).await;
    println!("a crash lost {} of 1000 units", 1_000 - 434 - rest);
    assert!((1_000 - 434 - 10..=1_000 - 434).contains(&rest), "{rest}");
    assert_eq!(used(&third, id).await, 1_000);
}

/// Two nodes on one database take from one budget.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_nodes_never_exceed_one_quota_and_leave_nothing_unused() {
    let database = Database::new().await;
    let nodes = [node(&database).await, node(&database).await];
    let (key, _) = issue(&nodes[0], with(Quota::per_month(1_000))).await;
    let round = async || {
        let mut tasks = Vec::new();
        for task in 0..64 {
            let gate = any_server(&nodes[task % 2]);
            let key = key.clone();
            tasks.push(tokio::spawn(async move {
                let mut counts = (0, 0);
                for _ in 0..20 {
                    match outcome(&gate, &key).await {
                        Ok(()) => counts.0 += 1,
                        Err(RejectionKind::QuotaExceeded) => {}
                        Err(_) => counts.1 += 1,
                    }
                    tokio::task::yield_now().await;
                }
                counts
            }));
        }
        let mut sum = (0, 0);
        for task in tasks {
            let (made, failed) = task.await.unwrap();
            sum = (sum.0 + made, sum.1 + failed);
        }
        sum
    };
    let (mut made, failed) = round().await;
    assert_eq!(failed, 0);
    assert!((980..=1_000).contains(&made), "{made}");
    // What one of them holds is given back, and the other may have it when it looks again.
    for node in &nodes {
        node.flush().await.unwrap();
    }
    tokio::time::sleep(SECOND * 11 / 10).await;
    made += round().await.0;
    assert_eq!(made, 1_000);
}

/// Small quotas are asked for unit by unit; nobody is told to come again while others are served.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_tasks_are_admitted_exactly_the_amount() {
    for amount in [1, 60, 150, 1_000] {
        let database = Database::new().await;
        let keys = node(&database).await;
        let (key, _) = issue(&keys, with(Quota::per_month(amount))).await;
        let gate = any_server(&keys);
        let mut tasks = Vec::new();
        for _ in 0..64 {
            let (gate, key) = (gate.clone(), key.clone());
            tasks.push(tokio::spawn(async move {
                let mut made = 0;
                for _ in 0..20 {
                    match outcome(&gate, &key).await {
                        Ok(()) => made += 1,
                        other => assert_eq!(other, Err(RejectionKind::QuotaExceeded)),
                    }
                    tokio::task::yield_now().await;
                }
                made
            }));
        }
        let mut made = 0;
        for task in tasks {
            made += task.await.unwrap();
        }
        assert_eq!(made, amount.min(64 * 20));
    }
}

/// The amount may change while requests are under way: not one too many is admitted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_amount_that_is_raised_and_lowered_in_use_stays_exact() {
    let (keys, clock) = in_memory().await;
    let (key, id) = issue(&keys, with(Quota::per_day(10_000))).await;
    let gate = any_server(&keys);
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let (gate, key) = (gate.clone(), key.clone());
            tokio::spawn(async move {
                let mut made = 0;
                for _ in 0..400 {
                    made += usize::from(outcome(&gate, &key).await.is_ok());
                    tokio::task::yield_now().await;
                }
                made
            })
        })
        .collect();
    for amount in [20_000, 9_000, 30_000, 8_000, 40_000, 7_000] {
        tokio::task::yield_now().await;
        let update = KeyUpdate::new().quotas(vec![Quota::per_day(amount)]);
        keys.manager().update(id, update).await.unwrap();
    }
    let mut made = 0;
    for task in tasks {
        made += task.await.unwrap();
    }
    assert_eq!(made, 6_400, "all are within every amount");
    assert_eq!(admitted(&gate, &key, 1_000).await, 600);
    assert_eq!(used(&keys, id).await, 7_000);

    // Below what is used, nothing; above it, at once what is more.
    for (amount, more) in [(10, 0), (7_005, 5), (7_005, 0), (7_006, 1)] {
        let update = KeyUpdate::new().quotas(vec![Quota::per_day(amount)]);
        keys.manager().update(id, update).await.unwrap();
        assert_eq!(admitted(&gate, &key, 20).await, more, "{amount}");
    }
    pass(&keys, &clock, DAY).await;
    assert_eq!(admitted(&gate, &key, 20).await, 20);
}

/// An hour back and forth, as clocks are set, begins no new day and forgets none.
#[tokio::test]
async fn a_clock_that_is_set_back_begins_no_new_period() {
    let (keys, clock) = in_memory().await;
    let gate = any_server(&keys);
    let (key, _) = issue(&keys, with(Quota::per_day(300))).await;
    assert_eq!(admitted(&gate, &key, 10).await, 10);
    let midnight: Timestamp = "2026-09-21T00:00:00Z".parse().unwrap();
    clock.set_wall(midnight);
    assert_eq!(admitted(&gate, &key, 100).await, 100);
    clock.set_wall(NOW);
    assert_eq!(admitted(&gate, &key, 100).await, 100);
    clock.set_wall(midnight);
    assert_eq!(admitted(&gate, &key, 400).await, 100);
}

/// The refusal in all three renderings.
#[tokio::test]
async fn a_used_up_quota_is_told_in_every_protocol_with_the_time_of_its_reset() {
    let keys = in_database().await;
    let (key, _) = issue(&keys, with(Quota::per_day(1))).await;
    assert_eq!(admitted(&any_server(&keys), &key, 1).await, 1);
    let service = keys
        .layer()
        .any_server()
        .layer(service_fn(|_: Request<Empty<Bytes>>| async {
            Ok::<_, std::convert::Infallible>(Response::new(Full::new(Bytes::new())))
        }));
    let ask = async |headers: &[(&str, &str)]| {
        let mut request = Request::post("/mcp").header("x-api-key", &key);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Empty::new()).unwrap();
        let (head, body) = service.clone().oneshot(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (head, serde_json::from_slice(&body).unwrap_or(Value::Null))
    };
    let tomorrow: Timestamp = "2026-09-21T00:00:00Z".parse().unwrap();
    let wait = tomorrow.saturating_since(NOW);
    let wait_ms = u64::try_from(wait.as_millis()).unwrap();

    let (head, body) = ask(&[]).await;
    assert_eq!(head.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(head.headers["retry-after"], wait.as_secs().to_string());
    assert_eq!(body["error"]["code"], "quota_exceeded", "{body}");
    assert_eq!(body["error"]["type"], "rate_limit_error");
    assert_eq!(body["error"]["retry_after_ms"], wait_ms);

    let mcp = [
        ("accept", "application/json, text/event-stream"),
        ("content-type", "application/json"),
    ];
    let (head, body) = ask(&mcp).await;
    assert_eq!(head.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(head.headers["retry-after"], wait.as_secs().to_string());
    assert_eq!(body["jsonrpc"], "2.0", "{body}");
    assert_eq!(body["error"]["data"]["code"], "quota_exceeded");

    let (head, body) = ask(&[("content-type", "application/grpc")]).await;
    assert_eq!(head.status, StatusCode::OK);
    assert_eq!(head.headers["grpc-status"], "8");
    assert_eq!(head.headers["retry-after"], wait.as_secs().to_string());
    assert_eq!(body, Value::Null);
}
