//! What the store has to be asked for: keys that expire soon or are idle, limits, quotas.

use std::collections::HashMap;
use std::time::Duration;

use super::{BATCH, Watch, in_time};
use crate::alert::{AlertRule, KeyFacts};
use crate::clock::Timestamp;
use crate::error::Error;
use crate::key::{KeyId, KeyInfo, KeyRecord, KeyStatus, RateLimit};
use crate::store::{KeyFilter, PageRequest};

/// How long resolved alerts and the habits of keys not seen are kept.
const KEPT: Duration = Duration::from_secs(90 * 86_400);

impl Watch {
    /// Searches the store for what no request tells.
    pub(super) async fn sweep(&self, now: Timestamp) {
        let (notice, idle, most) = {
            let rules = self.rules();
            let settings = rules.settings();
            (
                settings.expiry_notice(),
                settings.idle_time(),
                settings.most_open(),
            )
        };
        let swept = async {
            let expiring = KeyFilter {
                expires_before: Some(now.saturating_add(notice)),
                ..KeyFilter::default()
            };
            self.sweep_for(AlertRule::ExpiringSoon, &expiring, most, now, |key, _| {
                // It ends by itself when it is left unused, and is renewed until then.
                if key.grant.is_some() {
                    return None;
                }
                let left = key.expires_at?.saturating_since(now);
                (!left.is_zero()).then_some(left.as_secs() / 3_600)
            })
            .await?;
            let unused = KeyFilter {
                idle_since: Some(now.saturating_sub(idle)),
                ..KeyFilter::default()
            };
            self.sweep_for(AlertRule::Idle, &unused, most, now, |key, used| {
                let is_over = key.expires_at.is_some_and(|end| end <= now);
                let since = used.unwrap_or(key.created_at);
                (!is_over).then(|| now.saturating_since(since).as_secs() / 86_400)
            })
            .await?;
            let near_quota = self.rules().near_quota();
            for key in near_quota {
                self.ask(key, now).await;
            }
            in_time(self.ledger.forget_before(now.saturating_sub(KEPT))).await
        };
        if let Err(error) = swept.await {
            tracing::warn!(%error, "keys that expire soon or are idle cannot be looked for");
        }
    }

    async fn sweep_for(
        &self,
        rule: AlertRule,
        filter: &KeyFilter,
        most: usize,
        now: Timestamp,
        value: impl Fn(&KeyRecord, Option<Timestamp>) -> Option<u64>,
    ) -> Result<(), Error> {
        if !self.rules().settings().has(rule) {
            return Ok(());
        }
        let mut found = Vec::new();
        let mut page = PageRequest::first(BATCH);
        let is_all = loop {
            let read = in_time(self.store.list(filter, page)).await?;
            let ids: Vec<KeyId> = read.records.iter().map(|record| record.id).collect();
            let mut used: HashMap<KeyId, Timestamp> = HashMap::new();
            for one in in_time(self.store.uses(&ids)).await? {
                let last = used.entry(one.key).or_insert(one.at);
                *last = (*last).max(one.at);
            }
            for record in &read.records {
                let is_on = record.status == KeyStatus::Active;
                let value = value(record, used.get(&record.id).copied()).filter(|_| is_on);
                found.extend(value.map(|value| (record.id, value)));
            }
            match read.next {
                None => break true,
                Some(_) if found.len() >= most => break false,
                Some(last) => page = page.after(last),
            }
        };
        self.rules().swept(rule, &found, is_all, now);
        Ok(())
    }

    /// Finds out how much a key may do, and did.
    pub(super) async fn ask(&self, key: KeyId, now: Timestamp) {
        match in_time(self.facts(key, now)).await {
            Ok(facts) => self.rules().learned(key, &facts, now),
            Err(error) => tracing::debug!(%error, %key, "the limits of a key cannot be read"),
        }
    }

    async fn facts(&self, key: KeyId, now: Timestamp) -> Result<KeyFacts, Error> {
        let (Some(live), Some(record)) = (self.live.upgrade(), self.store.get(key).await?) else {
            return Ok(KeyFacts::default());
        };
        let Some(info) = KeyInfo::of(&record) else {
            return Ok(KeyFacts::default());
        };
        let rights = live.resolver().narrow(info).await?;
        // Those for a server or a tool are about part of the requests only.
        let limits = rights.info.limits.iter();
        let whole = limits.filter(|limit| limit.server().is_none() && limit.tool().is_none());
        let taken = if rights.info.quotas.is_empty() {
            Vec::new()
        } else {
            self.quotas.taken(key).await?
        };
        let percent = rights.info.quotas.iter().filter_map(|quota| {
            let (start, _) = quota.period().around(now);
            let of_it = taken
                .iter()
                .filter(|one| one.account.quota == quota.name() && one.account.period == start);
            let used = of_it.map(|one| one.units).max().unwrap_or(0);
            let amount = u128::from(quota.amount());
            u64::try_from(u128::from(used) * 100 / amount.max(1)).ok()
        });
        Ok(KeyFacts {
            per_minute: whole.map(per_minute).min(),
            quota_percent: percent.max(),
        })
    }
}

/// What a limit admits in a minute in the long run, or at once.
fn per_minute(limit: &RateLimit) -> u32 {
    let seconds = limit.unit().duration().as_secs().max(1);
    let steady = u64::from(limit.count()) * 60 / seconds;
    let steady = u32::try_from(steady).unwrap_or(u32::MAX);
    steady.max(limit.burst_size())
}
