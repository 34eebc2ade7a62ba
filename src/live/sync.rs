//! The primitives that [`registry`](super::registry) and [`watched`](super::watched) are built from; a
//! model checker supplies its own in their place (`tests/loom.rs`).

pub(crate) use std::sync::atomic::{AtomicU64, Ordering};
pub(crate) use std::sync::{Mutex, MutexGuard};

pub(crate) use arc_swap::ArcSwap as Slot;
