//! Plans: sets of limits that many keys share.

use serde::{Deserialize, Serialize};

use super::{PlanName, Quota, RateLimit, Revision};

/// A named set of rate limits and quotas.
///
/// A key on a plan has the plan's limits, counted for the key alone, except where it has one of the
/// same name itself. A change of the plan reaches its keys at once.
///
/// Three plans are there from the start: `free` (10 requests a minute), `standard` (60) and
/// `professional` (300). Storing a plan of the same name replaces one; removing that brings it back.
///
/// ```
/// use mcp_api_keys::key::{Plan, Quota, RateLimit};
///
/// let plan = Plan::new("enterprise".parse()?)
///     .rate(RateLimit::per_minute(5_000))
///     .quota(Quota::per_month(10_000_000));
/// assert_eq!(plan.limits.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Plan {
    /// What it is called.
    pub name: PlanName,
    /// How often each of its keys may be used.
    #[serde(default)]
    pub limits: Vec<RateLimit>,
    /// How much each of its keys may use.
    #[serde(default)]
    pub quotas: Vec<Quota>,
    /// Which write this state is; zero for one that is not stored.
    #[serde(default)]
    pub revision: Revision,
}

impl Plan {
    /// A plan without limits.
    pub fn new(name: PlanName) -> Self {
        Self {
            name,
            limits: Vec::new(),
            quotas: Vec::new(),
            revision: Revision::default(),
        }
    }

    /// The same plan with one more rate limit. Limits of one plan have different names.
    #[must_use]
    pub fn rate(mut self, limit: RateLimit) -> Self {
        self.limits.push(limit);
        self
    }

    /// The same plan with one more quota. Quotas of one plan have different names.
    #[must_use]
    pub fn quota(mut self, quota: Quota) -> Self {
        self.quotas.push(quota);
        self
    }

    /// The plans that are there from the start.
    pub fn built_in() -> impl Iterator<Item = Self> {
        let plans = [("free", 10), ("standard", 60), ("professional", 300)];
        plans.into_iter().filter_map(|(name, count)| {
            let plan = Self::new(name.parse().ok()?);
            Some(plan.rate(RateLimit::per_minute(count)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_plans_are_built_in() {
        let built_in: Vec<_> = Plan::built_in()
            .map(|plan| format!("{} {}", plan.name, plan.limits[0]))
            .collect();
        assert_eq!(
            built_in,
            ["free 10/min", "standard 60/min", "professional 300/min"]
        );
    }
}
