//! P15, P17: limits are exact, and nobody resets them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::StatusCode;
use mcp_api_keys::store::MemoryStore;
use mcp_api_keys::testing::ManualClock;
use mcp_api_keys::{NewKey, RateLimit, Timestamp};

use crate::world::{Guarded, builder, forged, issue, size};

fn clock() -> ManualClock {
    ManualClock::at(Timestamp::from_millis(1_790_000_000_000))
}

/// P15. Sixty-four tasks, a clock that is set by hand, and every step counted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_tasks_are_admitted_exactly_the_burst_and_the_rate() {
    let clock = clock();
    let keys = builder(MemoryStore::new())
        .clock(clock.clone())
        .build()
        .await
        .unwrap();
    let guarded = Guarded::new(keys.layer());
    let new = NewKey::named("limited")
        .all_servers()
        .rate(RateLimit::per_minute(600).burst(25))
        .rate(RateLimit::per_day(1_000_000).named("day"));
    let issued = keys.manager().issue(new).await.unwrap();
    let key: Arc<str> = issued.key().expose_secret().into();
    let admitted = Arc::new(AtomicU64::new(0));
    let mut worst = 0;
    for step in 0..200_u64 {
        let tasks: Vec<_> = (0..64)
            .map(|_| {
                let (guarded, key) = (guarded.clone(), Arc::clone(&key));
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
        // Ten a second; a step is 130 ms.
        let exact = 25 + step * 13 / 10;
        worst = worst.max(admitted.load(Ordering::Relaxed).abs_diff(exact));
        clock.advance(Duration::from_millis(130));
    }
    println!("P15: 200 steps of 64 tasks, at most {worst} off");
    assert!(worst <= 1);
}

/// P17. A flood of other keys fills the cache many times over; a key that is over its limit knocks
/// all the while.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_other_keys_does_not_reset_a_limit() {
    let clock = clock();
    let keys = builder(MemoryStore::new())
        .clock(clock.clone())
        .cached_keys(100)
        .build()
        .await
        .unwrap();
    let guarded = Guarded::new(keys.layer());
    let new = NewKey::named("limited")
        .all_servers()
        .rate(RateLimit::per_hour(10));
    let limited = keys.manager().issue(new).await.unwrap();
    let mut admitted = 0;
    for round in 0..size(300, 3_000) as u64 {
        for other in 0..3 {
            let genuine = issue(&keys).await;
            assert_eq!(
                guarded.send(genuine.key().expose_secret()).await.status(),
                StatusCode::OK
            );
            guarded.send(&forged("Stranger", round * 3 + other)).await;
        }
        let answer = guarded.send(limited.key().expose_secret()).await;
        admitted += u32::from(answer.status() == StatusCode::OK);
        if answer.status() != StatusCode::OK {
            assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
            let wait: u64 = answer.head.headers["retry-after"]
                .to_str()
                .unwrap()
                .parse()
                .unwrap();
            assert!((1..=360).contains(&wait));
        }
    }
    println!("P17: {admitted} admitted of a limit of 10 an hour");
    assert_eq!(admitted, 10);
}

#[tokio::test]
async fn what_is_refused_for_another_reason_spends_nothing() {
    let clock = clock();
    let keys = builder(MemoryStore::new())
        .clock(clock.clone())
        .build()
        .await
        .unwrap();
    let open = Guarded::new(keys.layer().server("files"));
    let closed = Guarded::new(keys.layer().server("mail"));
    let scoped = Guarded::new(
        keys.layer()
            .server("files")
            .require_scope("files:write")
            .unwrap(),
    );
    let new = NewKey::named("limited")
        .server("files")
        .rate(RateLimit::per_hour(3));
    let issued = keys.manager().issue(new).await.unwrap();
    let key = issued.key().expose_secret();
    for _ in 0..20 {
        assert_eq!(closed.send(key).await.status(), StatusCode::FORBIDDEN);
        assert_eq!(scoped.send(key).await.status(), StatusCode::FORBIDDEN);
    }
    for left in [2, 1, 0] {
        let answer = open.send(key).await;
        assert_eq!(answer.status(), StatusCode::OK);
        let state = format!("\"default\";r={left};t={}", (3 - left) * 1_200);
        assert_eq!(answer.head.headers["ratelimit"], state);
        assert_eq!(
            answer.head.headers["ratelimit-policy"],
            "\"default\";q=3;w=3600"
        );
        assert!(!answer.head.headers.contains_key("retry-after"));
    }
    let refused = open.send(key).await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.head.headers["retry-after"], "1200");
    assert_eq!(refused.head.headers["ratelimit"], "\"default\";r=0;t=3600");
}

#[tokio::test]
async fn rotation_and_renaming_give_no_fresh_budget() {
    let clock = clock();
    let keys = builder(MemoryStore::new())
        .clock(clock.clone())
        .build()
        .await
        .unwrap();
    let guarded = Guarded::new(keys.layer());
    let new = NewKey::named("limited")
        .all_servers()
        .rate(RateLimit::per_hour(1));
    let issued = keys.manager().issue(new).await.unwrap();
    assert_eq!(
        guarded.send(issued.key().expose_secret()).await.status(),
        StatusCode::OK
    );
    let rotated = keys.manager().rotate(issued.info().id).await.unwrap();
    let update = mcp_api_keys::KeyUpdate::new().name("renamed");
    keys.manager()
        .update(issued.info().id, update)
        .await
        .unwrap();
    let answer = guarded.send(rotated.key().expose_secret()).await;
    assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
    clock.advance(Duration::from_secs(3_600));
    keys.catch_up().await.unwrap();
    let answer = guarded.send(rotated.key().expose_secret()).await;
    assert_eq!(answer.status(), StatusCode::OK);
}
