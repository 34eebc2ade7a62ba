//! P6: when the store does not answer.

use std::time::{Duration, Instant};

use http::StatusCode;
use mcp_api_keys::Timestamp;
use mcp_api_keys::store::{MemoryStore, SqliteStore};
use mcp_api_keys::testing::{Fault, FaultyStore, ManualClock};

use crate::world::{Guarded, builder, forged, issue};

const MAX_STALE: Duration = Duration::from_secs(60);

/// Lets the follower run a few of its rounds, in tokio's paused time.
async fn rounds(clock: &ManualClock, total: Duration) {
    let step = Duration::from_millis(500);
    let mut passed = Duration::ZERO;
    while passed < total {
        clock.advance(step);
        tokio::time::sleep(step).await;
        passed += step;
    }
}

#[tokio::test(start_paused = true)]
async fn known_keys_go_on_to_max_stale_and_unknown_ones_are_told_to_wait() {
    for fault in [Fault::Fail, Fault::Hang, Fault::Panic] {
        let store = FaultyStore::new(MemoryStore::new());
        let faults = store.faults();
        let clock = ManualClock::at(Timestamp::from_millis(1_790_000_000_000));
        let keys = builder(store).clock(clock.clone()).build().await.unwrap();
        let guarded = Guarded::new(keys.layer());
        let issued = issue(&keys).await;
        let known = issued.key().expose_secret();
        assert_eq!(guarded.send(known).await.status(), StatusCode::OK);
        rounds(&clock, Duration::from_secs(4)).await;

        faults.every(fault);
        let mut unauthorized = 0;
        let served_for = {
            let mut passed = Duration::ZERO;
            loop {
                let answer = guarded.send(known).await;
                unauthorized += u32::from(answer.status() == StatusCode::UNAUTHORIZED);
                if answer.status() != StatusCode::OK {
                    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
                    assert_eq!(answer.head.headers["retry-after"], "1");
                    break passed;
                }
                let stranger = guarded
                    .send(&forged("Stranger", passed.as_millis() as u64))
                    .await;
                unauthorized += u32::from(stranger.status() == StatusCode::UNAUTHORIZED);
                assert_eq!(
                    stranger.status(),
                    StatusCode::SERVICE_UNAVAILABLE,
                    "{fault:?}"
                );
                assert_eq!(stranger.head.headers["retry-after"], "1");
                let step = Duration::from_millis(500);
                clock.advance(step);
                tokio::time::sleep(step).await;
                passed += step;
            }
        };
        println!("P6 ({fault:?}): known keys served for {served_for:?}, {unauthorized} x 401");
        assert!(
            served_for > MAX_STALE - Duration::from_secs(5),
            "{served_for:?}"
        );
        assert!(served_for <= MAX_STALE, "{served_for:?}");
        assert_eq!(unauthorized, 0);
        faults.clear();
        rounds(&clock, Duration::from_secs(2)).await;
        assert_eq!(
            guarded.send(known).await.status(),
            StatusCode::OK,
            "{fault:?}"
        );
    }
}

#[tokio::test]
async fn service_is_back_within_a_second_of_the_store() {
    let store = FaultyStore::new(MemoryStore::new());
    let faults = store.faults();
    let keys = builder(store)
        .poll_interval(Duration::from_millis(100))
        .max_stale(Duration::ZERO)
        .build()
        .await
        .unwrap();
    let guarded = Guarded::new(keys.layer());
    let issued = issue(&keys).await;
    assert_eq!(
        guarded.send(issued.key().expose_secret()).await.status(),
        StatusCode::OK
    );
    faults.every(Fault::Fail);
    let down_at = Instant::now();
    while guarded.send(issued.key().expose_secret()).await.status() == StatusCode::OK {
        // Zero means two polling intervals with their time-outs.
        assert!(down_at.elapsed() < Duration::from_secs(3));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    faults.clear();
    let repaired_at = Instant::now();
    while guarded.send(issued.key().expose_secret()).await.status() != StatusCode::OK {
        assert!(repaired_at.elapsed() < Duration::from_secs(1));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    println!("P6: healthy {:?} after repair", repaired_at.elapsed());
}

#[tokio::test]
async fn a_log_pruned_past_the_node_makes_it_read_keys_again_without_hashing() {
    let store = MemoryStore::new();
    let here = builder(store.clone()).build().await.unwrap();
    let other = builder(store).build().await.unwrap();
    let guarded = Guarded::new(here.layer());
    let (kept, revoked) = (issue(&here).await, issue(&here).await);
    for key in [&kept, &revoked] {
        assert_eq!(
            guarded.send(key.key().expose_secret()).await.status(),
            StatusCode::OK
        );
    }
    let hashes = here.stats().slow_hashes;
    other
        .manager()
        .revoke(revoked.info().id, None)
        .await
        .unwrap();
    // Push the revocation out of the log.
    for _ in 0..55_000 {
        other.manager().disable(kept.info().id).await.unwrap();
        other.manager().enable(kept.info().id).await.unwrap();
    }
    here.catch_up().await.unwrap();
    let status = guarded.send(revoked.key().expose_secret()).await.status();
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_eq!(
        guarded.send(kept.key().expose_secret()).await.status(),
        StatusCode::OK
    );
    assert_eq!(here.stats().slow_hashes, hashes);
}

/// A row that cannot be read, as a later version or a hand on the file may leave one, costs its own
/// key and nobody else's.
#[tokio::test]
async fn a_changed_row_that_cannot_be_read_is_refused_alone() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("keys.db").display());
    let store = SqliteStore::connect(&url).await.unwrap();
    let pool = store.pool().clone();
    let here = builder(store).build().await.unwrap();
    let there = builder(SqliteStore::connect(&url).await.unwrap())
        .build()
        .await
        .unwrap();
    let guarded = Guarded::new(there.layer());
    let (bad, good) = (issue(&here).await, issue(&here).await);
    for key in [&bad, &good] {
        assert_eq!(
            guarded.send(key.key().expose_secret()).await.status(),
            StatusCode::OK
        );
    }
    drop(here.manager().disable(bad.info().id).await.unwrap());
    drop(here.manager().disable(good.info().id).await.unwrap());
    sqlx::query("UPDATE api_keys SET record = json_set(record, '$.later', 1) WHERE id = ?1")
        .bind(bad.info().id.to_string())
        .execute(&pool)
        .await
        .unwrap();
    there.catch_up().await.unwrap();
    let unreadable = guarded.send(bad.key().expose_secret()).await;
    assert_eq!(unreadable.status(), StatusCode::SERVICE_UNAVAILABLE);
    let disabled = guarded.send(good.key().expose_secret()).await;
    assert!(disabled.wire().contains("disabled_api_key"));
    drop(here.manager().enable(good.info().id).await.unwrap());
    there.catch_up().await.unwrap();
    assert_eq!(
        guarded.send(good.key().expose_secret()).await.status(),
        StatusCode::OK
    );
}
