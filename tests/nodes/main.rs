//! What several nodes promise when wires, servers and clocks fail under them.
//!
//! What needs PostgreSQL uses the server of `DATABASE_URL`, or starts servers of its own where they are
//! to be killed (`initdb` and its companions, in `PATH` or where Debian keeps them). Without them it is
//! left out with a note, or fails, if `MCP_KEYS_REQUIRE_SERVICES=1`. `tests/services.sh` sets all of
//! that. Each test prints its figures; `MCP_KEYS_LONG=1` runs the same code with the numbers of a
//! release.

#![cfg(all(feature = "postgres", feature = "sqlite", feature = "testing"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
#![allow(clippy::print_stdout, reason = "the figures are the point")]
#![allow(clippy::disallowed_methods, reason = "waits are measured")]

#[path = "../reliability/acts.rs"]
mod acts;
#[path = "../support/backends.rs"]
mod backends;
mod capacity;
mod clocks;
mod crashes;
mod many_changes;
mod outages;
mod revocation;
mod server;
mod simulation;
mod wire;
#[allow(dead_code, reason = "shared with the tests of reliability")]
#[path = "../reliability/world.rs"]
mod world;
