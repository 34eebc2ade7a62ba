//! The steps of the hot path, each beside the least it could cost.
//!
//! `cargo bench --features full --bench hot_path`, with `-- --quick` for fewer rounds. Writes
//! `target/bench/hot_path.json`. Steps take turns within a run. What is not reachable by itself from
//! outside the crate is measured through [`Gate::admit`](mcp_api_keys::Gate::admit), as a difference:
//! the limit is a gate with one limit less a gate without.

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

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::hint::black_box;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::Extensions;
use http::request::Parts;
use mcp_api_keys::key::KeyFormats;
use mcp_api_keys::{Gate, NewKey};
use serde_json::json;
use sha2::{Digest, Sha256};
use siphasher::sip128::{Hasher128, SipHasher24};

use support::cases::{Entrant, World, entrants};
use support::load::{BATCH, Dice, PEER_NETWORK, Popularity, Shape};
use support::measure::{Spread, thread_nanos};
use support::ours::{ample, bare, full_key, issue, issue_recorded, layer};
use support::report::{Arguments, write_json};
use tower::Layer;

/// A step: does it so many times, and returns the nanoseconds of one.
type Step<'s> = (String, Box<dyn FnMut() -> f64 + 's>);

fn main() {
    let quick = Arguments::read().flag("--quick");
    let rounds = if quick { 9 } else { 31 };
    let world = World::new(10_000);
    let issued = world.runtime.block_on(issue(1_000, full_key));
    let texts = &issued.texts;

    let mut steps: Vec<Step> = Vec::new();
    fingerprints(&mut steps, texts);
    parsing(&mut steps, texts);
    recalls(&mut steps);
    limits(&mut steps);
    contexts(&mut steps);
    let plain = || NewKey::named("agent").server("files").scope("files:read");
    let allowed = || {
        let network = PEER_NETWORK.parse().expect("a network");
        plain().expect("a scope").allow_from(network)
    };
    for keys in [1_000, 10_000, 100_000] {
        if !(quick && keys > 10_000) {
            gate(&mut steps, &world, keys, "one limit", full_key);
        }
    }
    gate(&mut steps, &world, 10_000, "no limit", allowed);
    gate(&mut steps, &world, 10_000, "two limits", || {
        full_key().rate(ample("more"))
    });

    layers(&mut steps, &world);
    adding_up(&mut steps, &world);

    let mut times = vec![Vec::new(); steps.len()];
    for _ in 0..rounds {
        for ((_, step), times) in steps.iter_mut().zip(&mut times) {
            times.push(step());
        }
    }
    let names: Vec<String> = steps.iter().map(|(name, _)| name.clone()).collect();
    let mut result = serde_json::Map::new();
    println!("{:44} {:>10} {:>18}", "step", "median_ns", "quartiles");
    for (name, times) in names.into_iter().zip(times) {
        let Spread {
            lower,
            median,
            upper,
        } = Spread::of(times);
        println!(
            "{name:44} {median:10.1} {:>18}",
            format!("[{lower:.1}..{upper:.1}]")
        );
        let values = json!({
            "median_ns": median, "lower_quartile_ns": lower, "upper_quartile_ns": upper,
        });
        result.insert(name, values);
    }
    write_json("hot_path.json", &result.into());
}

/// Repeats a step over numbers that rotate.
fn repeated<'s>(name: &str, mut once: impl FnMut(usize) + 's) -> Step<'s> {
    const TIMES: usize = 20_000;
    let step = move || {
        let start = thread_nanos();
        for number in 0..TIMES {
            once(number);
        }
        (thread_nanos() - start) as f64 / TIMES as f64
    };
    (name.to_owned(), Box::new(step))
}

fn fingerprints<'s>(steps: &mut Vec<Step<'s>>, texts: &'s [String]) {
    let text = |number: usize| black_box(texts[number % texts.len()].as_bytes());
    let sip = SipHasher24::new_with_key(&[7; 16]);
    steps.push(repeated("fingerprint: floor, reading the text", move |n| {
        black_box(text(n));
    }));
    steps.push(repeated("fingerprint: SipHash-2-4-128 (ours)", move |n| {
        black_box(sip.hash(text(n)).as_u128());
    }));
    steps.push(repeated("fingerprint: BLAKE3 keyed", move |n| {
        black_box(blake3::keyed_hash(&[7; 32], text(n)));
    }));
    steps.push(repeated("fingerprint: SHA-256", move |n| {
        black_box(Sha256::digest(text(n)));
    }));
    steps.push(repeated(
        "fingerprint: SipHash-2-4-128, streamed",
        move |n| {
            let mut hasher = SipHasher24::new_with_key(&[7; 16]);
            hasher.write(text(n));
            black_box(hasher.finish128().as_u128());
        },
    ));
}

fn parsing<'s>(steps: &mut Vec<Step<'s>>, texts: &'s [String]) {
    let formats = KeyFormats::default();
    steps.push(repeated("parse: the key's form and checksum", move |n| {
        let parsed = formats.parse(black_box(texts[n % texts.len()].as_bytes()));
        black_box(parsed.is_ok());
    }));
    steps.push(repeated("parse: floor, its checksum alone", move |n| {
        black_box(crc32fast::hash(black_box(
            texts[n % texts.len()].as_bytes(),
        )));
    }));
}

/// For numbers that are evenly spread already.
#[derive(Clone, Copy, Debug, Default)]
struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {}

    fn write_u128(&mut self, number: u128) {
        self.0 = number as u64;
    }
}

type ByIdentity = BuildHasherDefault<Identity>;

fn recalls(steps: &mut Vec<Step<'_>>) {
    for count in [1_000, 10_000, 100_000] {
        let mut dice = Dice::new(1);
        let numbers: Arc<Vec<u128>> = (0..count)
            .map(|_| u128::from(dice.roll()) << 64 | u128::from(dice.roll()))
            .collect::<Vec<_>>()
            .into();
        let cache = moka::sync::Cache::builder()
            .max_capacity(2 * count as u64)
            .build_with_hasher(ByIdentity::default());
        let mut map: HashMap<u128, Arc<u64>, ByIdentity> = HashMap::default();
        for number in numbers.iter() {
            cache.insert(*number, Arc::new(0_u64));
            map.insert(*number, Arc::new(0_u64));
        }
        cache.run_pending_tasks();
        let (for_map, for_cache) = (Arc::clone(&numbers), numbers);
        let (mut one, mut other) = (Dice::new(2), Dice::new(2));
        let name = format!("recall: floor, HashMap, {count} keys");
        steps.push(repeated(&name, move |_| {
            let number = for_map[one.below(for_map.len())];
            black_box(map.get(black_box(&number)).cloned());
        }));
        let name = format!("recall: moka, {count} keys");
        steps.push(repeated(&name, move |_| {
            let number = for_cache[other.below(for_cache.len())];
            black_box(cache.get(black_box(&number)));
        }));
    }
}

fn limits(steps: &mut Vec<Step<'_>>) {
    let arrival = AtomicU64::new(0);
    let mut now = 0_u64;
    steps.push(repeated(
        "limit: floor, GCRA by one compare-and-swap",
        move |_| {
            now += 1_000;
            let earlier = arrival.load(Ordering::Acquire);
            let next = earlier.max(black_box(now)) + 10;
            let swapped =
                arrival.compare_exchange_weak(earlier, next, Ordering::Release, Ordering::Relaxed);
            black_box(swapped.is_ok());
        },
    ));
    let quota = governor::Quota::per_second(100_000_000.try_into().expect("not zero"));
    let limiter = governor::RateLimiter::direct(quota);
    steps.push(repeated("limit: governor with its own clock", move |_| {
        black_box(limiter.check().is_ok());
    }));
}

fn contexts(steps: &mut Vec<Step<'_>>) {
    #[derive(Clone)]
    struct Told(#[expect(dead_code, reason = "it is only carried")] Arc<u64>);
    #[derive(Clone)]
    struct Other(#[expect(dead_code, reason = "it is only carried")] u64);

    let context = Arc::new(0_u64);
    let told = Arc::clone(&context);
    steps.push(repeated("context: floor, into an empty map", move |_| {
        let mut extensions = Extensions::new();
        extensions.insert(Told(Arc::clone(&told)));
        black_box(&extensions);
    }));
    let mut filled = Extensions::new();
    filled.insert(Other(0));
    steps.push(repeated("context: floor, into a filled map", move |_| {
        filled.insert(Told(Arc::clone(&context)));
        black_box(filled.remove::<Told>().is_some());
    }));
}

/// What taking note of a request costs: the layer with usage recorded, and how much more that is than the
/// layer without. They take turns that are short, so that what else the machine does slows both, and each
/// turn begins with requests that only fill the caches again.
fn layers<'s>(steps: &mut Vec<Step<'s>>, world: &'s World) {
    const PAIRS: usize = 40;
    const WARM_UP: usize = 4;
    const BATCHES: usize = 16;
    let names = ["ours", "ours_recorded"].map(str::to_owned);
    let pairs = Rc::new(RefCell::new(Vec::with_capacity(PAIRS)));
    let measured = Rc::clone(&pairs);
    // Few keys, so that what is measured is not how far away the memory of the others is.
    let entrants = entrants(world, &names).into_iter();
    let mut entrants: Vec<_> = entrants.map(|entrant| entrant.hot(64)).collect();
    let mut dice = Dice::new(9);
    let mut batch = Vec::with_capacity(BATCH);
    let mut turn = move |which: usize| {
        let entrant: &mut Entrant = &mut entrants[which];
        let mut spent = 0;
        for number in 0..WARM_UP + BATCHES {
            let next = |dice: &mut Dice| entrant.popularity.next(dice);
            batch.extend((0..BATCH).map(|_| entrant.shape.request(next(&mut dice))));
            let start = thread_nanos();
            let statuses = entrant.serve(&mut batch);
            if number >= WARM_UP {
                spent += thread_nanos() - start;
            }
            entrant.check(statuses, BATCH);
        }
        spent as f64 / (BATCHES * BATCH) as f64
    };
    let recorded = move || {
        let mut measured = measured.borrow_mut();
        measured.clear();
        for number in 0..PAIRS {
            // Lets what was noted be added up.
            world.breathe();
            let mut pair = [0.0; 2];
            for which in [number % 2, (number + 1) % 2] {
                pair[which] = turn(which);
            }
            measured.push(pair);
        }
        median(measured.iter().map(|[_, with]| *with))
    };
    let added = move || median(pairs.borrow().iter().map(|[without, with]| with - without));
    let name = |name: &str| format!("usage: {name}");
    steps.push((name("the layer with usage recorded"), Box::new(recorded)));
    // Of the pairs that were just measured.
    steps.push((name("more than without"), Box::new(added)));
}

/// What adding up costs for each request that was noted, and writing the sums to a store in memory. That is
/// not on the path of a request, but takes the same processor.
fn adding_up<'s>(steps: &mut Vec<Step<'s>>, world: &'s World) {
    const BATCHES: usize = 32;
    let issued = world.runtime.block_on(issue_recorded(64, full_key));
    let shape = Shape::bearer(&issued.texts);
    let mut entrant = Entrant::new("recorded", world, shape, layer(&issued.keys).layer(bare()));
    let mut dice = Dice::new(9);
    let step = move || {
        let mut batch = Vec::with_capacity(BATCH);
        for _ in 0..BATCHES {
            let (shape, popularity) = (&entrant.shape, &entrant.popularity);
            shape.fill(&mut batch, BATCH, popularity, &mut dice);
            let statuses = entrant.serve(&mut batch);
            entrant.check(statuses, BATCH);
        }
        let start = thread_nanos();
        let flushed = world.runtime.block_on(issued.keys.flush());
        let spent = thread_nanos() - start;
        flushed.expect("the memory answers");
        spent as f64 / (BATCHES * BATCH) as f64
    };
    steps.push(("usage: adding it up, later".to_owned(), Box::new(step)));
}

fn median(numbers: impl Iterator<Item = f64>) -> f64 {
    Spread::of(numbers.collect()).median
}

/// Everything the gate does, without tower: from the head of a request to the permit.
fn gate<'s>(
    steps: &mut Vec<Step<'s>>,
    world: &'s World,
    count: usize,
    what: &str,
    key: impl Fn() -> NewKey,
) {
    const BATCHES: usize = 40;
    let issued = world.runtime.block_on(issue(count, key));
    let gate: Gate = layer(&issued.keys).gate().clone();
    let shape = Shape::bearer(&issued.texts);
    let popularity = Popularity::zipf(count);
    let admit = move |batch: &mut Vec<Parts>| {
        world.runtime.block_on(async {
            for mut head in batch.drain(..) {
                let permit = gate.admit(&mut head).await;
                assert!(permit.is_ok(), "{permit:?}");
            }
        });
    };
    let head = |shape: &Shape, key| shape.request(key).into_parts().0;
    let mut all = (0..count).map(|key| head(&shape, key)).collect();
    admit(&mut all);
    let mut dice = Dice::new(9);
    let step = move || {
        // Keeps the keys alive, and lets their tasks run.
        let _ = issued.keys.stats();
        world.breathe();
        let mut batch = Vec::with_capacity(BATCH);
        let mut spent = 0;
        for number in 0..BATCHES + 8 {
            batch.extend((0..BATCH).map(|_| head(&shape, popularity.next(&mut dice))));
            let start = thread_nanos();
            admit(&mut batch);
            if number >= 8 {
                spent += thread_nanos() - start;
            }
        }
        spent as f64 / (BATCHES * BATCH) as f64
    };
    steps.push((format!("gate: {what}, {count} keys, Zipf"), Box::new(step)));
}
