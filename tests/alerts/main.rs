//! Events and alerts, from the request to the listener, the list, the receiver and the dashboard.

#![cfg(feature = "full")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod ledgers;
mod metering;
mod webhooks;
mod whole;
