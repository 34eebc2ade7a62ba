//! Events and alerts, from the request to the listener, the list, the receiver and the dashboard.

#![cfg(feature = "full")]
#![allow(
    clippy::cloned_ref_to_slice_refs,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

#[path = "../support/backends.rs"]
mod backends;
mod ledgers;
mod letters;
mod metering;
mod outages;
mod webhooks;
mod whole;
