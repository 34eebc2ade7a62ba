//! Asking a shared limiter, and going on without one.
//!
//! 1. A request asks at most once, and not at all if it takes nothing or is known to be refused.
//! 2. What was taken for a request is given back if the request is refused after all.
//! 3. A limiter that fails is noticed once in the log, and once when it answers again. What happens to
//!    the requests in between is the [`OutageMode`]'s to say.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::timeout;

use super::batches::Batched;
use super::{Charge, Decision, SharedLimiter};
use crate::error::{Error, ErrorKind};
use crate::key::{KeyId, LimitStatus, RateLimit};
use crate::limit::local::Exhausted;
use crate::limit::{LimitSet, Standing};

/// How long any limiter is waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// What happens to requests while what is shared cannot be asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OutageMode {
    /// Each process counts for itself, from what it last knew: together, as many processes admit up
    /// to as many times what one would.
    #[default]
    LocalFallback,
    /// All are admitted.
    Open,
    /// All are refused, with 503.
    Closed,
}

impl OutageMode {
    /// Its name in settings: `local`, `open` or `closed`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LocalFallback => "local",
            Self::Open => "open",
            Self::Closed => "closed",
        }
    }
}

impl fmt::Display for OutageMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for OutageMode {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        [Self::LocalFallback, Self::Open, Self::Closed]
            .into_iter()
            .find(|mode| mode.as_str() == text)
            .ok_or_else(|| Error::invalid("outage mode", "must be local, open or closed"))
    }
}

/// A [`SharedLimiter`] and what to do without it:
/// [`ApiKeysBuilder::shared_limits`](crate::keys::ApiKeysBuilder::shared_limits) takes one.
#[derive(Clone, Debug)]
#[must_use]
pub struct SharedLimits {
    limiter: Arc<dyn SharedLimiter>,
    outage: OutageMode,
    failing: Arc<AtomicBool>,
}

impl<L: SharedLimiter> From<L> for SharedLimits {
    fn from(limiter: L) -> Self {
        Self::new(limiter)
    }
}

/// What became of charging a request.
pub(crate) enum Taking {
    Decided(Result<Option<LimitStatus>, Exhausted>),
    /// The limiter is to be asked.
    Unasked,
    /// It does not answer, and nobody is admitted without it.
    Unavailable,
}

/// What a limiter answered for one request.
///
/// What it took is given back when this is dropped, unless it was [kept](Self::keep).
pub(crate) struct Answer {
    /// The limits that it is about. Of others it says nothing.
    limits: Arc<LimitSet>,
    outcome: Outcome,
    taken: Option<Taken>,
}

enum Outcome {
    Taken(Option<LimitStatus>),
    Refused(Exhausted),
    Failed,
}

struct Taken {
    limiter: Arc<dyn SharedLimiter>,
    key: KeyId,
    charges: Vec<Charge>,
}

impl SharedLimits {
    /// Limits shared by `limiter`, and counted locally while that does not answer.
    pub fn new(limiter: impl SharedLimiter) -> Self {
        Self {
            limiter: Arc::new(limiter),
            outage: OutageMode::default(),
            failing: Arc::default(),
        }
    }

    /// Sets what happens while the limiter does not answer. Default: each process counts for itself.
    pub fn outage(mut self, mode: OutageMode) -> Self {
        self.outage = mode;
        self
    }

    /// Takes from the limiter for up to so many `requests` of a busy key at once, and spends what is left
    /// of that on this node, for `hold` at most. Default: each request by itself, exactly.
    ///
    /// It saves round trips and costs exactness. With *n* nodes and batches of *b*, for each key and each
    /// set of costs that its requests have:
    ///
    /// * From the beginning on, no more is admitted than the burst and the rate: everything is charged
    ///   before it is spent.
    /// * A window of time may admit up to *n* × (*b* − 1) more than the burst and its rate, and no more than
    ///   the rate brings back in `hold`: what was taken before it began.
    /// * A node may refuse while others hold up to (*n* − 1) × (*b* − 1) requests that they do not need,
    ///   for `hold`, and for the second in which it remembers that it was refused. What is left is given
    ///   back then. What a node holds that is killed, or that Redis does not hear of, is lost, and comes
    ///   back at the limit's rate.
    /// * A request is charged to all of its limits or to none, as without batches.
    ///
    /// A batch begins with one request and doubles while a key is busy. It is never more than the burst or
    /// half of what is left of it, so near its limit a key is counted exactly again. Choose *b* below a
    /// tenth of the smallest burst divided by *n*, and `hold` about 100 ms. One request, or none, is no
    /// batch.
    ///
    /// ```no_run
    /// use std::time::Duration;
    ///
    /// use mcp_api_keys::limit::SharedLimits;
    /// # #[cfg(feature = "redis")]
    /// # fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use mcp_api_keys::redis::Redis;
    ///
    /// let redis = Redis::open("redis://127.0.0.1/")?;
    /// let limits = SharedLimits::new(redis.limiter()).batches(20, Duration::from_millis(100));
    /// # let _ = limits;
    /// # Ok(())
    /// # }
    /// ```
    pub fn batches(mut self, requests: u32, hold: Duration) -> Self {
        if requests > 1 {
            self.limiter = Arc::new(Batched::new(self.limiter, requests, hold));
        }
        self
    }

    /// Decides with what is known; what the limiter answered, if it was asked, is.
    pub(crate) fn take(
        &self,
        limits: &Arc<LimitSet>,
        ticks: u64,
        cost_of: impl Fn(&RateLimit) -> u32,
        answer: Option<&Answer>,
    ) -> Taking {
        // If the key's limits have changed since, they are others.
        let answer = answer.filter(|answer| Arc::ptr_eq(&answer.limits, limits));
        let decided = match answer.map(|answer| &answer.outcome) {
            Some(Outcome::Taken(tightest)) => Ok(tightest.clone()),
            Some(Outcome::Refused(exhausted)) => Err(exhausted.clone()),
            Some(Outcome::Failed) => match self.outage {
                OutageMode::LocalFallback => limits.take(ticks, cost_of).map(|left| {
                    let standing = left.and_then(|left| limits.standing_of(left));
                    standing.map(Standing::status)
                }),
                OutageMode::Open => Ok(None),
                OutageMode::Closed => return Taking::Unavailable,
            },
            None if !limits.counts(&cost_of) => Ok(None),
            None => match limits.known_refusal(ticks, cost_of) {
                Some(exhausted) => Err(exhausted),
                None => return Taking::Unasked,
            },
        };
        Taking::Decided(decided)
    }

    /// Asks the limiter for a request that was judged at `ticks`.
    pub(crate) async fn ask(
        &self,
        key: KeyId,
        limits: Arc<LimitSet>,
        ticks: u64,
        charges: Vec<Charge>,
    ) -> Answer {
        let decision = match timeout(PATIENCE, self.limiter.take(key, &charges)).await {
            Ok(decision) => decision,
            Err(late) => Err(Error::new(
                ErrorKind::Unavailable,
                "the shared limiter did not answer in time",
            )
            .with_source(late)),
        };
        self.note_health(decision.as_ref().err());
        let mut taken = None;
        let outcome = match decision {
            Ok(Decision::Taken(standing)) => {
                limits.note(ticks, &standing);
                let limiter = Arc::clone(&self.limiter);
                taken = Some(Taken {
                    limiter,
                    key,
                    charges,
                });
                Outcome::Taken(standing.into_iter().min_by_key(|status| status.remaining))
            }
            Ok(Decision::Refused { limit, retry_after }) => {
                limits.note(ticks, [&limit]);
                Outcome::Refused(Exhausted {
                    status: limit,
                    retry_after,
                })
            }
            Err(_) => Outcome::Failed,
        };
        Answer {
            limits,
            outcome,
            taken,
        }
    }

    /// Whether the limiter did not answer when it was last asked.
    #[cfg(feature = "metrics")]
    pub(crate) fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    /// Says once that the limiter went away, and once that it is back.
    fn note_health(&self, error: Option<&Error>) {
        let fails = error.is_some();
        // Most often nothing has changed, and the flag is shared by all threads.
        if self.failing.load(Ordering::Relaxed) == fails
            || self.failing.swap(fails, Ordering::Relaxed) == fails
        {
            return;
        }
        match error {
            None => tracing::info!("the shared limiter answers again"),
            Some(error) => {
                let requests = match self.outage {
                    OutageMode::LocalFallback => "limited by each process alone",
                    OutageMode::Open => "admitted without limits",
                    OutageMode::Closed => "refused",
                };
                tracing::warn!(%error, cause = cause(error), "the shared limiter does not answer; requests are {requests}");
            }
        }
    }
}

fn cause(error: &Error) -> Option<String> {
    std::error::Error::source(error).map(ToString::to_string)
}

impl Answer {
    /// The request was admitted: what was taken for it stays taken.
    pub(crate) fn keep(mut self) {
        self.taken = None;
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        let Some(taken) = self.taken.take() else {
            return;
        };
        // Nobody waits for it. Where no runtime is left, nobody is admitted any more either.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move {
                let given = taken.limiter.give_back(taken.key, &taken.charges);
                if !matches!(timeout(PATIENCE, given).await, Ok(Ok(()))) {
                    tracing::debug!(key = %taken.key, "what a refused request took was not given back");
                }
            });
        }
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").finish_non_exhaustive()
    }
}
