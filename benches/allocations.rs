//! How many heap allocations a key check adds to a request.
//!
//! `cargo bench --features full --bench allocations`, with names of cases behind `--` for some.
//! Each request is counted by itself, and the median given: now and then a cache tidies up. With
//! `--json` the result is an object of numbers, which the benchmark `peers` reads.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    reason = "a measurement prints, and stops at the first fault"
)]

#[path = "support/allocations.rs"]
mod allocations;
mod support;

use std::collections::BTreeMap;

use allocations::per_request;
use support::cases::{World, entrants};
use support::report::Arguments;

const KEYS: usize = 1_000;
const REQUESTS: usize = 2_000;

fn main() {
    let mut arguments = Arguments::read();
    let as_json = arguments.flag("--json");
    let names = arguments.rest();
    let world = World::new(KEYS);
    let mut entrants = entrants(&world, &names);
    let counts = entrants
        .iter_mut()
        .map(|e| (e.name, per_request(e, REQUESTS)));
    let counts: BTreeMap<&str, f64> = counts.collect();
    let mut beyond = BTreeMap::new();
    for entrant in &entrants {
        let base = counts.get(entrant.base).copied().unwrap_or(0.0);
        beyond.insert(entrant.name, counts[entrant.name] - base);
    }
    if as_json {
        let text = serde_json::to_string(&beyond).expect("numbers can be written");
        return println!("{text}");
    }
    println!("{:24} {:>11} {:>12}", "case", "allocations", "beyond bare");
    for entrant in &entrants {
        let name = entrant.name;
        println!("{name:24} {:11} {:12}", counts[name], beyond[name]);
    }
}
