//! What keys were used for, in memory.

use std::collections::{BTreeMap, HashMap, HashSet};

use async_trait::async_trait;

use super::MemoryStore;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::key::KeyId;
use crate::usage::ledger::{self, Answer, Entry, SeriesName, Spread, Sum};
use crate::usage::{
    LastUse, UsageBatch, UsagePoint, UsageRequest, UsageRetention, UsageSink, UsageStep,
};

/// By whose it is and the number of the step.
type Steps = BTreeMap<(String, i64), BTreeMap<SeriesName, Sum>>;

#[derive(Default)]
pub(super) struct Usage {
    hours: Steps,
    days: Steps,
    last_uses: HashMap<KeyId, LastUse>,
    recorders: HashMap<u128, u64>,
    /// Keys that were deleted.
    gone: HashSet<String>,
}

impl Usage {
    pub(super) fn forget(&mut self, key: KeyId) {
        let id = key.to_string();
        for steps in [&mut self.hours, &mut self.days] {
            steps.retain(|(whose, _), _| *whose != id);
        }
        self.last_uses.remove(&key);
        self.gone.insert(id);
    }

    fn write(&mut self, batch: &UsageBatch) {
        let last = self.recorders.entry(batch.id.recorder).or_default();
        if batch.id.number <= *last {
            return;
        }
        *last = batch.id.number;
        let spread = Spread::of(batch, |key| self.gone.contains(key));
        let add = |steps: &mut Steps, entries: Vec<Entry>| {
            for entry in entries {
                let Some(name) = spread.series.get(entry.series) else {
                    continue;
                };
                let step = steps.entry((name.whose.to_string(), entry.at)).or_default();
                step.entry(name.clone()).or_default().add(&entry.sum);
            }
        };
        add(&mut self.hours, spread.hours);
        add(&mut self.days, spread.days);
        for (key, last) in &batch.last_uses {
            let is_news = self
                .last_uses
                .get(key)
                .is_none_or(|known| known.at <= last.at);
            if is_news && !self.gone.contains(&key.to_string()) {
                self.last_uses.insert(*key, last.clone());
            }
        }
    }

    fn read(&self, request: &UsageRequest) -> Vec<UsagePoint> {
        let steps = match request.step {
            UsageStep::Hour => &self.hours,
            UsageStep::Day => &self.days,
        };
        let (first, end) = ledger::numbers_of(request);
        let mut answer = Answer::to(request);
        for whose in ledger::whose(request) {
            let range = (whose.clone(), first)..(whose, end.max(first));
            for ((_, at), series) in steps.range(range) {
                for (name, sum) in series {
                    let label = name.label(request.by);
                    answer.add(*at, &label, (name.outcome, name.status), sum);
                }
            }
        }
        answer.points()
    }
}

#[async_trait]
impl UsageSink for MemoryStore {
    async fn write(&self, batch: &UsageBatch) -> Result<(), Error> {
        self.state().usage.write(batch);
        Ok(())
    }

    async fn read(&self, request: &UsageRequest) -> Result<Vec<UsagePoint>, Error> {
        Ok(self.state().usage.read(request))
    }

    async fn last_uses(&self, keys: &[KeyId]) -> Result<Vec<(KeyId, LastUse)>, Error> {
        let state = self.state();
        let known = |key: &KeyId| Some((*key, state.usage.last_uses.get(key)?.clone()));
        Ok(keys.iter().filter_map(known).collect())
    }

    async fn prune(&self, kept: UsageRetention, now: Timestamp) -> Result<bool, Error> {
        let usage = &mut self.state().usage;
        let hours = ledger::number_of(UsageStep::Hour, now.saturating_sub(kept.hours));
        let days = ledger::number_of(UsageStep::Day, now.saturating_sub(kept.days));
        usage.hours.retain(|(_, at), _| *at >= hours);
        usage.days.retain(|(_, at), _| *at >= days);
        Ok(false)
    }
}
