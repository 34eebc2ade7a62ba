//! The stores as sinks: what they promise, what becomes of a key's usage when the key goes, and whose
//! business it is.

use std::sync::Arc;

use mcp_api_keys::key::KeyId;
use mcp_api_keys::store::{KeyStore, MemoryStore, SqliteStore};
use mcp_api_keys::testing::usage;
use mcp_api_keys::usage::{BatchId, UsageBatch, UsageDelta, UsageQuery, UsageSink, UsageStep};
use mcp_api_keys::{ApiKeys, ErrorKind, NewKey, Principal, Timestamp};

use crate::backends::postgres;
use crate::world::{builder, issue, query, request, send, total};

#[tokio::test]
async fn memory_keeps_the_contract() {
    usage::run_all(|| async { MemoryStore::new() }).await;
    usage::run_all(|| async { Arc::new(Box::new(MemoryStore::new())) }).await;
}

#[tokio::test]
async fn sqlite_keeps_the_contract() {
    usage::run_all(|| async { SqliteStore::connect("sqlite::memory:").await.unwrap() }).await;
}

#[tokio::test]
async fn postgres_keeps_the_contract() {
    if postgres().await.is_none() {
        return;
    }
    usage::run_all(|| async { postgres().await.unwrap() }).await;
}

/// Keys with their usage in the same store, of each kind.
async fn each() -> Vec<(&'static str, ApiKeys, Arc<dyn UsageSink>)> {
    async fn both<S: KeyStore + UsageSink + Clone>(store: S) -> (ApiKeys, Arc<dyn UsageSink>) {
        let keys = builder(store.clone(), store.clone()).build().await.unwrap();
        (keys, Arc::new(store))
    }
    let sqlite = SqliteStore::connect("sqlite::memory:").await.unwrap();
    let mut all = Vec::new();
    let (keys, sink) = both(MemoryStore::new()).await;
    all.push(("memory", keys, sink));
    let (keys, sink) = both(sqlite).await;
    all.push(("sqlite", keys, sink));
    if let Some(postgres) = postgres().await {
        let (keys, sink) = both(postgres).await;
        all.push(("postgres", keys, sink));
    }
    all
}

#[tokio::test]
async fn usage_goes_with_the_key_that_is_deleted_and_stays_with_one_that_is_revoked() {
    for (name, keys, sink) in each().await {
        let layer = keys.layer().any_server();
        let (deleted, deleted_key) = issue(&keys, NewKey::named("deleted")).await;
        let (revoked, revoked_key) = issue(&keys, NewKey::named("revoked")).await;
        for key in [&deleted_key, &revoked_key] {
            assert_eq!(send(&layer, request("/", key)).await, 200, "{name}");
        }
        keys.flush().await.unwrap();
        assert_eq!(total(&keys, Some(deleted)).await, 1, "{name}");
        assert!(keys.manager().last_use(deleted).await.unwrap().is_some());
        assert_eq!(send(&layer, request("/", &deleted_key)).await, 200);
        keys.manager().revoke(revoked, None).await.unwrap();
        keys.manager().delete(deleted).await.unwrap();
        // What was noted and not yet written is of a key that is gone.
        keys.flush().await.unwrap();

        let error = keys.manager().usage(&query(Some(deleted), None)).await;
        assert_eq!(error.unwrap_err().kind(), ErrorKind::NotFound, "{name}");
        assert_eq!(sink.last_uses(&[deleted]).await.unwrap(), [], "{name}");
        assert_eq!(total(&keys, Some(revoked)).await, 1, "{name}");
        assert!(keys.manager().last_use(revoked).await.unwrap().is_some());
        assert_eq!(total(&keys, None).await, 3, "{name}");
    }
}

#[tokio::test]
async fn members_are_told_of_their_own_keys_alone() {
    for (name, keys, _) in each().await {
        let layer = keys.layer().any_server();
        let owned = |owner: &str| NewKey::named("agent").owner(owner);
        let (ada_id, ada_key) = issue(&keys, owned("ada")).await;
        let (bob_id, bob_key) = issue(&keys, owned("bob")).await;
        for (key, times) in [(&ada_key, 2), (&bob_key, 5), (&"mcp_sk_none".to_owned(), 9)] {
            for _ in 0..times {
                send(&layer, request("/", key)).await;
            }
        }
        keys.flush().await.unwrap();
        let ada = keys
            .manager()
            .acting_as(Principal::member("ada".parse().unwrap()));
        let sum = async |query: UsageQuery| -> Result<u64, ErrorKind> {
            let points = ada.usage(&query).await.map_err(|error| error.kind())?;
            Ok(points.iter().map(|point| point.counts.requests).sum())
        };
        let all = query(None, None);
        assert_eq!(sum(all.clone()).await, Ok(2), "{name}");
        assert_eq!(
            sum(all.clone().of_owner("ada".parse().unwrap())).await,
            Ok(2)
        );
        assert_eq!(
            sum(all.clone().of_owner("bob".parse().unwrap())).await,
            Ok(0)
        );
        assert_eq!(sum(all.clone().of_key(ada_id)).await, Ok(2));
        assert_eq!(
            sum(all.clone().of_key(bob_id)).await,
            Err(ErrorKind::NotFound)
        );
        assert_eq!(
            ada.last_use(bob_id).await.unwrap_err().kind(),
            ErrorKind::NotFound
        );
        assert!(ada.last_use(ada_id).await.unwrap().is_some());
        assert_eq!(total(&keys, None).await, 16);
        let of_bob = keys
            .manager()
            .usage(&all.of_owner("bob".parse().unwrap()))
            .await;
        assert_eq!(of_bob.unwrap()[0].counts.requests, 5);
    }
}

#[tokio::test]
async fn usage_that_is_not_recorded_is_not_told() {
    let keys = crate::support::light(MemoryStore::new())
        .build()
        .await
        .unwrap();
    let (id, key) = issue(&keys, NewKey::named("agent")).await;
    send(&keys.layer().any_server(), request("/", &key)).await;
    assert!(!keys.manager().records_usage());
    assert_eq!(keys.usage_stats(), None);
    let error = keys.manager().usage(&query(None, None)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(keys.manager().last_use(id).await.unwrap(), None);
}

/// Two nodes write the same series of the same database at the same time, and none loses what the other
/// one adds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_add_up() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("keys.db").display());
    let open = async || SqliteStore::connect(&url).await.unwrap();
    let writers = [open().await, open().await, open().await];
    add_up(
        writers
            .into_iter()
            .map(|sink| Arc::new(sink) as Arc<dyn UsageSink>)
            .collect(),
    )
    .await;
    if let Some(store) = postgres().await {
        add_up(vec![
            Arc::new(store.clone()),
            Arc::new(store.clone()),
            Arc::new(store),
        ])
        .await;
    }
}

async fn add_up(sinks: Vec<Arc<dyn UsageSink>>) {
    const BATCHES: u64 = 20;
    let hour: Timestamp = "2026-07-28T10:00:00Z".parse().unwrap();
    let tasks: Vec<_> = sinks
        .iter()
        .enumerate()
        .map(|(node, sink)| {
            let sink = Arc::clone(sink);
            tokio::spawn(async move {
                for number in 1..=BATCHES {
                    let id = BatchId {
                        recorder: node as u128,
                        number,
                    };
                    let rows = (1..20).map(|key| {
                        let mut row = UsageDelta::new(hour, Some(KeyId::from_u128(key)), 1);
                        row.latency.add(std::time::Duration::from_millis(5), 1);
                        row
                    });
                    let batch = UsageBatch::new(id, hour, rows.collect());
                    sink.write(&batch).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let query = UsageQuery::new(hour, UsageStep::Hour.next(hour), UsageStep::Hour);
    let of = mcp_api_keys::usage::UsageOf::Keys(vec![KeyId::from_u128(7)]);
    let request = mcp_api_keys::usage::UsageRequest::new(of, &query);
    let points = sinks[0].read(&request).await.unwrap();
    let expected = BATCHES * sinks.len() as u64;
    assert_eq!(points[0].counts.requests, expected);
    assert_eq!(points[0].counts.latency.count(), expected);
}
