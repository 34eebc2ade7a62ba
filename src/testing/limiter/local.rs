//! A shared limiter within one process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use crate::clock::Clock;
use crate::error::Error;
use crate::key::{KeyId, RateLimit};
use crate::limit::{Charge, Decision, LimitRules, LimitSet, SharedLimiter};

/// A [`SharedLimiter`] for nodes that are in one process, as tests have them. Clones share what they
/// count. It counts with the limits that each process counts with by itself.
#[derive(Clone, Debug)]
pub struct LocalLimiter {
    clock: Arc<dyn Clock>,
    keys: Arc<Mutex<HashMap<KeyId, Limits>>>,
}

/// The limits of one key, with those that were not charged last.
#[derive(Debug)]
struct Limits {
    rules: Vec<RateLimit>,
    set: LimitSet,
}

impl LocalLimiter {
    /// A limiter that goes by `clock`.
    pub fn new(clock: impl Clock) -> Self {
        Self {
            clock: Arc::new(clock),
            keys: Arc::default(),
        }
    }

    fn with<T>(&self, key: KeyId, charges: &[Charge], act: impl FnOnce(&LimitSet) -> T) -> T {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let limits = keys.entry(key).or_insert_with(|| Limits {
            rules: Vec::new(),
            set: LimitSet::new(&[]),
        });
        for Charge { limit, .. } in charges {
            let mut rules = limits.rules.iter_mut();
            match rules.find(|rule| rule.name() == limit.name()) {
                Some(rule) => rule.clone_from(limit),
                None => limits.rules.push(RateLimit::clone(limit)),
            }
        }
        let rules = LimitRules::of(&limits.rules);
        if !limits.set.implements(&rules) {
            limits.set = limits.set.succeeding(&rules);
        }
        act(&limits.set)
    }
}

fn cost_of(charges: &[Charge], rule: &RateLimit) -> u32 {
    let mut charges = charges.iter();
    let charge = charges.find(|charge| charge.limit.name() == rule.name());
    charge.map_or(0, |charge| charge.cost.get())
}

#[async_trait]
impl SharedLimiter for LocalLimiter {
    async fn take(&self, key: KeyId, charges: &[Charge]) -> Result<Decision, Error> {
        let ticks = self.clock.now().ticks;
        Ok(self.with(key, charges, |set| {
            match set.take(ticks, |rule| cost_of(charges, rule)) {
                Err(exhausted) => Decision::Refused {
                    limit: exhausted.status,
                    retry_after: exhausted.retry_after,
                },
                Ok(_) => {
                    let names = charges.iter().map(|charge| charge.limit.name());
                    let standing = names.filter_map(|name| set.standing(ticks, name));
                    Decision::Taken(standing.collect())
                }
            }
        }))
    }

    async fn give_back(&self, key: KeyId, charges: &[Charge]) -> Result<(), Error> {
        self.with(key, charges, |set| {
            set.give_back(|rule| cost_of(charges, rule));
        });
        Ok(())
    }
}
