//! The program `mcp-keys`, run as people and scripts run it.
//!
//! The features that the crate unites are tested row by row in `tests/mission`.

#![cfg(feature = "cli")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod alerts;
mod audit;
mod changes;
mod connections;
mod faults;
mod grace;
mod help;
mod import;
mod issue;
mod lists;
mod many;
mod office;
mod opening;
mod owners;
mod plans;
mod processes;
mod secrets;
mod standing;
mod tools;
