//! OAuth as programs, browsers and attackers meet it: over sockets, request by request.

#![cfg(all(feature = "oauth", feature = "testing"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods
)]

mod authorize;
mod codes;
mod consent;
mod discovery;
mod documents;
mod full_access;
mod registration;
mod setting_up;
mod signing_in;
mod tokens;
mod world;
