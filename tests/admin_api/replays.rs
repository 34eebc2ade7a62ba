//! A create that is sent again.

use std::time::Duration;

use mcp_api_keys::store::MemoryStore;
use mcp_api_keys::testing::{Call, Fault, FaultyStore, ManualClock};
use serde_json::{Value, json};

use crate::support::{Answer, light};
use crate::world::{Api, clear, id};

async fn create(api: &Api, key: &str, name: &str, body: &Value) -> Answer {
    let asking = api.ask("POST", "/keys").key(key);
    asking
        .header("idempotency-key", name)
        .json(body)
        .send()
        .await
}

async fn count(api: &Api, root: &str) -> usize {
    api.read(root, "/keys?limit=1000").await["keys"]
        .as_array()
        .unwrap()
        .len()
}

#[tokio::test]
async fn the_same_create_gets_the_same_key() {
    let api = Api::new().await;
    let (root, other) = (api.root().await, api.root().await);
    let body = json!({ "name": "new" });
    let first = create(&api, &root, "a", &body).await;
    assert_eq!(
        (first.status.as_u16(), first.header("idempotency-replayed")),
        (201, "")
    );
    let again = create(&api, &root, "a", &body).await;
    assert_eq!(
        (again.status.as_u16(), again.header("idempotency-replayed")),
        (201, "true")
    );
    assert_eq!(again.json(), first.json());
    assert_eq!(again.header("cache-control"), "no-store");
    assert_eq!(api.get(&clear(&again.json()), "/me").await.status, 200);
    assert_eq!(count(&api, &root).await, 3);

    let reused = create(&api, &root, "a", &json!({ "name": "other" })).await;
    assert_eq!(reused.refusal(), (422, "idempotency_key_reused".to_owned()));
    let elsewhere = create(&api, &other, "a", &body).await;
    assert_ne!(
        id(&elsewhere.json()),
        id(&first.json()),
        "names are each caller's own"
    );
    let another = create(&api, &root, "b", &body).await;
    assert_ne!(id(&another.json()), id(&first.json()));
    assert_eq!(count(&api, &root).await, 5);
    for name in ["", "a b", "é", &"a".repeat(256)] {
        let refused = create(&api, &root, name, &body).await;
        assert_eq!(
            refused.refusal(),
            (400, "malformed_request".to_owned()),
            "{name:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_at_once_make_one_key() {
    let api = std::sync::Arc::new(Api::new().await);
    let root = api.root().await;
    let creates = (0..12).map(|_| {
        let (api, root) = (std::sync::Arc::clone(&api), root.clone());
        tokio::spawn(async move {
            create(&api, &root, "a", &json!({ "name": "new" }))
                .await
                .json()
        })
    });
    let creates: Vec<_> = creates.collect();
    let mut ids = std::collections::BTreeSet::new();
    for create in creates {
        ids.insert(id(&create.await.unwrap()));
    }
    assert_eq!(ids.len(), 1);
    assert_eq!(count(&api, &root).await, 2);
}

#[tokio::test]
async fn a_create_that_failed_may_be_tried_again() {
    let store = FaultyStore::new(MemoryStore::new());
    let faults = store.faults();
    let api = Api::on(store).await;
    let root = api.root().await;
    let wrong = create(&api, &root, "a", &json!({ "name": "" })).await;
    assert_eq!(wrong.refusal().0, 422);
    let body = json!({ "name": "right" });
    // The key is proven by now, so that it is the create that fails.
    faults.every_call_of(Call::Insert, Fault::Fail);
    let failed = create(&api, &root, "a", &body).await;
    assert_eq!(failed.refusal(), (503, "unavailable".to_owned()));
    assert_eq!(failed.header("retry-after"), "1");
    faults.clear();
    let made = create(&api, &root, "a", &body).await;
    assert_eq!(
        (made.status.as_u16(), made.header("idempotency-replayed")),
        (201, "")
    );
}

/// The clear text is gone after ten minutes, the name after a day.
#[tokio::test]
async fn the_clear_text_is_kept_for_ten_minutes() {
    let clock = ManualClock::at(mcp_api_keys::Timestamp::from_millis(1_789_900_000_000));
    let keys = light(MemoryStore::new())
        .clock(clock.clone())
        .failure_limit(None);
    let api = Api::of(keys.build().await.unwrap()).await;
    let root = api.root().await;
    let body = json!({ "name": "new" });
    let first = create(&api, &root, "a", &body).await.json();
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(601)).await;
    tokio::time::resume();
    tokio::task::yield_now().await;
    let late = create(&api, &root, "a", &body).await;
    assert_eq!(late.refusal(), (409, "idempotency_key_used".to_owned()));
    assert_eq!(late.json()["error"]["key_id"], first["id"]);
    clock.advance(Duration::from_secs(86_401));
    api.keys.catch_up().await.unwrap();
    let next_day = create(&api, &root, "a", &body).await;
    assert_ne!(next_day.json()["id"], first["id"]);
    assert_eq!(next_day.status, 201);
}
