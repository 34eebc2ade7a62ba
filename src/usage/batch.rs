//! What is handed to a sink, and to observers.

use std::sync::Arc;

use super::{LastUse, LatencyHistogram, UsageOutcome, UsageStatus};
use crate::clock::Timestamp;
use crate::key::{Carrier, CredentialId, KeyId};

/// The name of a batch, the same whenever the batch is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(
    clippy::exhaustive_structs,
    reason = "what makes a batch its own will not change"
)]
pub struct BatchId {
    /// Who made it: a number drawn at random by each process.
    pub recorder: u128,
    /// Which one of theirs. A recorder sends them one after the other, and goes on to the next only
    /// when one was taken; so what a sink has to remember of a recorder is its last number.
    pub number: u64,
}

/// What was noted in a few seconds.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct UsageBatch {
    /// Its name.
    pub id: BatchId,
    /// When it was made.
    pub at: Timestamp,
    /// What to add to what is stored. No two rows are about the same.
    pub rows: Vec<UsageDelta>,
    /// When keys were last used, if they were. An earlier use than the stored one changes nothing.
    pub last_uses: Vec<(KeyId, LastUse)>,
}

impl UsageBatch {
    /// A batch of these rows.
    pub fn new(id: BatchId, at: Timestamp, rows: Vec<UsageDelta>) -> Self {
        Self {
            id,
            at,
            rows,
            last_uses: Vec::new(),
        }
    }
}

/// Requests that were alike, and in the same hour.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UsageDelta {
    /// The beginning of the hour (UTC).
    pub hour: Timestamp,
    /// Whose they were; nothing for requests without a genuine key.
    pub key: Option<KeyId>,
    /// Which of the key's secrets, as far as it is known. It is not of what was turned away.
    pub credential: Option<CredentialId>,
    /// The server (or project) that the layer guards, if it names one.
    pub server: Option<Arc<str>>,
    /// The tool or method of an MCP server, or the method of HTTP, or what the integrator named.
    pub operation: Option<Arc<str>>,
    /// Whether they were let through.
    pub outcome: UsageOutcome,
    /// How they were answered.
    pub status: UsageStatus,
    /// Where the key was presented.
    pub carrier: Option<Carrier>,
    /// How many there were.
    pub requests: u64,
    /// What they cost in sum.
    pub cost: u64,
    /// How long it took until answers began, of those that were let through.
    pub latency: LatencyHistogram,
}

impl UsageDelta {
    /// Requests of a key that were let through, and of which nothing else is known.
    pub fn new(hour: Timestamp, key: Option<KeyId>, requests: u64) -> Self {
        Self {
            hour,
            key,
            credential: None,
            server: None,
            operation: None,
            outcome: UsageOutcome::Allowed,
            status: UsageStatus::Success,
            carrier: None,
            requests,
            cost: 0,
            latency: LatencyHistogram::default(),
        }
    }
}
