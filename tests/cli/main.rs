//! The program `mcp-keys`, run as people and scripts run it.
//!
//! Rows of the list of features that the crate unites (G1, O3 and so on) are tests named after them.

#![cfg(feature = "cli")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

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
mod rows;
mod secrets;
mod standing;
