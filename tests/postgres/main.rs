//! What the store in PostgreSQL promises beyond the contract of all stores: how it opens, what it makes
//! of damage and outages, how soon other nodes know, and which indexes its lists use.
//!
//! It needs a server: `tests/services.sh cargo test --features full --test postgres`.

#![cfg(all(feature = "postgres", feature = "sqlite", feature = "testing"))]
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests panic, measure and tell what they measured"
)]

#[path = "../support/backends.rs"]
mod backends;
mod damage;
mod news;
mod opening;
mod outages;
mod plans;
mod pooler;
#[cfg(feature = "cli")]
mod program;
mod proxy;
mod restored;
mod world;
