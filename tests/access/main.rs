//! What keys may do beyond their own record: owners, plans, quotas, last uses, and withdrawing many.

#![cfg(all(feature = "sqlite", feature = "testing"))]
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

mod agreement;
mod bulk;
mod connection_rights;
mod connections;
mod directory;
mod first_keys;
mod members;
mod owners;
mod plans;
mod quota_faults;
mod quotas;
mod uses;
mod world;
