//! Rate limits over Redis.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use redis::{Script, ScriptInvocation};

use super::Redis;
use crate::error::{Error, ErrorKind};
use crate::key::{KeyId, LimitStatus, RateLimit};
use crate::limit::{Charge, Decision, SharedLimiter};

/// Counts the rate limits of keys in Redis, for all processes that use the same.
///
/// All limits of a request are decided by one script in one round trip. What is kept is one number for
/// each limit, under the key's id and the limit's name, until its whole burst is there again.
///
/// Numbers are whole microseconds and exact fractions of one, so a rate is what it says, also one of
/// a million a second. What takes longer than 71 years to be there again is cut off at that.
#[derive(Clone)]
pub struct RedisLimiter {
    redis: Redis,
    scripts: Arc<Scripts>,
}

struct Scripts {
    take: Script,
    give_back: Script,
}

/// The longest time that is reckoned with, in microseconds: three of it and today's date are exact in
/// a double.
const LONGEST: u128 = 1 << 51;

impl RedisLimiter {
    pub(super) fn new(redis: Redis) -> Self {
        let scripts = Scripts {
            take: Script::new(include_str!("take.lua")),
            give_back: Script::new(include_str!("give_back.lua")),
        };
        Self {
            redis,
            scripts: Arc::new(scripts),
        }
    }

    fn invocation<'s>(
        &self,
        script: &'s Script,
        key: KeyId,
        charges: &[Charge],
    ) -> ScriptInvocation<'s> {
        let mut invocation = script.prepare_invoke();
        for Charge { limit, cost } in charges {
            invocation.key(self.redis.name(key, "limit", limit.name()));
            let (cost, cost_parts) = time_of(limit, cost.get().into());
            let (burst, burst_parts) = time_of(limit, limit.burst_size().into());
            invocation
                .arg(cost)
                .arg(cost_parts)
                .arg(burst)
                .arg(burst_parts);
            invocation.arg(parts(limit));
        }
        invocation
    }
}

/// How many parts of a microsecond a limit is reckoned in: a request takes a whole number of them.
fn parts(limit: &RateLimit) -> u32 {
    limit.count().max(1)
}

/// What so many requests take of a limit: in time, as whole microseconds and parts.
fn time_of(limit: &RateLimit, requests: u64) -> (u64, u64) {
    let parts = u128::from(parts(limit));
    let all = u128::from(requests).saturating_mul(limit.unit().duration().as_micros());
    if all / parts > LONGEST {
        return (whole(LONGEST), 0);
    }
    (whole(all / parts), whole(all % parts))
}

/// Where a limit stands that is full again in so many microseconds and parts.
fn status(limit: &Arc<RateLimit>, micros: u64, rest: u64) -> LimitStatus {
    let parts = u128::from(parts(limit));
    let all = |(micros, rest): (u64, u64)| {
        u128::from(micros)
            .saturating_mul(parts)
            .saturating_add(rest.into())
    };
    let burst = all(time_of(limit, limit.burst_size().into()));
    let left = burst.saturating_sub(all((micros, rest)));
    let remaining = left / limit.unit().duration().as_micros().max(1);
    let resets_in = Duration::from_micros(micros.saturating_add(u64::from(rest > 0)));
    LimitStatus::new(
        Arc::clone(limit),
        u32::try_from(remaining).unwrap_or(u32::MAX),
        resets_in,
    )
}

fn whole(number: u128) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// What the script's numbers say.
fn decision(charges: &[Charge], numbers: &[i64]) -> Option<Decision> {
    let mut numbers = numbers.iter().map(|number| u64::try_from(*number).ok());
    let refused = usize::try_from(numbers.next()??).ok()?;
    let wait = numbers.next()??;
    let mut standing = Vec::with_capacity(charges.len());
    for charge in charges {
        let (micros, rest) = (numbers.next()??, numbers.next()??);
        standing.push(status(&charge.limit, micros, rest));
    }
    let Some(at) = refused.checked_sub(1) else {
        return Some(Decision::Taken(standing));
    };
    let limit = LimitStatus {
        remaining: 0,
        ..standing.into_iter().nth(at)?
    };
    Some(Decision::Refused {
        limit,
        retry_after: Duration::from_micros(wait),
    })
}

#[async_trait]
impl SharedLimiter for RedisLimiter {
    async fn take(&self, key: KeyId, charges: &[Charge]) -> Result<Decision, Error> {
        let invocation = &self.invocation(&self.scripts.take, key, charges);
        let link = &self.redis.link;
        let numbers = link
            .call(&self.redis.terms, true, move |mut connection| async move {
                invocation.invoke_async::<Vec<i64>>(&mut connection).await
            })
            .await?;
        decision(charges, &numbers)
            .ok_or_else(|| Error::new(ErrorKind::Corrupt, "Redis answered something else"))
    }

    async fn give_back(&self, key: KeyId, charges: &[Charge]) -> Result<(), Error> {
        let invocation = &self.invocation(&self.scripts.give_back, key, charges);
        let link = &self.redis.link;
        // Only once: given back twice, it would be more than was taken.
        link.call(&self.redis.terms, false, move |mut connection| async move {
            invocation.invoke_async::<()>(&mut connection).await
        })
        .await
    }
}

impl fmt::Debug for RedisLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisLimiter")
            .field("redis", &self.redis)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    #[test]
    fn a_request_takes_its_share_of_the_time_exactly() {
        let third = RateLimit::per_second(3);
        assert_eq!(time_of(&third, 1), (333_333, 1));
        assert_eq!(time_of(&third, 3), (1_000_000, 0));
        assert_eq!(
            time_of(&RateLimit::per_second(4_000_000), 1),
            (0, 1_000_000)
        );
        assert_eq!(time_of(&RateLimit::per_day(1), 1), (86_400_000_000, 0));
        let endless = RateLimit::per_day(1).burst(u32::MAX);
        assert_eq!(time_of(&endless, u32::MAX.into()), (1 << 51, 0));
    }

    #[test]
    fn what_remains_is_not_lost_in_rounding() {
        let limit = Arc::new(RateLimit::per_second(3));
        for (requests, remaining) in [(0, 3), (1, 2), (2, 1), (3, 0)] {
            let (micros, rest) = time_of(&limit, requests);
            assert_eq!(status(&limit, micros, rest).remaining, remaining);
        }
        let (micros, rest) = time_of(&limit, 1);
        assert_eq!(status(&limit, micros, rest).resets_in.as_micros(), 333_334);
    }

    #[test]
    fn the_numbers_of_the_script_are_a_decision_or_nothing() {
        let limit = |name| Arc::new(RateLimit::per_minute(60).named(name));
        let charges = ["a", "b"].map(|name| Charge::new(limit(name), NonZeroU32::MIN));
        let taken = decision(&charges, &[0, 0, 1_000_000, 0, 60_000_000, 0]).unwrap();
        let Decision::Taken(standing) = taken else {
            panic!("{taken:?}")
        };
        let remaining: Vec<u32> = standing.iter().map(|status| status.remaining).collect();
        assert_eq!(remaining, [59, 0]);
        let refused = decision(&charges, &[2, 500_000, 0, 0, 60_000_000, 0]).unwrap();
        let Decision::Refused { limit, retry_after } = refused else {
            panic!("{refused:?}")
        };
        assert_eq!((limit.limit.name(), retry_after.as_millis()), ("b", 500));
        for wrong in [
            &[][..],
            &[0, 0, 1],
            &[3, 0, 0, 0, 0, 0],
            &[-1, 0, 0, 0, 0, 0],
        ] {
            assert_eq!(decision(&charges, wrong), None, "{wrong:?}");
        }
    }
}
