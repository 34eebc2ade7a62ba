//! What the benchmarks share: the load, the services under test, and how rounds are measured.
//!
//! 1. A request is built outside the measured part and consumed within it.
//! 2. Every service gets the same requests, in the same order, in batches that fit the cache.
//! 3. Services take turns, round by round, so that whatever else the machine does meets all of them.
//! 4. What counts is the median of the rounds, minus the median of the bare service in that run.

#![allow(dead_code, reason = "no benchmark needs all of it")]

#[cfg(all(feature = "sqlite", feature = "testing"))]
pub mod big_store;
pub mod cases;
#[cfg(feature = "testing")]
pub mod formula;
pub mod load;
pub mod measure;
pub mod ours;
pub mod peers;
pub mod plot;
pub mod report;
