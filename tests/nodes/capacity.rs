//! The figures of `manual::capacity`, measured again: what one node, one PostgreSQL and one Redis carry
//! on the machine that runs this. It asserts that the work was done, not how fast.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;
use mcp_api_keys::store::PostgresStore;
use mcp_api_keys::{ApiKeys, Pepper};
use tokio::task::JoinSet;

use crate::backends::schema;
use crate::world::{ALONE, Guarded, builder, issue, percentile, size};

async fn node(url: &str) -> ApiKeys {
    let builder = builder(PostgresStore::connect(url).await.unwrap());
    let pepper = Pepper::new("test", &[7; 32]).unwrap();
    builder.pepper(pepper).build().await.unwrap()
}

fn rate(count: usize, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_node_and_one_postgresql_carry() {
    let _alone = ALONE.lock().await;
    let Some(schema) = schema().await else { return };
    let count = size(600, 10_000);
    let mut keys = Vec::new();
    for nodes in [1, 4] {
        let mut writers = JoinSet::new();
        let start = Instant::now();
        for _ in 0..nodes {
            let writer = node(&schema.url).await;
            for _ in 0..4 {
                let writer = writer.clone();
                writers.spawn(async move {
                    let mut made = Vec::new();
                    for _ in 0..count / nodes / 4 {
                        made.push(issue(&writer).await);
                    }
                    made
                });
            }
        }
        let made: Vec<_> = writers.join_all().await.into_iter().flatten().collect();
        println!(
            "capacity: {nodes} nodes, {:.0} life-cycle writes a second",
            rate(made.len(), start.elapsed())
        );
        keys.extend(made);
    }

    let reader = node(&schema.url).await;
    let guarded = Guarded::new(reader.layer());
    let start = Instant::now();
    let mut readers = JoinSet::new();
    for part in keys.chunks(keys.len().div_ceil(16)) {
        let texts = part.iter().map(|key| key.key().expose_secret().to_owned());
        let (guarded, texts) = (guarded.clone(), texts.collect::<Vec<_>>());
        readers.spawn(async move {
            for key in texts {
                assert_eq!(guarded.send(&key).await.status(), StatusCode::OK);
            }
        });
    }
    readers.join_all().await;
    let cold = start.elapsed();
    assert_eq!(reader.stats().slow_hashes, 0);
    let key = keys[0].key().expose_secret();
    let (start, warm) = (Instant::now(), size(100_000, 1_000_000));
    for _ in 0..warm {
        assert_eq!(guarded.send(key).await.status(), StatusCode::OK);
    }
    println!(
        "capacity: one node, {:.0} cold keys a second with a pepper, {:.0} cached requests a second on one \
         core of this build",
        rate(keys.len(), cold),
        rate(warm, start.elapsed())
    );
}

/// How long it takes until every one of many nodes has heard of a write, and what reading the log costs
/// the server.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn how_far_a_ring_reaches() {
    const NODES: usize = 12;

    let _alone = ALONE.lock().await;
    let Some(schema) = schema().await else { return };
    let here = node(&schema.url).await;
    let mut others = Vec::new();
    for _ in 0..NODES {
        others.push(Guarded::new(node(&schema.url).await.layer()));
    }
    let mut delays = Vec::new();
    for _ in 0..size(10, 100) {
        let key = issue(&here).await;
        let text: Arc<str> = key.key().expose_secret().into();
        for node in &others {
            assert_eq!(node.send(&text).await.status(), StatusCode::OK);
        }
        here.manager().revoke(key.info().id, None).await.unwrap();
        let start = Instant::now();
        for node in &others {
            while node.send(&text).await.status() == StatusCode::OK {
                assert!(start.elapsed() < Duration::from_secs(20));
                tokio::time::sleep(Duration::from_micros(500)).await;
            }
        }
        delays.push(start.elapsed());
    }
    let [p50, max] = [50.0, 100.0].map(|p| percentile(&mut delays, p));
    println!("capacity: {NODES} nodes have all heard of a write after p50 {p50:?}, max {max:?}");
}

#[cfg(feature = "redis")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_redis_decides() {
    use mcp_api_keys::key::KeyId;
    use mcp_api_keys::limit::{Charge, SharedLimiter};
    use mcp_api_keys::redis::Redis;
    use mcp_api_keys::{Clock, RateLimit, SystemClock};

    let _alone = ALONE.lock().await;
    let Ok(url) = std::env::var("REDIS_URL") else {
        let required = std::env::var("MCP_KEYS_REQUIRE_SERVICES").is_ok_and(|on| on == "1");
        assert!(!required, "there is no REDIS_URL");
        println!("left out: there is no REDIS_URL");
        return;
    };
    let count = size(20_000, 500_000);
    for (nodes, callers) in [(1, 1), (1, 64), (4, 64)] {
        let mut tasks = JoinSet::new();
        let start = Instant::now();
        for _ in 0..nodes {
            let redis = Redis::connect(&url).await.unwrap();
            let redis = redis.patience(Duration::from_secs(2));
            for _ in 0..callers / nodes {
                let limiter = redis.limiter();
                tasks.spawn(async move {
                    let key = KeyId::generate(SystemClock::new().now().wall);
                    let limit = Arc::new(RateLimit::per_hour(1_000_000));
                    let charge = [Charge::new(limit, std::num::NonZeroU32::MIN)];
                    let share = if callers == 1 { 2_000 } else { count / callers };
                    for _ in 0..share {
                        limiter.take(key, &charge).await.unwrap();
                    }
                    share
                });
            }
        }
        let taken: usize = tasks.join_all().await.into_iter().sum();
        println!(
            "capacity: {nodes} nodes, {callers} callers, {:.0} decisions of one Redis a second",
            rate(taken, start.elapsed())
        );
    }
}
