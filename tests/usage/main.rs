//! What each key does, from the request to the series that is read.

#![cfg(all(feature = "cli", feature = "testing"))]
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests panic"
)]
#![allow(unreachable_pub, reason = "shared with other tests")]

#[path = "../support/mod.rs"]
mod support;

#[path = "../support/backends.rs"]
mod backends;

mod crashes;
mod large;
mod layers;
mod outages;
mod sinks;
mod storms;
mod world;
