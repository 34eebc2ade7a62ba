//! P3, P5: how soon other nodes refuse what was withdrawn, while they are busy and while word is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::StatusCode;
use mcp_api_keys::store::PostgresStore;
use mcp_api_keys::{ApiKeys, IssuedKey};

use crate::backends::{Schema, schema};
use crate::wire::{Mode, Wire};
use crate::world::{ALONE, Guarded, builder, issue, percentile, size};

pub(crate) async fn node(url: &str) -> ApiKeys {
    let store = PostgresStore::connect(url).await.unwrap();
    builder(store).build().await.unwrap()
}

/// A wire to the server of the schema, and the address that leads through it.
pub(crate) async fn wired(schema: &Schema) -> (Wire, String) {
    let options: sqlx::postgres::PgConnectOptions = schema.url.parse().unwrap();
    let (host, port) = (options.get_host(), options.get_port());
    let wire = Wire::to(port).await;
    let through = format!("127.0.0.1:{}", wire.port());
    let url = schema.url.replacen(&format!("{host}:{port}"), &through, 1);
    (wire, format!("{url}&sslmode=disable"))
}

pub(crate) async fn status(node: &Guarded, key: &IssuedKey) -> StatusCode {
    node.send(key.key().expose_secret()).await.status()
}

/// How long it takes until the key is refused, from now on.
async fn refused_after(node: &Guarded, key: &IssuedKey) -> Duration {
    let start = Instant::now();
    while status(node, key).await == StatusCode::OK {
        assert!(start.elapsed() < Duration::from_secs(30), "never refused");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    start.elapsed()
}

/// P3. Four nodes serve cached keys all the time, the revoked one among them: each refuses it soon
/// after `revoke` has returned on one of them, and never admits it again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_node_refuses_soon_and_for_good() {
    const NODES: usize = 4;
    const KEPT: usize = 16;
    const BLOCKS: usize = 5;

    let _alone = ALONE.lock().await;
    let Some(schema) = schema().await else { return };
    let revocations = size(100, 1_000);
    let mut nodes = Vec::new();
    for _ in 0..NODES {
        nodes.push(node(&schema.url).await);
    }
    let guarded: Vec<_> = nodes
        .iter()
        .map(|node| Guarded::new(node.layer()))
        .collect();
    let mut kept = Vec::new();
    for number in 0..KEPT {
        kept.push(issue(&nodes[number % NODES]).await);
    }
    let kept = Arc::new(kept);
    let (busy, served) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicU64::new(0)));
    let load = guarded.iter().map(|node| {
        let (node, kept) = (node.clone(), Arc::clone(&kept));
        let (busy, served) = (Arc::clone(&busy), Arc::clone(&served));
        tokio::spawn(async move {
            while busy.load(Ordering::Relaxed) {
                for key in kept.iter() {
                    assert_eq!(status(&node, key).await, StatusCode::OK);
                    served.fetch_add(1, Ordering::Relaxed);
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        })
    });
    let load: Vec<_> = load.collect();

    let (mut delays, mut refused) = (Vec::new(), Vec::new());
    for round in 0..revocations {
        let here = round % NODES;
        let key = issue(&nodes[here]).await;
        for node in &guarded {
            assert_eq!(status(node, &key).await, StatusCode::OK);
        }
        nodes[here]
            .manager()
            .revoke(key.info().id, None)
            .await
            .unwrap();
        let key = Arc::new(key);
        let others = guarded.iter().enumerate().filter(|(at, _)| *at != here);
        let waits = others.map(|(_, node)| {
            let (node, key) = (node.clone(), Arc::clone(&key));
            tokio::spawn(async move { refused_after(&node, &key).await })
        });
        for wait in waits.collect::<Vec<_>>() {
            delays.push(wait.await.unwrap());
        }
        assert_eq!(status(&guarded[here], &key).await, StatusCode::UNAUTHORIZED);
        refused.push(key);
        // Those that were refused before stay so.
        for key in refused.iter().rev().take(8) {
            for node in &guarded {
                assert_eq!(status(node, key).await, StatusCode::UNAUTHORIZED);
            }
        }
    }
    for key in &refused {
        for node in &guarded {
            assert_eq!(status(node, key).await, StatusCode::UNAUTHORIZED);
        }
    }
    busy.store(false, Ordering::Relaxed);
    for task in load {
        task.await.unwrap();
    }
    // A machine that others use has slow moments: the block in the middle counts.
    let blocks = delays.chunks(delays.len().div_ceil(BLOCKS));
    let mut of_blocks: Vec<_> = blocks
        .map(|block| percentile(&mut block.to_vec(), 99.0))
        .collect();
    let middle = percentile(&mut of_blocks, 50.0);
    let [p50, p99, max] = [50.0, 99.0, 100.0].map(|p| percentile(&mut delays, p));
    println!(
        "P3: {revocations} revocations, {NODES} busy nodes ({} requests meanwhile): the others refuse \
         after p50 {p50:?}, p99 {p99:?} ({of_blocks:?} in {BLOCKS} blocks), max {max:?}",
        served.load(Ordering::Relaxed)
    );
    assert!(middle <= Duration::from_millis(100), "{of_blocks:?}");
    assert!(max <= Duration::from_secs(1), "{max:?}");
}

/// P5. The socket of the listener alone is half open: word is lost, and the next poll finds it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_half_open_listener_costs_no_more_than_a_poll() {
    let _alone = ALONE.lock().await;
    let Some(schema) = schema().await else { return };
    let (wire, url) = wired(&schema).await;
    let (here, there) = (node(&schema.url).await, node(&url).await);
    let guarded = Guarded::new(there.layer());
    let mut delays = Vec::new();
    for _ in 0..size(2, 30) {
        let key = issue(&here).await;
        assert_eq!(status(&guarded, &key).await, StatusCode::OK);
        // It listens again about eight seconds after the last time.
        let start = Instant::now();
        while wire.silence_listeners() == 0 {
            assert!(start.elapsed() < Duration::from_secs(20), "nobody listens");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        here.manager().revoke(key.info().id, None).await.unwrap();
        delays.push(refused_after(&guarded, &key).await);
    }
    let [p50, max] = [50.0, 100.0].map(|p| percentile(&mut delays, p));
    println!("P5: the listener's socket half open: refused after p50 {p50:?}, max {max:?}");
    assert!(max <= Duration::from_millis(2_500), "{max:?}");
}

/// P5. Everything is held for a moment, as by a switch that restarts: nothing is refused that should
/// not be, and what was revoked meanwhile is refused as soon as things pass again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn word_that_was_held_back_still_arrives() {
    let _alone = ALONE.lock().await;
    let Some(schema) = schema().await else { return };
    let (wire, url) = wired(&schema).await;
    let (here, there) = (node(&schema.url).await, node(&url).await);
    let guarded = Guarded::new(there.layer());
    let (revoked, kept) = (issue(&here).await, issue(&here).await);
    for key in [&revoked, &kept] {
        assert_eq!(status(&guarded, key).await, StatusCode::OK);
    }
    wire.set(Mode::Hold);
    here.manager()
        .revoke(revoked.info().id, None)
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(800)).await;
    assert_eq!(status(&guarded, &kept).await, StatusCode::OK);
    wire.set(Mode::Pass);
    let delay = refused_after(&guarded, &revoked).await;
    println!("P5: refused {delay:?} after the wire passed again");
    assert!(delay <= Duration::from_millis(2_500), "{delay:?}");
    assert_eq!(status(&guarded, &kept).await, StatusCode::OK);
}
