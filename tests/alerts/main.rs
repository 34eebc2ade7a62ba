//! Events and alerts, from the request to the listener and the list.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod ledgers;
mod whole;
