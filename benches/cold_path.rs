//! What it costs when nothing is remembered yet, and what lists cost when there are many keys.
//!
//! `cargo bench --features full --bench cold_path`, with `-- --quick` for a tenth of the keys, or
//! with names of parts behind `--`: `pool`, `import`, `start`, `lists`. Writes
//! `target/bench/cold_path.json`.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    reason = "a measurement reads the time, prints, and stops at the first fault"
)]

mod support;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Body;
use http::Request;
use mcp_api_keys::client_ip::PeerAddr;
use mcp_api_keys::key::KeyFormat;
use mcp_api_keys::store::{KeyFilter, KeyStore, MemoryStore, PageRequest, SqliteStore};
use mcp_api_keys::{ApiKeys, NewKey};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tower::{Layer, ServiceExt};

use support::big_store::{self, OWNERS};
use support::load::{Dice, PEER};
use support::measure::{Spread, wall_nanos};
use support::ours::{bare, full_key, layer};
use support::report::{Arguments, write_json};

fn main() {
    let mut arguments = Arguments::read();
    let quick = arguments.flag("--quick");
    let parts = arguments.rest();
    let wanted = |part: &str| parts.is_empty() || parts.iter().any(|word| word == part);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let mut result = Map::new();
    if wanted("pool") {
        result.insert("pool".to_owned(), pool(&runtime, quick));
    }
    if wanted("import") {
        result.insert("import".to_owned(), import(&runtime, quick));
    }
    if wanted("start") || wanted("lists") {
        let rows = if quick { 100_000 } else { 1_000_000 };
        let folder = tempfile::tempdir().expect("a folder");
        let store = runtime.block_on(big_store::open(folder.path()));
        runtime.block_on(big_store::fill(&store, rows));
        runtime.block_on(store.close()).expect("it closes");
        if wanted("start") {
            result.insert("start".to_owned(), start(&runtime, folder.path(), rows));
        }
        if wanted("lists") {
            result.insert("lists".to_owned(), lists(&runtime, folder.path(), rows));
        }
    }
    write_json("cold_path.json", &Value::Object(result));
}

fn seconds_since(start: u64) -> f64 {
    (wall_nanos() - start) as f64 / 1e9
}

fn request(text: &str) -> Request<Body> {
    let mut request = Request::new(Body::empty());
    let bearer = format!("Bearer {text}")
        .try_into()
        .expect("a header's value");
    let headers = request.headers_mut();
    headers.insert(http::header::AUTHORIZATION, bearer);
    request.extensions_mut().insert(PeerAddr(PEER.into()));
    request
}

/// A storm of keys that nobody has seen: throughput of the slow hash at its default, and how late a
/// task that wants to run every millisecond gets to run meanwhile.
fn pool(runtime: &Runtime, quick: bool) -> Value {
    let count = if quick { 24 } else { 200 };
    let mut rows = Vec::new();
    println!(
        "{:>7} {:>6} {:>16} {:>12} {:>12} {:>12}",
        "permits", "keys", "verifications/s", "beat_p50_ms", "beat_p99_ms", "beat_max_ms"
    );
    for permits in [1, 2] {
        let (rate, beats) = runtime.block_on(storm(permits, count));
        let (p50, p99, max) = percentiles(beats);
        println!("{permits:7} {count:6} {rate:16.1} {p50:12.2} {p99:12.2} {max:12.2}");
        rows.push(json!({
            "permits": permits, "keys": count, "verifications_per_second": rate,
            "beat_p50_ms": p50, "beat_p99_ms": p99, "beat_max_ms": max,
        }));
    }
    println!("target: the beat late by at most 10 ms at p99, 50 ms ever\n");
    Value::Array(rows)
}

/// Verifications per second, and by how many milliseconds each beat came late.
async fn storm(permits: usize, count: usize) -> (f64, Vec<f64>) {
    let store = Arc::new(MemoryStore::new());
    let issuer = ApiKeys::builder(store.clone()).build().await;
    let issuer = issuer.expect("the memory answers");
    let mut texts = Vec::new();
    for _ in 0..count {
        let issued = issuer.manager().issue(full_key()).await.expect("a key");
        texts.push(issued.key().expose_secret().to_owned());
    }
    let cold = ApiKeys::builder(store)
        .hash_permits(NonZeroUsize::new(permits).expect("not zero"))
        .verify_deadline(Duration::from_secs(60))
        .build()
        .await
        .expect("the memory answers");
    let service = layer(&cold).layer(bare());
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let heart = tokio::spawn(async move {
        let mut beats = Vec::new();
        while !stopped.load(Ordering::Relaxed) {
            let start = wall_nanos();
            sleep(Duration::from_millis(1)).await;
            beats.push((wall_nanos() - start) as f64 / 1e6 - 1.0);
        }
        beats
    });
    let start = wall_nanos();
    let mut storm = JoinSet::new();
    for text in texts {
        storm.spawn(service.clone().oneshot(request(&text)));
    }
    while let Some(answer) = storm.join_next().await {
        let answer = answer.expect("it ends").expect("there is an answer");
        assert_eq!(answer.status(), 200);
    }
    let rate = count as f64 / seconds_since(start);
    stop.store(true, Ordering::Relaxed);
    (rate, heart.await.expect("it ran"))
}

fn percentiles(mut values: Vec<f64>) -> (f64, f64, f64) {
    values.sort_by(f64::total_cmp);
    let at = |part: f64| {
        let index = (part * values.len().saturating_sub(1) as f64) as usize;
        values.get(index).copied().unwrap_or(f64::NAN)
    };
    (at(0.5), at(0.99), at(1.0))
}

/// Keys of another system, taken over one by one as the manager does it.
fn import(runtime: &Runtime, quick: bool) -> Value {
    let (in_memory, in_sqlite) = if quick {
        (10_000, 1_000)
    } else {
        (100_000, 20_000)
    };
    let folder = tempfile::tempdir().expect("a folder");
    let sqlite = runtime.block_on(big_store::open(folder.path()));
    let memory = runtime.block_on(importing(MemoryStore::new(), in_memory));
    let file = runtime.block_on(importing(sqlite, in_sqlite));
    println!("{:10} {:>8} {:>12}", "import", "keys", "µs each");
    println!("{:10} {in_memory:8} {memory:12.1}", "memory");
    println!("{:10} {in_sqlite:8} {file:12.1}\n", "SQLite");
    json!({"memory_us": memory, "sqlite_us": file})
}

/// Microseconds for each key.
async fn importing(store: impl KeyStore, count: usize) -> f64 {
    let format = KeyFormat::default();
    let ready: Vec<(String, String)> = (0..count)
        .map(|_| {
            let key = format.generate(None).expect("a key");
            let text = key.expose_secret();
            let handle = text.get(7..15).expect("a handle").to_owned();
            let hash = Sha256::digest(text);
            let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
            (handle, format!("sha256:{hex}"))
        })
        .collect();
    let keys = ApiKeys::builder(store).build().await.expect("it answers");
    let start = wall_nanos();
    for (handle, hash) in ready {
        let key = NewKey::named("imported").server("files");
        let key = key.import(handle, hash).prefix("mcp_sk_");
        keys.manager().import(key).await.expect("a valid key");
    }
    seconds_since(start) * 1e6 / count as f64
}

/// How long it takes to open a database with many rows and to build everything over it, and how
/// much memory: nothing is loaded in advance.
fn start(runtime: &Runtime, folder: &std::path::Path, rows: usize) -> Value {
    let resident = || {
        let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
        let pages = text.split(' ').nth(1).and_then(|n| n.parse::<f64>().ok());
        pages.unwrap_or(f64::NAN) * 4_096.0 / 1e6
    };
    let mut times = Vec::new();
    let before = resident();
    for _ in 0..9 {
        let start = wall_nanos();
        let store = runtime.block_on(big_store::open(folder));
        let keys = runtime.block_on(ApiKeys::builder(store.clone()).build());
        times.push(seconds_since(start) * 1e3);
        drop(keys.expect("the store answers"));
        runtime.block_on(store.close()).expect("it closes");
    }
    let (time, memory) = (Spread::of(times).median, resident() - before);
    println!("start over {rows} rows: {time:.1} ms, {memory:.1} MB more memory\n");
    json!({"rows": rows, "milliseconds": time, "megabytes": memory})
}

/// Pages of a hundred keys, by what is asked for.
fn lists(runtime: &Runtime, folder: &std::path::Path, rows: usize) -> Value {
    let store = runtime.block_on(big_store::open(folder));
    let keys = runtime
        .block_on(ApiKeys::builder(store.clone()).build())
        .expect("the store answers");
    let id = |number: usize| {
        let text = format!("key_{number:022}");
        text.parse::<mcp_api_keys::key::KeyId>().expect("an id")
    };
    let by = |change: &dyn Fn(&mut KeyFilter)| {
        let mut filter = KeyFilter::default();
        change(&mut filter);
        filter
    };
    let first = PageRequest::first(100);
    let owner = format!("owner-{}", OWNERS / 2);
    let cases = [
        ("first page", KeyFilter::default(), first),
        (
            "middle page",
            KeyFilter::default(),
            first.after(id(rows / 2)),
        ),
        (
            "last page",
            KeyFilter::default(),
            first.after(id(rows - 100)),
        ),
        ("owner", by(&|f| f.owner = owner.parse().ok()), first),
        (
            "unknown owner",
            by(&|f| f.owner = "nobody".parse().ok()),
            first,
        ),
        (
            "server of all",
            by(&|f| f.server = "files".parse().ok()),
            first,
        ),
        (
            "server of 1 %",
            by(&|f| f.server = "mail".parse().ok()),
            first,
        ),
        (
            "unknown server",
            by(&|f| f.server = "none".parse().ok()),
            first,
        ),
        (
            "name of many",
            by(&|f| f.name_contains = Some("agent".to_owned())),
            first,
        ),
        (
            "name of one",
            by(&|f| f.name_contains = Some(format!("agent {rows}"))),
            first,
        ),
        ("unknown plan", by(&|f| f.plan = "none".parse().ok()), first),
        ("connections", by(&|f| f.connections = Some(true)), first),
        (
            "expiring",
            by(&|f| f.expires_before = "2030-01-01T00:00:00Z".parse().ok()),
            first,
        ),
        (
            "idle",
            by(&|f| f.idle_since = "2020-01-01T00:00:00Z".parse().ok()),
            first,
        ),
    ];
    let mut result = Map::new();
    println!(
        "{:16} {:>6} {:>10} {:>10}",
        "list", "found", "p50_ms", "max_ms"
    );
    for (name, filter, page) in cases {
        let mut times = Vec::new();
        let mut found = 0;
        for _ in 0..7 {
            let start = wall_nanos();
            let page = runtime.block_on(keys.manager().list(&filter, page));
            times.push(seconds_since(start) * 1e3);
            found = page.expect("the store answers").keys.len();
        }
        show(&mut result, name, found, times);
    }
    let handles = handles(runtime, &keys, rows);
    show(&mut result, "handle", 1, handles);
    println!();
    runtime.block_on(close(&store));
    Value::Object(result)
}

fn handles(runtime: &Runtime, keys: &ApiKeys, rows: usize) -> Vec<f64> {
    let mut dice = Dice::new(5);
    let mut find = |_| {
        let handle = format!("{:08}", dice.below(rows) + 1);
        let start = wall_nanos();
        let found = runtime.block_on(keys.manager().get_by_handle(&handle));
        found.expect("there is such a key");
        seconds_since(start) * 1e3
    };
    (0..1_000).map(&mut find).collect()
}

async fn close(store: &SqliteStore) {
    store.close().await.expect("it closes");
}

fn show(result: &mut Map<String, Value>, name: &str, found: usize, times: Vec<f64>) {
    let (p50, _, max) = percentiles(times);
    println!("{name:16} {found:6} {p50:10.3} {max:10.3}");
    let values = json!({"found": found, "p50_ms": p50, "max_ms": max});
    result.insert(name.to_owned(), values);
}
