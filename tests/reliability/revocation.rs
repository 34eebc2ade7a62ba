//! P1, P4: once a change has returned it holds.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::StatusCode;
use mcp_api_keys::key::{KeyId, NetworkRules, ScopeSet, Servers};
use mcp_api_keys::store::{MemoryStore, SqliteStore};
use mcp_api_keys::testing::{Call, Fault, FaultyStore};
use mcp_api_keys::{ApiKeys, KeyUpdate};
use tokio::sync::watch;

use crate::world::{ALONE, Guarded, builder, issue, percentile, size};

/// The key that everybody presents, and whether it has been withdrawn already.
struct Target {
    key: String,
    withdrawn: AtomicBool,
}

/// In how many ways a key is withdrawn.
const WAYS: usize = 7;

async fn withdraw(keys: &ApiKeys, id: KeyId, way: usize) {
    let manager = keys.manager();
    let nowhere = NetworkRules::new(vec!["192.0.2.1".parse().unwrap()], Vec::new());
    match way % WAYS {
        0 => drop(manager.revoke(id, None).await.unwrap()),
        1 => drop(manager.disable(id).await.unwrap()),
        2 => assert!(manager.delete(id).await.unwrap()),
        3 => drop(manager.rotate(id).await.unwrap()),
        4 => drop(
            manager
                .update(id, KeyUpdate::new().scopes(ScopeSet::default()))
                .await
                .unwrap(),
        ),
        5 => drop(
            manager
                .update(id, KeyUpdate::new().networks(nowhere))
                .await
                .unwrap(),
        ),
        _ => drop(
            manager
                .update(id, KeyUpdate::new().servers(Servers::default()))
                .await
                .unwrap(),
        ),
    }
}

/// P1. Sixty-four tasks present a key while it is withdrawn, in every way there is: after a second
/// of use, at once, and while it is being verified for the first time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_that_begins_after_a_withdrawal_returned_is_admitted() {
    let _alone = ALONE.lock().await;
    let rounds = size(1_500, 10_000);
    let keys = builder(MemoryStore::new()).build().await.unwrap();
    let layer = keys
        .layer()
        .server("files")
        .require_scope("files:read")
        .unwrap();
    let guarded = Guarded::new(layer);
    let (publish, target) = watch::channel::<Option<Arc<Target>>>(None);
    let (admitted, late) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));

    let mut tasks = Vec::new();
    for _ in 0..64 {
        let (guarded, target) = (guarded.clone(), target.clone());
        let (admitted, late) = (Arc::clone(&admitted), Arc::clone(&late));
        tasks.push(tokio::spawn(async move {
            loop {
                let Some(target) = target.borrow().clone() else {
                    tokio::task::yield_now().await;
                    continue;
                };
                if target.key.is_empty() {
                    return;
                }
                let withdrawn_before = target.withdrawn.load(Ordering::SeqCst);
                if guarded.send(&target.key).await.status() == StatusCode::OK {
                    admitted.fetch_add(1, Ordering::Relaxed);
                    late.fetch_add(u64::from(withdrawn_before), Ordering::Relaxed);
                }
                tokio::task::yield_now().await;
            }
        }));
    }
    for round in 0..rounds {
        let issued = issue(&keys).await;
        let key = issued.key().expose_secret().to_owned();
        let withdrawn = AtomicBool::new(false);
        let target = Arc::new(Target { key, withdrawn });
        let before = admitted.load(Ordering::Relaxed);
        publish.send_replace(Some(Arc::clone(&target)));
        // A third each: well in use, just in use, and perhaps not even verified yet.
        let uses = [100, 1, 0][round % 3];
        while admitted.load(Ordering::Relaxed) < before + uses {
            tokio::task::yield_now().await;
        }
        withdraw(&keys, issued.info().id, round / 3).await;
        target.withdrawn.store(true, Ordering::SeqCst);
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
    }
    let (key, withdrawn) = (String::new(), AtomicBool::new(true));
    publish.send_replace(Some(Arc::new(Target { key, withdrawn })));
    for task in tasks {
        task.await.unwrap();
    }
    let (admitted, late) = (
        admitted.load(Ordering::Relaxed),
        late.load(Ordering::Relaxed),
    );
    println!("P1: {rounds} withdrawals, {admitted} requests admitted, {late} of them late");
    assert!(admitted > rounds as u64);
    assert_eq!(late, 0);
}

/// P1, the race by hand: the row has been read, the answer is held back, the key is revoked.
#[tokio::test]
async fn a_verification_that_read_the_row_before_a_change_does_not_admit_by_it() {
    for way in 0..WAYS {
        let store = FaultyStore::new(MemoryStore::new());
        let faults = store.faults();
        let keys = builder(store).build().await.unwrap();
        let layer = keys
            .layer()
            .server("files")
            .require_scope("files:read")
            .unwrap();
        let guarded = Guarded::new(layer);
        let issued = issue(&keys).await;
        faults.nth_call_of(Call::FindByHandle, 1, Fault::Withhold);
        let first = tokio::spawn(guarded.send(issued.key().expose_secret()));
        faults.until_held(1).await;
        withdraw(&keys, issued.info().id, way).await;
        faults.release();
        assert_ne!(first.await.unwrap().status(), StatusCode::OK, "way {way}");
        let second = guarded.send(issued.key().expose_secret()).await;
        assert_ne!(second.status(), StatusCode::OK, "way {way}");
        assert_eq!(guarded.calls(), 0);
    }
}

/// The answer to a revocation is lost: the caller sees an error, and the key is refused all the
/// same, because a write whose answer is lost makes the node read the row again.
#[tokio::test]
async fn a_revocation_whose_answer_was_lost_holds_at_once() {
    let store = FaultyStore::new(MemoryStore::new());
    let faults = store.faults();
    let keys = builder(store).build().await.unwrap();
    let guarded = Guarded::new(keys.layer());
    let issued = issue(&keys).await;
    assert_eq!(
        guarded.send(issued.key().expose_secret()).await.status(),
        StatusCode::OK
    );
    faults.nth_call_of(Call::Replace, 1, Fault::Lose);
    assert!(keys.manager().revoke(issued.info().id, None).await.is_err());
    let answer = guarded.send(issued.key().expose_secret()).await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
}

/// P4. Two nodes on one SQLite file, as a server and a command beside it are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_by_another_process_on_the_same_file_is_noticed_in_time() {
    let _alone = ALONE.lock().await;
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("keys.db").display());
    let here = builder(SqliteStore::connect(&url).await.unwrap())
        .build()
        .await
        .unwrap();
    let there = builder(SqliteStore::connect(&url).await.unwrap())
        .build()
        .await
        .unwrap();
    let guarded = Guarded::new(there.layer());

    let mut issued = Vec::new();
    for _ in 0..100 {
        let key = issue(&here).await;
        assert_eq!(
            guarded.send(key.key().expose_secret()).await.status(),
            StatusCode::OK
        );
        issued.push(key);
    }
    let mut waits = Vec::new();
    for key in issued {
        // Spread over the polling interval of the other node.
        tokio::time::sleep(Duration::from_millis(20)).await;
        here.manager().revoke(key.info().id, None).await.unwrap();
        let revoked_at = Instant::now();
        let guarded = guarded.clone();
        waits.push(tokio::spawn(async move {
            while guarded.send(key.key().expose_secret()).await.status() == StatusCode::OK {
                assert!(
                    revoked_at.elapsed() < Duration::from_secs(10),
                    "never refused"
                );
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            revoked_at.elapsed()
        }));
    }
    let mut delays = Vec::new();
    for wait in waits {
        delays.push(wait.await.unwrap());
    }
    let (p50, max) = (
        percentile(&mut delays, 50.0),
        percentile(&mut delays, 100.0),
    );
    println!("P4: 100 revocations beside the node: p50 {p50:?}, max {max:?}");
    assert!(max <= Duration::from_millis(2_500), "{max:?}");
}
