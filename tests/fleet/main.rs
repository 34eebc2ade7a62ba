//! Limits that several nodes share: that they are exact, and what happens when nobody answers.
//!
//! What needs Redis or Valkey asks for it at `REDIS_URL`, or starts a server of its own where it is to be
//! killed (`redis-server` or `valkey-server` in `PATH`, or the program that `MCP_KEYS_REDIS_SERVER` names).
//! Without them it is left out with a note, or fails, if `MCP_KEYS_REQUIRE_SERVICES=1`.
//! `tests/services.sh` sets all of that.

#![cfg(all(feature = "redis", feature = "testing"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
#![allow(clippy::print_stdout, reason = "the figures are the point")]
#![allow(clippy::disallowed_methods, reason = "waits are measured")]

mod batches;
mod changes;
mod limiters;
mod nodes;
mod on_redis;
mod outages;
mod replay;
mod server;
#[allow(dead_code, reason = "shared with the tests of reliability")]
#[path = "../reliability/world.rs"]
mod world;
