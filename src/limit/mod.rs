//! How often and how much: the rate limits and quotas of a key, and the limit on failed attempts
//! from an address.

mod failures;
mod local;
mod quota;

pub(crate) use failures::FailureLimiter;
pub(crate) use local::{Exhausted, LimitSet, Standing};
pub(crate) use quota::{QuotaSet, Withdrawal};
