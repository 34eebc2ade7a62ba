//! What each key does: requests by hour and day, how they ended, what they cost, how long they took.
//!
//! Every request is noted once, when it is known how it ended, off the path that it takes: those that
//! are alike are counted, the others written down. What was noted is added up by key, hour, secret,
//! server, operation, outcome, status and place of the key, and written into a [`UsageSink`] every few
//! seconds. It is read as a series of [`UsagePoint`]s.
//!
//! 1. **A count that is shown is right.** What cannot be kept is left out and counted as dropped.
//! 2. **A batch counts once**, however often it is sent: it carries a [`BatchId`].
//! 3. **No secret is in it.** Names are those of servers, of methods and of tools, never a path, and
//!    are at most [`MAX_NAME`] bytes long.
//! 4. **What is held is bounded**: 600 KiB for each thread that answers requests, the rows that wait to
//!    be written, and the names of a key in an hour. What exceeds the latter is counted under [`OTHER`].

mod batch;
mod last_use;
mod latency;
pub(crate) mod ledger;
mod observer;
mod outcome;
mod query;
mod recorder;
mod sink;

pub use self::batch::{BatchId, UsageBatch, UsageDelta};
pub use self::last_use::LastUse;
pub use self::latency::LatencyHistogram;
pub use self::observer::{UsageObserver, UsageRefusal, UsageUpdate};
pub use self::outcome::{UsageOutcome, UsageStatus};
pub use self::query::{
    UsageCounts, UsageDimension, UsageOf, UsagePoint, UsageQuery, UsageRequest, UsageStep,
};
pub use self::recorder::UsageStats;
pub(crate) use self::recorder::{Ended, Keeping, KnownName, Note, Operation, Recorder};
pub use self::sink::{UsageRetention, UsageSink};

/// The longest name of a server or an operation, in bytes. Longer ones are cut.
pub const MAX_NAME: usize = 128;

/// The name under which is counted what has no room of its own.
pub const OTHER: &str = "other";
