//! Tools for testing against this crate: a clock to set, a store that fails on command, and the
//! suites that every store and every shared limiter must pass.
//!
//! Published under the feature `testing`. **Not covered by semantic versioning**: any release may
//! change it. The functions panic where they find a fault, as tests do.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests panic"
)]

mod clock;
mod faults;

pub mod limiter;
#[doc(hidden)]
pub mod mcp;
pub mod records;
pub mod store;
pub mod usage;

pub use self::clock::ManualClock;
pub use self::faults::{Call, Fault, Faults, FaultyStore};
pub use self::records::act;
