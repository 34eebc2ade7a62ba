//! Used signatures over Redis.

use std::time::Duration;

use async_trait::async_trait;
use sha2::{Digest, Sha256};

use super::Redis;
use crate::clock::Moment;
use crate::error::Error;
use crate::limit::OutageMode;
use crate::signing::{MemoryReplayGuard, ReplayGuard, Seen, SignatureId};

/// Remembers signatures in Redis, for all processes that use the same.
///
/// What is kept of a signature is a SHA-256 digest under the id of its key.
///
/// While Redis does not answer, signed requests are refused with 503: who can cut a process off from
/// Redis could otherwise send a request again. [`outage`](Self::outage) chooses otherwise.
#[derive(Clone, Debug)]
#[must_use]
pub struct RedisReplayGuard {
    redis: Redis,
    outage: OutageMode,
    /// What this process has seen itself, if it is to go on with that.
    seen_here: Option<MemoryReplayGuard>,
}

impl RedisReplayGuard {
    pub(super) fn new(redis: Redis) -> Self {
        Self {
            redis,
            outage: OutageMode::Closed,
            seen_here: None,
        }
    }

    /// Sets what happens while Redis does not answer. Default: [`Closed`](OutageMode::Closed).
    ///
    /// With [`LocalFallback`](OutageMode::LocalFallback) each process goes on with what it has seen
    /// itself, and keeps that as a [`MemoryReplayGuard`] does: in an outage a request can be sent again,
    /// once to each other process. With [`Open`](OutageMode::Open) it can be sent again at will.
    pub fn outage(mut self, mode: OutageMode) -> Self {
        self.outage = mode;
        self.seen_here = (mode == OutageMode::LocalFallback).then(MemoryReplayGuard::new);
        self
    }

    fn name(&self, signature: &SignatureId) -> String {
        let digest = Sha256::digest(signature.code());
        let mut text = String::with_capacity(64);
        for byte in &*digest {
            for nibble in [byte >> 4, byte & 15] {
                text.extend(char::from_digit(nibble.into(), 16));
            }
        }
        self.redis.name(signature.key(), "used", &text)
    }
}

#[async_trait]
impl ReplayGuard for RedisReplayGuard {
    async fn remember(
        &self,
        signature: &SignatureId,
        now: Moment,
        keep: Duration,
    ) -> Result<Seen, Error> {
        if let Some(memory) = &self.seen_here
            && memory.remember(signature, now, keep).await? == Seen::Again
        {
            return Ok(Seen::Again);
        }
        let millis = u64::try_from(keep.as_millis()).unwrap_or(u64::MAX);
        let mut set = redis::cmd("SET");
        // Not longer than Redis can reckon with.
        set.arg(self.name(signature)).arg("").arg("NX").arg("PX");
        set.arg(millis.clamp(1, FOREVER));
        let set = &set;
        let link = &self.redis.link;
        // Only once: the second time it would be there already.
        let answer = link
            .call(&self.redis.terms, false, move |mut connection| async move {
                set.query_async::<Option<String>>(&mut connection).await
            })
            .await;
        match (answer, self.outage) {
            (Ok(Some(_)), _) => Ok(Seen::First),
            (Ok(None), _) => Ok(Seen::Again),
            (Err(error), OutageMode::Closed) => Err(error),
            (Err(_), OutageMode::LocalFallback | OutageMode::Open) => Ok(Seen::First),
        }
    }
}

/// A hundred years in milliseconds.
const FOREVER: u64 = 3_155_760_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::KeyId;

    #[test]
    fn a_name_holds_the_key_and_a_digest() {
        let guard = Redis::open("redis://h").unwrap().replay_guard();
        let key = KeyId::from_u128(7);
        let name = guard.name(&SignatureId::new(key, [0xab; 32]));
        assert!(name.contains(&format!("{{{key}}}")));
        assert!(!name.contains("abababab"));
        assert_ne!(name, guard.name(&SignatureId::new(key, [0xac; 32])));
    }
}
