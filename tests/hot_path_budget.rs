//! How many heap allocations an admitted request may cost beyond the service behind the layer.
//!
//! Putting one value into a request's extensions takes three allocations if the map is empty and
//! one if it is not; the layer is to need no others. What `RateLimit` headers take at present comes
//! on top. A change that allocates more fails here; one that allocates less lowers the budget.

#![cfg(feature = "testing")]
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    missing_debug_implementations,
    unreachable_pub,
    reason = "shared with the benchmarks, which are no part of the crate"
)]

#[path = "../benches/support/allocations.rs"]
mod allocations;
#[path = "../benches/support/mod.rs"]
mod support;

use allocations::per_request;
use support::cases::{World, entrants};

/// What [`http::Extensions`] takes for one value, in an empty map and in a filled one.
const EMPTY_MAP: f64 = 3.0;
const FILLED_MAP: f64 = 1.0;

/// What the `RateLimit` headers take: the state, and the map of headers, which is empty before. The policy
/// is written once for each thread.
const HEADERS: f64 = 3.0;

/// What the refusal of a malformed or unknown key takes, its answer included.
const REFUSAL: f64 = 5.0;

/// Allocations of a case beyond its bare service.
fn beyond_bare(case: &str, bare: &str) -> f64 {
    let world = World::new(200);
    let mut entrants = entrants(&world, &[case.to_owned(), bare.to_owned()]);
    let mut count = |name: &str| {
        let entrant = entrants.iter_mut().find(|entrant| entrant.name == name);
        per_request(entrant.expect("there is such a case"), 501)
    };
    count(case) - count(bare)
}

#[test]
fn an_admitted_request_pays_for_its_context_alone() {
    assert_eq!(beyond_bare("ours", "bare"), FILLED_MAP);
    assert_eq!(beyond_bare("ours_no_limit", "bare"), FILLED_MAP);
    assert_eq!(beyond_bare("ours_two_limits", "bare"), FILLED_MAP);
    let in_header = beyond_bare("ours_api_key_header", "bare_api_key_header");
    assert_eq!(in_header, FILLED_MAP);
    let empty = beyond_bare("ours_empty_extensions", "bare_empty_extensions");
    assert_eq!(empty, EMPTY_MAP);
}

#[test]
fn headers_about_limits_stay_within_their_budget() {
    let headers = beyond_bare("ours_limit_headers", "bare") - FILLED_MAP;
    assert_eq!(headers, HEADERS);
}

#[test]
fn a_refusal_stays_within_its_budget() {
    assert_eq!(beyond_bare("ours_malformed", "bare"), REFUSAL);
    assert_eq!(beyond_bare("ours_unknown", "bare"), REFUSAL);
}

#[test]
fn the_counter_counts() {
    // What others are known to take; a counter that does not count would find nothing.
    assert_eq!(beyond_bare("plaintext_set", "bare"), 0.0);
    assert_eq!(beyond_bare("tower_governor", "bare"), 1.0);
}
