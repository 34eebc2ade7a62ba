//! The admin page, request by request: who gets in, what a form may do, when a session ends, what is
//! shown to whom.

#![cfg(all(feature = "admin", feature = "sqlite", feature = "testing"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods
)]

mod agreement;
mod alerts;
mod answers;
mod escaping;
mod forms;
mod keys;
mod many;
mod members;
mod sessions;
mod sign_in;
mod usage;
mod world;
