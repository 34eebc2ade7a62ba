//! Quotas over Redis.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use redis::Script;

use super::Redis;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::key::KeyId;
use crate::store::{QuotaAccount, QuotaLedger, Taken};

/// Counts the quotas of keys in Redis.
///
/// By default quotas are counted in the store, which is as exact and needs no second service: a process
/// takes a hundredth of a quota at a time. This is for stores that are slow to write.
///
/// What it has answered is as durable as Redis is: with `appendonly yes` and `appendfsync always`
/// that is what a [`QuotaLedger`] promises; otherwise a crash of Redis may forget units that were taken.
/// While Redis does not answer, keys whose process holds no units any more are refused with 503.
#[derive(Clone)]
pub struct RedisQuotaLedger {
    redis: Redis,
    scripts: Arc<Scripts>,
}

struct Scripts {
    take: Script,
    give_back: Script,
}

/// How long the quotas of a key are kept after their last use: no period is as long.
const KEPT_FOR: Duration = Duration::from_secs(62 * 86_400);

/// The largest number that scripts reckon with exactly.
const MOST: u64 = 1 << 53;

impl RedisQuotaLedger {
    pub(super) fn new(redis: Redis) -> Self {
        let scripts = Scripts {
            take: Script::new(include_str!("quota_take.lua")),
            give_back: Script::new(include_str!("quota_give_back.lua")),
        };
        Self {
            redis,
            scripts: Arc::new(scripts),
        }
    }

    fn name(&self, key: KeyId) -> String {
        self.redis.name(key, "quotas", "taken")
    }
}

#[async_trait]
impl QuotaLedger for RedisQuotaLedger {
    async fn take(&self, account: &QuotaAccount, wanted: u64, limit: u64) -> Result<u64, Error> {
        let mut invocation = self.scripts.take.prepare_invoke();
        invocation.key(self.name(account.key));
        invocation
            .arg(&account.quota)
            .arg(account.period.as_millis());
        invocation.arg(wanted.min(MOST)).arg(limit.min(MOST));
        invocation.arg(KEPT_FOR.as_secs().saturating_mul(1_000));
        let invocation = &invocation;
        let link = &self.redis.link;
        // A second time at the most loses units, and gives none twice.
        link.call(&self.redis.terms, true, move |mut connection| async move {
            invocation.invoke_async::<u64>(&mut connection).await
        })
        .await
    }

    async fn give_back(&self, account: &QuotaAccount, units: u64) -> Result<(), Error> {
        let mut invocation = self.scripts.give_back.prepare_invoke();
        invocation.key(self.name(account.key));
        invocation
            .arg(&account.quota)
            .arg(account.period.as_millis());
        invocation.arg(units.min(MOST));
        let invocation = &invocation;
        let link = &self.redis.link;
        link.call(&self.redis.terms, false, move |mut connection| async move {
            invocation.invoke_async::<()>(&mut connection).await
        })
        .await
    }

    async fn taken(&self, key: KeyId) -> Result<Vec<Taken>, Error> {
        let mut all = redis::cmd("HGETALL");
        all.arg(self.name(key));
        let all = &all;
        let link = &self.redis.link;
        let rows = link
            .call(&self.redis.terms, true, move |mut connection| async move {
                all.query_async::<HashMap<String, String>>(&mut connection)
                    .await
            })
            .await?;
        let mut taken: Vec<Taken> = rows
            .into_iter()
            .filter_map(|(quota, value)| {
                let (period, units) = value.split_once(':')?;
                let period = Timestamp::from_millis(period.parse().ok()?);
                let account = QuotaAccount { key, quota, period };
                let units = units.parse().ok()?;
                Some(Taken { account, units })
            })
            .collect();
        taken.sort_by(|a, b| a.account.quota.cmp(&b.account.quota));
        Ok(taken)
    }
}

impl fmt::Debug for RedisQuotaLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisQuotaLedger")
            .field("redis", &self.redis)
            .finish_non_exhaustive()
    }
}
