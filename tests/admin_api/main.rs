//! The admin API over real sockets: what each key may do there, and what is said to all others.

#![cfg(all(feature = "admin", feature = "cli", feature = "testing"))]
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests panic, measure and tell what they measured"
)]

#[path = "../support/mod.rs"]
mod support;

mod alerts;
mod bodies;
mod browsers;
mod conditions;
mod definitions;
mod document;
mod keys;
mod many;
mod me;
mod members;
mod refusals;
mod replays;
mod reports;
mod rights;
mod world;
