//! The primitives that [`ring`](super::ring) and [`counters`](super::counters) are built from; a model
//! checker supplies its own in their place (`tests/loom.rs`).

pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
