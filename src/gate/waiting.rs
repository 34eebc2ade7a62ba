//! What a request that had to wait has come to know meanwhile.

use crate::limit::Answer;

/// A request that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    /// Since when (in ticks).
    pub(super) since: u64,
    /// What the shared limiter answered, if it was asked.
    pub(super) answer: Option<Answer>,
}

impl Waiting {
    pub(super) fn since(ticks: u64) -> Self {
        Self {
            since: ticks,
            answer: None,
        }
    }

    /// The request was admitted: it keeps what was taken for it.
    pub(super) fn end(self) {
        if let Some(answer) = self.answer {
            answer.keep();
        }
    }
}
