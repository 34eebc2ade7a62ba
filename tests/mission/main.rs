//! The features that the crate unites, row by row, each from one end to the other: keys are made by
//! the program on a SQLite file, and used over HTTP against the gateway or a server with the layer,
//! on the same file.
//!
//! Each test has the name of its row: G for keys of projects, O for keys of users, M for one key for
//! each app, R for access levels and connections, C for scopes, addresses and plans.

#![cfg(all(
    unix,
    feature = "axum",
    feature = "cli",
    feature = "rmcp",
    feature = "testing"
))]
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests panic"
)]

#[allow(dead_code, reason = "the tests of the command line need all of it")]
#[path = "../cli/office.rs"]
mod office;
#[path = "../support/mod.rs"]
mod support;

mod apps;
mod connections;
mod projects;
mod services;
mod site;
mod users;
