//! What wakes a node that waits for changes.

use std::fmt;

use async_trait::async_trait;

/// Rings when there may be something new in the change log of a store.
///
/// It is an alarm clock, not a source of truth. A node reads the log every few seconds without it;
/// a ring only makes it read sooner. So a ring that is lost, late, doubled or about nothing does no
/// harm, and a bell that has broken may stay silent for good.
#[async_trait]
pub trait ChangeBell: fmt::Debug + Send + 'static {
    /// Waits for the next ring. Rings since the last call, or since the bell was made, count as one.
    ///
    /// Dropping the future loses no ring.
    async fn rung(&mut self);
}
