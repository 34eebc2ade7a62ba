//! The primitives that [`registry`](super::registry) is built from; a model checker supplies its
//! own in their place (`tests/loom.rs`).

pub(crate) use std::sync::atomic::{AtomicU64, Ordering};
pub(crate) use std::sync::{Mutex, MutexGuard};
