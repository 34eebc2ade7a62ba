//! Of which requests it is noted how long they took.

/// How many requests of a thread are timed in each step of the recorder's time before only a sample is.
const ALL_TIMED: u32 = 64;

/// Then one in so many, which counts for as many.
const ONE_IN: u8 = 16;

/// Which requests are timed.
#[derive(Debug)]
pub(super) struct Sampling {
    /// The time of the recorder when it was last read, and how many requests there were since.
    step: i64,
    seen: u32,
    /// Where the sequence of chances is.
    dice: u32,
}

impl Sampling {
    pub(super) const fn new() -> Self {
        Self {
            step: 0,
            seen: 0,
            dice: 0x9E37_79B9,
        }
    }

    /// For how many requests the next one stands, if it is timed.
    #[inline]
    pub(super) fn next(&mut self, step: i64) -> Option<u8> {
        if self.step != step {
            (self.step, self.seen) = (step, 0);
        }
        self.seen = self.seen.saturating_add(1);
        if self.seen <= ALL_TIMED {
            return Some(1);
        }
        // At random: requests may take turns in just this order.
        self.dice = self
            .dice
            .wrapping_mul(1_664_525)
            .wrapping_add(1_013_904_223);
        (self.dice >> 16)
            .is_multiple_of(u32::from(ONE_IN))
            .then_some(ONE_IN)
    }
}
