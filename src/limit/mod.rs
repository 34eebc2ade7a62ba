//! How often and how much: the rate limits and quotas of a key, and the limit on failed attempts
//! from an address.
//!
//! Rate limits are counted in each process, unless they are [shared](SharedLimiter).

mod failures;
mod local;
mod quota;
mod shared;

pub(crate) use failures::FailureLimiter;
pub(crate) use local::{Exhausted, Left, LimitRules, LimitSet, Standing};
pub(crate) use quota::{QuotaSet, Withdrawal};
pub(crate) use shared::{Answer, Taking};
pub use shared::{Charge, Decision, OutageMode, SharedLimiter, SharedLimits};
