//! Tool rules, over real sockets: an MCP server and a careless one behind `with_mcp`, and raw
//! requests in front of them.

#![cfg(all(
    feature = "axum",
    feature = "rmcp",
    feature = "testing",
    feature = "tonic"
))]
#![allow(
    clippy::print_stdout,
    reason = "figures that were measured are part of the output"
)]
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests panic, and read best when values are written where they are passed"
)]

#[path = "../support/mod.rs"]
mod support;

mod answers;
mod bypass;
mod charges;
mod contract;
mod headers;
mod lists;
mod sessions;
mod streams;
mod tasks;
mod world;
