//! Tool rules, over real sockets: an MCP server and a careless one behind `with_mcp`, and raw
//! requests in front of them.

#![cfg(all(
    feature = "axum",
    feature = "rmcp",
    feature = "testing",
    feature = "tonic"
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

mod answers;
mod bypass;
mod charges;
mod contract;
mod lists;
mod sessions;
mod streams;
mod world;
