//! How the layer bears threads and numbers of keys.
//!
//! `cargo bench --features full --bench scaling`, with `-- --quick` for a tenth of the keys. Writes
//! `target/bench/scaling.json` and a picture.
//!
//! 1. One thread and two, with one key for both and with a key for each. Threads start each batch
//!    together, each on a core of its own. Throughput is judged by the time a request takes its
//!    thread, which a lock word or a counter that moves between the cores lengthens; the time on
//!    the clock is given beside it, and is worth nothing while others use the cores.
//! 2. What the layer adds with 10,000, 100,000 and a million keys remembered, all equally popular and
//!    by Zipf's law, and the memory that a remembered key takes.
//! 3. What the first request of a key costs with a thousand and with a million rows in SQLite.

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

use std::fmt::Debug;
use std::rc::Rc;
use std::sync::{Arc, Barrier};

use axum::body::Body;
use http::{Request, Response};
use mcp_api_keys::store::{KeyStore, SqliteStore};
use mcp_api_keys::{ApiKeys, Argon2Params};
use rustix::thread::{CpuSet, sched_setaffinity};
use serde_json::{Value, json};
use tower::{Layer, Service};

use support::big_store;
use support::cases::{Entrant, World};
use support::formula;
use support::load::{Dice, Popularity, Shape};
use support::measure::{Spread, round, thread_nanos, wall_nanos};
use support::ours::{bare, full_key, issue, layer};
use support::plot::lines;
use support::report::{Arguments, write_json};

fn main() {
    let mut arguments = Arguments::read();
    let quick = arguments.flag("--quick");
    let parts = arguments.rest();
    let wanted = |part: &str| parts.is_empty() || parts.iter().any(|word| word == part);
    let mut result = serde_json::Map::new();
    if wanted("threads") {
        result.insert("threads".to_owned(), threads(quick));
    }
    if wanted("sizes") {
        result.insert("sizes".to_owned(), sizes(quick));
    }
    if wanted("lookups") {
        result.insert("lookups".to_owned(), lookups(quick));
    }
    write_json("scaling.json", &Value::Object(result));
}

/// Requests that a thread serves between two meetings.
const TOGETHER: usize = 1_024;

fn threads(quick: bool) -> Value {
    let world = World::new(2);
    let issued = world.runtime.block_on(issue(2, full_key));
    let shape = Shape::bearer(&issued.texts);
    let mut warm = Entrant::new(
        "ours",
        &world,
        shape.clone(),
        layer(&issued.keys).layer(bare()),
    );
    warm.warm_up();
    let ours = layer(&issued.keys).layer(bare());
    let rounds = if quick { 7 } else { 21 };
    // Which key each thread uses.
    let cases: [(&str, &[usize]); 3] = [
        ("one thread", &[0]),
        ("two threads, one key", &[0, 0]),
        ("two threads, a key each", &[0, 1]),
    ];
    let mut figures = vec![(Vec::new(), Vec::new(), Vec::new()); cases.len()];
    for _ in 0..rounds {
        for ((_, keys), figures) in cases.iter().zip(&mut figures) {
            world.breathe();
            let (own, wall) = race(&ours, &shape, keys);
            let (bare, _) = race(&bare(), &shape, keys);
            figures.0.push(own);
            figures.1.push(bare);
            figures.2.push(wall);
        }
    }
    let medians: Vec<_> = figures
        .into_iter()
        .map(|(own, bare, wall)| [own, bare, wall].map(|rounds| Spread::of(rounds).median))
        .collect();
    println!(
        "{:26} {:>9} {:>9} {:>9} {:>11} {:>11}",
        "S5", "thread_ns", "bare_ns", "wall_ns", "throughput", "on the clock"
    );
    let mut result = serde_json::Map::new();
    for ((name, keys), [own, bare, wall]) in cases.iter().zip(&medians) {
        let by_time = keys.len() as f64 * medians[0][0] / own;
        let by_clock = medians[0][2] / wall;
        println!("{name:26} {own:9.1} {bare:9.1} {wall:9.1} {by_time:10.2}x {by_clock:11.2}x");
        let values = json!({
            "thread_ns": own, "bare_thread_ns": bare, "wall_ns": wall,
            "throughput": by_time, "throughput_on_the_clock": by_clock,
        });
        result.insert((*name).to_owned(), values);
    }
    println!("targets: one key at least 1.0x, a key each at least 1.9x\n");
    Value::Object(result)
}

/// Lets a thread for each of `keys` serve requests of that key. Returns the nanoseconds of a request
/// on its thread, and those between two requests of any thread on the clock.
fn race<S, B>(service: &S, shape: &Shape, keys: &[usize]) -> (f64, f64)
where
    S: Service<Request<Body>, Response = Response<B>, Error: Debug> + Clone + Send + Sync + 'static,
    B: 'static,
{
    const MEETINGS: usize = 24;
    let barrier = Arc::new(Barrier::new(keys.len()));
    let run = |core: usize, key: usize| {
        let (barrier, service, shape) = (Arc::clone(&barrier), service.clone(), shape.clone());
        move || {
            let mut cores = CpuSet::new();
            cores.set(core);
            // Without a core of its own the figures are worse; nothing else depends on it.
            let _ = sched_setaffinity(None, &cores);
            let world = World::new(1);
            let mut entrant = Entrant::new("racer", &world, shape.clone(), service);
            let mut batch = Vec::with_capacity(TOGETHER);
            let (mut own, mut wall) = (0, 0);
            for meeting in 0..MEETINGS {
                batch.extend((0..TOGETHER).map(|_| shape.request(key)));
                barrier.wait();
                let (start, wall_start) = (thread_nanos(), wall_nanos());
                let statuses = entrant.serve(&mut batch);
                if meeting > 0 {
                    own += thread_nanos() - start;
                    wall += wall_nanos() - wall_start;
                }
                entrant.check(statuses, TOGETHER);
            }
            (own, wall)
        }
    };
    let handles: Vec<_> = keys
        .iter()
        .enumerate()
        .map(|(core, &key)| std::thread::spawn(run(core, key)))
        .collect();
    let times: Vec<(u64, u64)> = handles
        .into_iter()
        .map(|handle| handle.join().expect("a thread that serves"))
        .collect();
    let each = (TOGETHER * (MEETINGS - 1)) as f64;
    let all = each * keys.len() as f64;
    let own: u64 = times.iter().map(|time| time.0).sum();
    let wall = times.iter().map(|time| time.1).max().unwrap_or(0);
    (own as f64 / all, wall as f64 / all)
}

/// How much memory this process holds, in bytes.
fn resident() -> f64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = text.split(' ').nth(1).and_then(|n| n.parse::<f64>().ok());
    pages.unwrap_or(f64::NAN) * 4_096.0
}

fn sizes(quick: bool) -> Value {
    let sizes: &[usize] = if quick {
        &[1_000, 10_000, 100_000]
    } else {
        &[10_000, 100_000, 1_000_000]
    };
    println!(
        "{:>9} {:>12} {:>12} {:>14}",
        "keys", "uniform_ns", "zipf_ns", "bytes_per_key"
    );
    let (mut uniform, mut zipf) = (Vec::new(), Vec::new());
    let mut rows = Vec::new();
    for &count in sizes {
        let world = World::new(count);
        let texts: Vec<String> = (0..count).map(formula::text).collect();
        let shape = Shape::bearer(&texts);
        drop(texts);
        let keys = world.runtime.block_on(formula::keys(2 * count as u64));
        let service = layer(&keys).layer(bare());
        let mut ours = Entrant::new("ours", &world, shape.clone(), service);
        let mut none = Entrant::new("bare", &world, shape, bare());
        none.warm_up();
        let before = resident();
        ours.warm_up();
        let bytes = (resident() - before) / count as f64;
        let mut added = |popularity: Popularity| {
            (ours.popularity, none.popularity) = (popularity.clone(), popularity);
            let mut times = (Vec::new(), Vec::new());
            for number in 0..9 {
                times.0.push(round(&mut ours, &world, 80, number));
                times.1.push(round(&mut none, &world, 80, number));
            }
            Spread::of(times.0).median - Spread::of(times.1).median
        };
        let (flat, steep) = (
            added(Popularity::Uniform(count)),
            added(Popularity::zipf(count)),
        );
        println!("{count:9} {flat:12.1} {steep:12.1} {bytes:14.0}");
        uniform.push((count as f64, flat));
        zipf.push((count as f64, steep));
        rows.push(json!({
            "keys": count, "uniform_added_ns": flat, "zipf_added_ns": steep,
            "bytes_per_key": bytes,
        }));
    }
    println!("target: at most 900 bytes for each of a million keys\n");
    lines(
        "scaling.svg",
        "What the layer adds to a request",
        "keys remembered",
        "nanoseconds",
        &[("all equally popular", uniform), ("Zipf's law", zipf)],
    );
    Value::Array(rows)
}

fn lookups(quick: bool) -> Value {
    let many = if quick { 100_000 } else { 1_000_000 };
    let few_cost = first_requests(1_000);
    let many_cost = first_requests(many);
    println!(
        "{:>9} {:>15} {:>15}",
        "rows", "lookup_ns", "first request_ns"
    );
    for (rows, (lookup, first)) in [(1_000, few_cost), (many, many_cost)] {
        println!("{rows:9} {lookup:15.0} {first:15.0}");
    }
    let ratios = (many_cost.0 / few_cost.0, many_cost.1 / few_cost.1);
    println!(
        "S9: {:.2} and {:.2} times as much, at most 1.5",
        ratios.0, ratios.1
    );
    json!({
        "rows": many, "lookup_ratio": ratios.0, "first_request_ratio": ratios.1,
        "lookup_ns": many_cost.0, "first_request_ns": many_cost.1,
    })
}

/// The medians of a lookup by handle, and of the first request of a key, in a database of so many
/// rows.
fn first_requests(rows: usize) -> (f64, f64) {
    const ISSUED: usize = 500;
    let folder = tempfile::tempdir().expect("a folder");
    let world = World::new(ISSUED);
    let runtime = Rc::clone(&world.runtime);
    let store = runtime.block_on(big_store::open(folder.path()));
    runtime.block_on(big_store::fill(&store, rows));
    let texts = runtime.block_on(async {
        let keys = light(store.clone()).await;
        let mut texts = Vec::new();
        for _ in 0..ISSUED {
            let issued = keys.manager().issue(full_key()).await.expect("a key");
            texts.push(issued.key().expose_secret().to_owned());
        }
        texts
    });
    let keys = runtime.block_on(light(store.clone()));
    let service = layer(&keys).layer(bare());
    let mut entrant = Entrant::new("cold", &world, Shape::bearer(&texts), service);
    let mut firsts = Vec::new();
    for key in 0..ISSUED {
        let mut batch = vec![entrant.shape.request(key)];
        let start = wall_nanos();
        let statuses = entrant.serve(&mut batch);
        firsts.push((wall_nanos() - start) as f64);
        entrant.check(statuses, 1);
    }
    let mut dice = Dice::new(3);
    let mut lookups = Vec::new();
    for _ in 0..2_000 {
        let handle = format!("{:08}", dice.below(rows) + 1);
        let start = wall_nanos();
        let found = runtime.block_on(store.find_by_handle(&handle));
        lookups.push((wall_nanos() - start) as f64);
        assert!(found.expect("the store answers").is_some());
    }
    runtime.block_on(store.close()).expect("it closes");
    (Spread::of(lookups).median, Spread::of(firsts).median)
}

async fn light(store: SqliteStore) -> ApiKeys {
    ApiKeys::builder(store)
        .argon2(Argon2Params::new(8, 1, 1).expect("valid parameters"))
        .build()
        .await
        .expect("the store answers")
}
