//! How soon other nodes know.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http::StatusCode;
use mcp_api_keys::key::{CredentialId, Revision};
use mcp_api_keys::store::{ChangeLog, KeyStore, KeyUse, QuotaAccount, QuotaLedger};
use mcp_api_keys::testing::act;
use mcp_api_keys::testing::records::{NOON, record};
use tokio::time::timeout;

use crate::proxy::Proxy;
use crate::world::{
    ALONE, execute, issue, node, open, percentile, refused_after, schema, status, with,
};

/// P3. A revocation reaches the other nodes while all of them are busy.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_reaches_other_nodes_at_once() {
    let _alone = ALONE.lock().await;
    let revocations = if std::env::var_os("MCP_KEYS_LONG").is_some() {
        1_000
    } else {
        60
    };
    let schema = schema!();
    let here = node(open(&schema.url).await).await;
    let mut others = Vec::new();
    for _ in 0..3 {
        others.push(node(open(&schema.url).await).await);
    }
    let mut keys = Vec::new();
    for _ in 0..revocations {
        keys.push(issue(&here).await);
    }
    let busy = Arc::new(AtomicBool::new(true));
    let kept = Arc::new(issue(&here).await);
    let load: Vec<_> = others
        .iter()
        .map(|node| {
            let (layer, kept, busy) = (node.layer(), Arc::clone(&kept), Arc::clone(&busy));
            tokio::spawn(async move {
                while busy.load(Ordering::Relaxed) {
                    assert_eq!(status(&layer, &kept).await, StatusCode::OK);
                    tokio::time::sleep(Duration::from_micros(500)).await;
                }
            })
        })
        .collect();
    let mut delays = Vec::new();
    for key in keys {
        for other in &others {
            assert_eq!(status(&other.layer(), &key).await, StatusCode::OK);
        }
        here.manager().revoke(key.info().id, None).await.unwrap();
        let layers: Vec<_> = others.iter().map(|other| other.layer()).collect();
        let [one, two, three] = &layers[..] else {
            unreachable!()
        };
        let (one, two, three) = tokio::join!(
            refused_after(one, &key),
            refused_after(two, &key),
            refused_after(three, &key)
        );
        delays.extend([one, two, three]);
    }
    busy.store(false, Ordering::Relaxed);
    for load in load {
        load.await.unwrap();
    }
    let [p50, p99, max] = [50.0, 99.0, 100.0].map(|p| percentile(&mut delays, p));
    println!(
        "P3: {revocations} revocations on 3 other nodes: p50 {p50:?}, p99 {p99:?}, max {max:?}"
    );
    assert!(p99 <= Duration::from_millis(100), "{p99:?}");
    assert!(max <= Duration::from_secs(1), "{max:?}");
}

/// P4. The listening connection is killed before each revocation: the next poll finds it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_word_costs_no_more_than_a_poll() {
    let _alone = ALONE.lock().await;
    let revocations = if std::env::var_os("MCP_KEYS_LONG").is_some() {
        100
    } else {
        8
    };
    let schema = schema!();
    let here = node(open(&schema.url).await).await;
    let there = node(open(&with(&schema, "application_name=deafened")).await).await;
    let layer = there.layer();
    let mut delays = Vec::new();
    for _ in 0..revocations {
        let key = issue(&here).await;
        assert_eq!(status(&layer, &key).await, StatusCode::OK);
        execute(
            &schema.url,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE application_name = 'deafened' AND (query LIKE 'LISTEN%' OR query = 'SELECT 1')",
        )
        .await;
        here.manager().revoke(key.info().id, None).await.unwrap();
        delays.push(refused_after(&layer, &key).await);
    }
    let [p50, max] = [50.0, 100.0].map(|p| percentile(&mut delays, p));
    println!(
        "P4: the listener killed before each of {revocations} revocations: p50 {p50:?}, max {max:?}"
    );
    assert!(max <= Duration::from_millis(2_500), "{max:?}");
}

/// P5. The listening connection has gone silent, with those for the log and for lookups.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_listener_is_found_out() {
    let _alone = ALONE.lock().await;
    let schema = schema!();
    let proxy = Proxy::to(&schema.url).await;
    let store = open(&schema.url).await;
    let there = open(&proxy.url(&schema.url)).await;
    let mut bell = there.change_bell().unwrap();
    // Of its beginning.
    quiet(&mut bell).await;
    store.insert(&record(1), &act()).await.unwrap();
    rings_within(&mut bell, Duration::from_secs(1)).await;

    let made = proxy.made();
    proxy.silence();
    let start = Instant::now();
    // It asks after five seconds, waits two, and rings when it listens again.
    rings_within(&mut bell, Duration::from_secs(10)).await;
    println!(
        "P5: a silent listener is replaced after {:?}",
        start.elapsed()
    );
    assert!(proxy.made() > made);
    quiet(&mut bell).await;
    store.insert(&record(2), &act()).await.unwrap();
    rings_within(&mut bell, Duration::from_secs(1)).await;
}

#[tokio::test]
async fn it_rings_for_changes_and_not_for_use() {
    let schema = schema!();
    let store = open(&schema.url).await;
    let mut bell = store.change_bell().unwrap();
    let mut key = record(1);
    key.revision = store.insert(&key, &act()).await.unwrap();
    quiet(&mut bell).await;

    let one = KeyUse {
        key: key.id,
        credential: CredentialId::FIRST,
        at: NOON,
    };
    store.note_uses(&[one]).await.unwrap();
    let account = QuotaAccount {
        key: key.id,
        quota: "daily".to_owned(),
        period: NOON,
    };
    store.take(&account, 1, 5).await.unwrap();
    store.amend(&key).await.unwrap();
    store.insert(&key, &act()).await.unwrap_err();
    let rang = timeout(Duration::from_millis(300), bell.rung()).await;
    assert!(rang.is_err(), "it rang for use");

    key.revision = store.replace(&key, key.revision, &act()).await.unwrap();
    rings_within(&mut bell, Duration::from_secs(2)).await;
    quiet(&mut bell).await;
    store.delete(key.id, &act()).await.unwrap();
    rings_within(&mut bell, Duration::from_secs(2)).await;
}

/// A pooler in transaction mode lets LISTEN pass and the words not. It is named once, and the node
/// goes on polling.
#[tokio::test]
async fn words_that_do_not_arrive_are_named_and_polling_goes_on() {
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<String>>);
    impl std::io::Write for Lines {
        fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
            self.0
                .lock()
                .unwrap()
                .push_str(&String::from_utf8_lossy(line));
            Ok(line.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    let _alone = ALONE.lock().await;
    let schema = schema!();
    let lines = Lines::default();
    let writer = lines.clone();
    let log = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::WARN)
        .with_writer(move || writer.clone())
        .finish();
    let _log = tracing::subscriber::set_default(log);

    let proxy = Proxy::to(&schema.url).await;
    proxy.hold_notifications_back();
    let here = node(open(&schema.url).await).await;
    let there = node(open(&proxy.url(&schema.url)).await).await;
    let layer = there.layer();
    let key = issue(&here).await;
    assert_eq!(status(&layer, &key).await, StatusCode::OK);
    tokio::time::sleep(Duration::from_secs(3)).await;
    let logged = lines.0.lock().unwrap().clone();
    assert_eq!(logged.matches("notifications").count(), 1, "{logged}");
    here.manager().revoke(key.info().id, None).await.unwrap();
    let delay = refused_after(&layer, &key).await;
    assert!(delay <= Duration::from_millis(2_500), "{delay:?}");
}

#[tokio::test]
async fn the_log_keeps_the_newest_changes_and_says_what_it_lost() {
    let schema = schema!();
    let store = open(&schema.url).await;
    store.insert(&record(1), &act()).await.unwrap();
    execute(
        &schema.url,
        "INSERT INTO api_key_changes
         SELECT i, 'key_0000000000000000000001', i FROM generate_series(2, 151999) i;
         UPDATE api_key_counter SET revision = 151999",
    )
    .await;
    let there = node(open(&schema.url).await).await;
    store.insert(&record(5), &act()).await.unwrap();

    let newest = Revision::new(152_000);
    let reach = |since| store.changes_since(Revision::new(since), 1);
    assert_eq!(reach(51_999).await.unwrap(), ChangeLog::OutOfReach(newest));
    let ChangeLog::Changes(first) = reach(52_000).await.unwrap() else {
        panic!("the log reaches back that far");
    };
    assert_eq!(first[0].revision, Revision::new(52_001));
    assert_eq!(
        reach(152_000).await.unwrap(),
        ChangeLog::Changes(Vec::new())
    );
    there.catch_up().await.unwrap();

    // A node that slept while the log was pruned past it reads everything again.
    let key = issue(&there).await;
    assert_eq!(status(&there.layer(), &key).await, StatusCode::OK);
    execute(
        &schema.url,
        "UPDATE api_key_counter SET revision = revision + 200000;
         DELETE FROM api_key_changes",
    )
    .await;
    let mut stored = store.get(key.info().id).await.unwrap().unwrap();
    stored.status = mcp_api_keys::key::KeyStatus::Disabled;
    store
        .replace(&stored, stored.revision, &act())
        .await
        .unwrap();
    there.catch_up().await.unwrap();
    assert_eq!(status(&there.layer(), &key).await, StatusCode::UNAUTHORIZED);
}

type Bell = Box<dyn mcp_api_keys::store::ChangeBell>;

/// Waits until it has been silent for a while.
async fn quiet(bell: &mut Bell) {
    while timeout(Duration::from_millis(500), bell.rung())
        .await
        .is_ok()
    {}
}

async fn rings_within(bell: &mut Bell, time: Duration) {
    timeout(time, bell.rung()).await.expect("it rings");
}
