//! Signatures that were used, so that none is used twice.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::mac;
use crate::clock::Moment;
use crate::error::{Error, ErrorKind};
use crate::key::KeyId;

/// Remembers which signatures were used.
///
/// It is asked only about signatures that were verified, by requests that would otherwise pass.
///
/// 1. Of any number of calls with one signature, on any number of machines that share the guard,
///    exactly one is answered [`Seen::First`] while the signature is kept.
/// 2. A signature is kept for at least `keep`. A guard without room for another one fails; it never
///    forgets one early.
/// 3. A failure refuses the request with 503. So does an answer that takes longer than two seconds.
///
/// [`MemoryReplayGuard`] remembers for one process. One that is shared by several is a single
/// command of Redis or Valkey, `SET name "" NX PX <keep>`, which answers whether it set anything.
#[async_trait]
pub trait ReplayGuard: fmt::Debug + Send + Sync + 'static {
    /// Remembers `signature` for `keep`, and says whether it was there already: in one step, so that
    /// of two requests at the same moment one is the second.
    ///
    /// `now` is the time of the request. Guards that measure time themselves need not look at it.
    ///
    /// # Errors
    ///
    /// `Unavailable`, if the guard cannot answer, or has no room. The request is then refused.
    async fn remember(
        &self,
        signature: &SignatureId,
        now: Moment,
        keep: Duration,
    ) -> Result<Seen, Error>;
}

/// Whether a signature was used before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(
    clippy::exhaustive_enums,
    reason = "guards outside the crate build it, and there is no third answer"
)]
pub enum Seen {
    /// It was not, and is remembered from now on.
    First,
    /// It was.
    Again,
}

/// What a signature is remembered by: the key, and the code as bytes, however it was written.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SignatureId {
    key: KeyId,
    code: [u8; mac::LENGTH],
}

impl SignatureId {
    /// The signature `code` under the key `key`.
    pub const fn new(key: KeyId, code: [u8; 32]) -> Self {
        Self { key, code }
    }

    /// The key that signed.
    pub const fn key(&self) -> KeyId {
        self.key
    }

    /// The decoded signature.
    pub const fn code(&self) -> &[u8; 32] {
        &self.code
    }
}

impl fmt::Debug for SignatureId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignatureId")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// Remembers signatures in the memory of this process. Clones share what they remember.
///
/// It has room for a number of signatures, and one key may take half of it. Without room the request
/// is refused with 503; nothing is forgotten early. With the default of 200,000 and the default
/// tolerance a signature is kept for 620 s, so there is room for 161 signed requests a second of one
/// key, and 322 of all keys together, without end. Full, it takes 25 MiB where few keys fill it, and
/// 55 MiB where each signature is of another key.
///
/// ```
/// use mcp_api_keys::layer::SignedRequestLayer;
/// use mcp_api_keys::signing::MemoryReplayGuard;
///
/// let layer = SignedRequestLayer::required().replay_guard(MemoryReplayGuard::new());
/// # let _ = layer;
/// ```
#[derive(Clone)]
pub struct MemoryReplayGuard {
    used: Arc<Mutex<Used>>,
    capacity: usize,
}

struct Used {
    of: HashMap<KeyId, HashSet<[u8; mac::LENGTH]>>,
    /// In the order of their coming, with when they may be forgotten, in monotonic nanoseconds. One
    /// behind another that is kept for longer is kept for as long.
    queue: VecDeque<(u64, SignatureId)>,
}

/// How many may be forgotten in one call, so that a call after a long rest takes no longer than
/// others. More than one, or a full guard would stay full.
const FORGET_AT_ONCE: usize = 16;

impl MemoryReplayGuard {
    const CAPACITY: usize = 200_000;

    /// Room for 200,000 signatures.
    pub fn new() -> Self {
        Self::with_capacity(Self::CAPACITY)
    }

    /// Room for `signatures`, and for half as many, rounded up, of one key. Memory is taken as it is
    /// needed.
    pub fn with_capacity(signatures: usize) -> Self {
        let used = Used {
            of: HashMap::new(),
            queue: VecDeque::new(),
        };
        Self {
            used: Arc::new(Mutex::new(used)),
            capacity: signatures,
        }
    }

    fn used(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember_now(
        &self,
        signature: &SignatureId,
        now: Moment,
        keep: Duration,
    ) -> Result<Seen, Error> {
        let mut used = self.used();
        used.forget(now.ticks);
        let full = used.queue.len() >= self.capacity;
        let of_key = used.of.entry(signature.key).or_default();
        if of_key.contains(&signature.code) {
            return Ok(Seen::Again);
        }
        if full || of_key.len() >= self.capacity.div_ceil(2) {
            if of_key.is_empty() {
                used.of.remove(&signature.key);
            }
            let message = "there is no room to remember another signature";
            return Err(Error::new(ErrorKind::Unavailable, message));
        }
        of_key.insert(signature.code);
        let keep = u64::try_from(keep.as_nanos()).unwrap_or(u64::MAX);
        let until = now.ticks.saturating_add(keep);
        used.queue.push_back((until, *signature));
        Ok(Seen::First)
    }
}

impl Used {
    fn forget(&mut self, ticks: u64) {
        for _ in 0..FORGET_AT_ONCE {
            let over = |(until, _): &mut (u64, SignatureId)| *until <= ticks;
            let Some((_, signature)) = self.queue.pop_front_if(over) else {
                return;
            };
            if let Some(of_key) = self.of.get_mut(&signature.key) {
                of_key.remove(&signature.code);
                if of_key.is_empty() {
                    self.of.remove(&signature.key);
                }
            }
        }
    }
}

#[async_trait]
impl ReplayGuard for MemoryReplayGuard {
    async fn remember(
        &self,
        signature: &SignatureId,
        now: Moment,
        keep: Duration,
    ) -> Result<Seen, Error> {
        self.remember_now(signature, now, keep)
    }
}

impl Default for MemoryReplayGuard {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryReplayGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryReplayGuard")
            .field("remembered", &self.used().queue.len())
            .field("capacity", &self.capacity)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    const KEEP: Duration = Duration::from_secs(600);

    fn at(seconds: u64) -> Moment {
        Moment::new(Timestamp::from_millis(0), seconds * 1_000_000_000)
    }

    fn signature(key: u128, number: u32) -> SignatureId {
        let mut code = [0; 32];
        code[..4].copy_from_slice(&number.to_le_bytes());
        SignatureId::new(KeyId::from_u128(key), code)
    }

    #[test]
    fn a_signature_is_first_once_for_each_key_until_it_is_kept_no_longer() {
        let guard = MemoryReplayGuard::new();
        let ask = |key, seconds| {
            guard
                .remember_now(&signature(key, 7), at(seconds), KEEP)
                .unwrap()
        };
        assert_eq!(ask(1, 0), Seen::First);
        assert_eq!(ask(1, 0), Seen::Again);
        assert_eq!(ask(2, 0), Seen::First);
        assert_eq!(
            guard
                .clone()
                .remember_now(&signature(1, 7), at(9), KEEP)
                .unwrap(),
            Seen::Again
        );
        assert_eq!(ask(1, 599), Seen::Again);
        assert_eq!(ask(1, 600), Seen::First);
    }

    #[test]
    fn a_full_guard_refuses_and_forgets_nothing_early() {
        let guard = MemoryReplayGuard::with_capacity(10);
        let ask =
            |key, number, seconds| guard.remember_now(&signature(key, number), at(seconds), KEEP);
        // One key may take half.
        for number in 0..5 {
            assert_eq!(ask(1, number, 0).unwrap(), Seen::First);
        }
        assert_eq!(ask(1, 5, 0).unwrap_err().kind(), ErrorKind::Unavailable);
        for number in 0..5 {
            assert_eq!(ask(2, number, 1).unwrap(), Seen::First);
        }
        for key in [1, 2, 3] {
            assert!(ask(key, 99, 2).is_err());
            assert!(ask(key, 99, 599).is_err());
        }
        for (key, number) in [(1, 0), (1, 4), (2, 0), (2, 4)] {
            assert_eq!(ask(key, number, 599).unwrap(), Seen::Again);
        }
        assert_eq!(guard.used().of.len(), 2, "who was refused takes no room");
        // As soon as the first are over, there is room again.
        assert_eq!(ask(3, 0, 600).unwrap(), Seen::First);
        assert_eq!(ask(2, 0, 600).unwrap(), Seen::Again);
        assert_eq!(guard.used().queue.len(), 6);
    }

    #[test]
    fn one_that_is_kept_longer_keeps_those_behind_it() {
        let guard = MemoryReplayGuard::new();
        let ask = |number, seconds, keep| {
            guard
                .remember_now(
                    &signature(1, number),
                    at(seconds),
                    Duration::from_secs(keep),
                )
                .unwrap()
        };
        assert_eq!(ask(1, 0, 1_000), Seen::First);
        assert_eq!(ask(2, 0, 10), Seen::First);
        assert_eq!(ask(2, 500, 10), Seen::Again);
        assert_eq!(ask(3, 1_000, 10), Seen::First);
        assert_eq!(guard.used().queue.len(), 1);
    }

    #[test]
    fn time_without_end_is_no_overflow() {
        let guard = MemoryReplayGuard::new();
        let ask = |seconds| {
            guard
                .remember_now(&signature(1, 1), at(seconds), Duration::MAX)
                .unwrap()
        };
        assert_eq!(ask(1_000), Seen::First);
        assert_eq!(ask(1_000_000), Seen::Again);
    }

    #[test]
    fn of_many_at_once_one_is_the_first() {
        let guard = MemoryReplayGuard::new();
        let firsts: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        let ask = |n| guard.remember_now(&signature(1, n), at(0), KEEP).unwrap();
                        (0..1_000).filter(|&n| ask(n) == Seen::First).count()
                    })
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum()
        });
        assert_eq!(firsts, 1_000);
    }
}
