//! How often: the rate limits of a key, and the limit on failed attempts from an address.

mod failures;
mod local;

pub(crate) use failures::FailureLimiter;
pub(crate) use local::LimitSet;
