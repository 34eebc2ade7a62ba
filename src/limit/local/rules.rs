//! What is the same for all keys with the same rate limits.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use governor::Quota;

use crate::key::RateLimit;

/// The longest time (in nanoseconds) that a burst may take to come back: 73 years.
const LONGEST: u64 = u64::MAX / 8;

/// The rules of rate limits, in their order.
#[derive(Debug)]
pub(crate) struct LimitRules {
    list: Box<[Rule]>,
    /// Made where requests are charged behind the gate.
    ceiling: OnceLock<Arc<Self>>,
}

/// One rule, as it is applied.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) limit: Arc<RateLimit>,
    pub(super) quota: Quota,
    /// Whether every request counts, so that the limit need not be read.
    pub(super) counts_all: bool,
}

impl LimitRules {
    /// The rules of these limits. Those that admit nothing are left out; none passes validation.
    pub(crate) fn of(limits: &[RateLimit]) -> Arc<Self> {
        Arc::new(Self {
            list: limits.iter().filter_map(Rule::new).collect(),
            ceiling: OnceLock::new(),
        })
    }

    pub(super) fn list(&self) -> &[Rule] {
        &self.list
    }

    pub(super) fn first(&self) -> Option<&Rule> {
        self.list.first()
    }

    /// The rules, ten times as wide, of the limits that hold whatever a request calls.
    pub(super) fn ceiling(&self) -> &Arc<Self> {
        self.ceiling.get_or_init(|| {
            let limits = self.list.iter().map(|rule| &rule.limit);
            let wide: Vec<RateLimit> = limits
                .filter(|limit| limit.tool().is_none())
                .map(|limit| limit.ceiling())
                .collect();
            Self::of(&wide)
        })
    }
}

/// What follows from the limits does not count.
impl PartialEq for LimitRules {
    fn eq(&self, other: &Self) -> bool {
        let limits = self.list.iter().map(|rule| &rule.limit);
        limits.eq(other.list.iter().map(|rule| &rule.limit))
    }
}

impl Rule {
    fn new(limit: &RateLimit) -> Option<Self> {
        let (count, burst) = limit.sizes()?;
        let between = (limit.unit().duration() / count.get()).max(Duration::from_nanos(1));
        // governor's numbers end at 584 years.
        let most = LONGEST / u64::try_from(between.as_nanos()).ok()?.max(1);
        let most = u32::try_from(most).unwrap_or(u32::MAX);
        let burst = burst.min(std::num::NonZeroU32::new(most)?);
        Some(Self {
            quota: Quota::with_period(between)?.allow_burst(burst),
            counts_all: limit.server().is_none() && limit.tool().is_none(),
            limit: Arc::new(limit.clone()),
        })
    }
}
