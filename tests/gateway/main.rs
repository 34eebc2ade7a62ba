//! The gateway as a program: `mcp-keys serve` in front of servers on this machine.

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

#[path = "../support/mod.rs"]
mod support;

mod access;
mod admin;
mod bypass;
mod formats;
mod hosts;
mod life;
mod mcp;
mod notes;
mod oauth;
mod passing;
mod protocols;
mod query;
mod rules;
mod sessions;
mod settings;
mod signing;
mod streams;
mod together;
mod upstream_tls;
mod world;
