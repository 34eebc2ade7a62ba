//! The promises about revocation, outages, floods, cancellation and crashes, measured.
//!
//! Each test prints its figures (`--nocapture` shows them). The sizes are those of a quick run;
//! `MCP_KEYS_LONG=1` runs the same code with the numbers of a release.

#![cfg(all(feature = "sqlite", feature = "testing"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
#![allow(clippy::print_stdout, reason = "the figures are the point")]
#![allow(clippy::disallowed_methods, reason = "waits are measured")]

mod acts;
mod answers;
mod cancellation;
mod crashes;
mod faults;
mod floods;
mod limits;
mod outages;
mod revocation;
mod world;
