//! P27: faults of the store at every call.

use std::time::Duration;

use http::StatusCode;
use mcp_api_keys::store::MemoryStore;
use mcp_api_keys::testing::{Call, Fault, FaultyStore};
use mcp_api_keys::{ApiKeys, Pepper};

use crate::world::{Guarded, builder, issue};

/// Every call that a cold verification makes, with every fault, one at a time.
#[tokio::test(start_paused = true)]
async fn a_fault_at_any_call_admits_nobody_and_leaves_no_trace() {
    for fault in [Fault::Fail, Fault::Panic, Fault::Hang, Fault::Lose] {
        for call in [Call::FindByHandle, Call::Amend] {
            for nth in 1..=2 {
                faulty_verification(fault, call, nth).await;
            }
        }
    }
}

async fn faulty_verification(fault: Fault, call: Call, nth: u64) {
    let memory = MemoryStore::new();
    let plain: ApiKeys = builder(memory.clone()).build().await.unwrap();
    let issued = issue(&plain).await;
    let store = FaultyStore::new(memory);
    let faults = store.faults();
    // With a pepper the first verification also writes, so that `Amend` is on its way too.
    let pepper = Pepper::new("p1", &[7; 32]).unwrap();
    let keys = builder(store).pepper(pepper).build().await.unwrap();
    let guarded = Guarded::new(keys.layer());
    faults.nth_call_of(call, nth, fault);
    let key = issued.key().expose_secret();
    let before = faults.calls_of(call);
    let answer = tokio::time::timeout(Duration::from_secs(30), guarded.send(key)).await;
    let status = answer.expect("an answer in time").status();
    let what = format!("{fault:?} at call {nth} of {call:?}: {status}");
    let was_hit = faults.calls_of(call) - before >= usize::try_from(nth).unwrap();
    match status {
        StatusCode::OK => assert_eq!(guarded.calls(), 1, "{what}"),
        StatusCode::SERVICE_UNAVAILABLE => {
            assert!(was_hit, "{what}");
            assert_eq!(guarded.calls(), 0, "{what}");
        }
        _ => panic!("{what}"),
    }
    // A row that could not be read admits nobody.
    assert!(
        !(was_hit && call == Call::FindByHandle && status == StatusCode::OK),
        "{what}"
    );
    faults.clear();
    for _ in 0..2 {
        let answer = tokio::time::timeout(Duration::from_secs(30), guarded.send(key)).await;
        assert_eq!(
            answer.expect("an answer in time").status(),
            StatusCode::OK,
            "{what}"
        );
    }
}

/// A known key whose row is read again, since it was changed elsewhere: every fault of that reading is
/// told as an outage, and the next request is well.
#[tokio::test(start_paused = true)]
async fn a_fault_while_a_changed_key_is_read_again_is_an_outage() {
    for fault in [Fault::Fail, Fault::Panic, Fault::Hang, Fault::Lose] {
        let memory = MemoryStore::new();
        let elsewhere = builder(memory.clone()).build().await.unwrap();
        let issued = issue(&elsewhere).await;
        let key = issued.key().expose_secret();
        let store = FaultyStore::new(memory);
        let faults = store.faults();
        let keys = builder(store).build().await.unwrap();
        let guarded = Guarded::new(keys.layer());
        assert_eq!(guarded.send(key).await.status(), StatusCode::OK);
        let rename = mcp_api_keys::KeyUpdate::new().name("changed");
        elsewhere
            .manager()
            .update(issued.info().id, rename)
            .await
            .unwrap();
        keys.catch_up().await.unwrap();

        let before = faults.calls_of(Call::Get);
        faults.nth_call_of(Call::Get, 1, fault);
        let answer = tokio::time::timeout(Duration::from_secs(30), guarded.send(key)).await;
        let answer = answer.expect("an answer in time");
        assert_eq!(faults.calls_of(Call::Get), before + 1, "{fault:?}");
        assert_eq!(
            answer.status(),
            StatusCode::SERVICE_UNAVAILABLE,
            "{fault:?}"
        );
        assert_eq!(answer.head.headers["retry-after"], "1", "{fault:?}");
        assert_eq!(guarded.calls(), 1, "{fault:?}");
        faults.clear();
        assert_eq!(
            guarded.send(key).await.status(),
            StatusCode::OK,
            "{fault:?}"
        );
    }
}

#[tokio::test]
async fn a_stored_hash_that_cannot_be_used_is_an_outage_of_that_key_alone() {
    use mcp_api_keys::store::KeyStore;

    let store = MemoryStore::new();
    let keys = builder(store.clone()).build().await.unwrap();
    let guarded = Guarded::new(keys.layer());
    let (good, bad) = (issue(&keys).await, issue(&keys).await);
    let mut record = store.get(bad.info().id).await.unwrap().unwrap();
    let bomb = record.credentials[0].hash.replacen("m=8", "m=4194304", 1);
    record.credentials[0].hash = bomb;
    store
        .replace(&record, record.revision, &mcp_api_keys::testing::act())
        .await
        .unwrap();
    let hashes = keys.stats().slow_hashes;
    let answer = guarded.send(bad.key().expose_secret()).await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(keys.stats().slow_hashes, hashes);
    assert_eq!(
        guarded.send(good.key().expose_secret()).await.status(),
        StatusCode::OK
    );
}
