//! A bounded pool for the slow, memory-hard hash.
//!
//! 1. At most `permits` hashes run at once, each on the blocking pool and on a buffer of its own
//!    that is used again and again: allocating 19 MiB per call fragments the heap to gigabytes.
//! 2. At most `queue` more may wait, in order, and none longer than the deadline.
//! 3. Permit and buffer belong to the running hash, not to the caller: a caller that hangs up
//!    frees neither while the hash still burns.
//! 4. A buffer is wiped before it is used for another key.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use argon2::Block;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::{Error, ErrorKind};

/// The memory of one hash.
pub(crate) type Memory = Vec<Block>;

/// Runs slow hashes, a few at a time.
#[derive(Debug)]
pub(crate) struct HashPool {
    running: Arc<Semaphore>,
    admitted: Arc<Semaphore>,
    buffers: Arc<Buffers>,
    deadline: Duration,
    permits: usize,
    places: usize,
    refused: AtomicU64,
}

/// How busy a pool is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PoolLoad {
    pub(crate) running: u64,
    pub(crate) waiting: u64,
    /// Hashes for which there was no place in the queue, or no permit in time, so far.
    pub(crate) refused: u64,
}

struct Buffers {
    free: Mutex<Vec<Memory>>,
    /// Larger buffers, which only a foreign hash can ask for, are let go after use.
    kept_blocks: usize,
}

/// Why a hash was not run to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PoolError {
    /// The queue is full, or the deadline passed before a permit was free.
    Busy,
    /// The hash panicked.
    Failed,
}

impl HashPool {
    pub(crate) fn new(
        permits: usize,
        queue: usize,
        deadline: Duration,
        kept_blocks: usize,
    ) -> Self {
        let permits = permits.clamp(1, Semaphore::MAX_PERMITS / 2);
        let admitted = permits.saturating_add(queue).min(Semaphore::MAX_PERMITS);
        Self {
            running: Arc::new(Semaphore::new(permits)),
            admitted: Arc::new(Semaphore::new(admitted)),
            buffers: Arc::new(Buffers {
                free: Mutex::default(),
                kept_blocks,
            }),
            deadline,
            permits,
            places: admitted,
            refused: AtomicU64::new(0),
        }
    }

    /// Runs `hash` on the blocking pool, with a buffer it may grow to what it needs.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        hash: impl FnOnce(&mut Memory) -> T + Send + 'static,
    ) -> Result<T, PoolError> {
        let Ok(place) = Arc::clone(&self.admitted).try_acquire_owned() else {
            return Err(self.busy());
        };
        let permit = Arc::clone(&self.running).acquire_owned();
        let Ok(Ok(permit)) = tokio::time::timeout(self.deadline, permit).await else {
            return Err(self.busy());
        };
        self.start((place, permit), hash).await
    }

    /// Runs `hash` if that can begin at once and keeps nobody else waiting: for what may as well be
    /// done another time.
    pub(crate) async fn run_if_free<T: Send + 'static>(
        &self,
        hash: impl FnOnce(&mut Memory) -> T + Send + 'static,
    ) -> Result<T, PoolError> {
        let place = Arc::clone(&self.admitted).try_acquire_owned();
        let permit = Arc::clone(&self.running).try_acquire_owned();
        match (place, permit) {
            (Ok(place), Ok(permit)) => self.start((place, permit), hash).await,
            _ => Err(PoolError::Busy),
        }
    }

    async fn start<T: Send + 'static>(
        &self,
        held: (OwnedSemaphorePermit, OwnedSemaphorePermit),
        hash: impl FnOnce(&mut Memory) -> T + Send + 'static,
    ) -> Result<T, PoolError> {
        let mut lease = Lease {
            memory: self.buffers.take(),
            buffers: Arc::clone(&self.buffers),
            _held: held,
        };
        tokio::task::spawn_blocking(move || hash(&mut lease.memory))
            .await
            .map_err(|_| PoolError::Failed)
    }

    fn busy(&self) -> PoolError {
        self.refused.fetch_add(1, Ordering::Relaxed);
        PoolError::Busy
    }

    /// How busy it is at this moment.
    pub(crate) fn load(&self) -> PoolLoad {
        let held = |all: usize, of: &Semaphore| all.saturating_sub(of.available_permits()) as u64;
        let running = held(self.permits, &self.running);
        PoolLoad {
            running,
            waiting: held(self.places, &self.admitted).saturating_sub(running),
            refused: self.refused.load(Ordering::Relaxed),
        }
    }

    /// How many hashes could start at this moment.
    #[cfg(test)]
    fn free(&self) -> usize {
        self.running.available_permits()
    }
}

/// A buffer with the permit to use it. Given back, wiped, when the hash ends, even by a panic.
struct Lease {
    memory: Memory,
    buffers: Arc<Buffers>,
    _held: (OwnedSemaphorePermit, OwnedSemaphorePermit),
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.buffers.give_back(std::mem::take(&mut self.memory));
    }
}

impl Buffers {
    fn take(&self) -> Memory {
        let mut buffers = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        buffers.pop().unwrap_or_default()
    }

    fn give_back(&self, mut memory: Memory) {
        for block in &mut memory {
            zeroize::Zeroize::zeroize(AsMut::<[u64]>::as_mut(block));
        }
        if memory.len() > self.kept_blocks {
            return;
        }
        let mut buffers = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        buffers.push(memory);
    }
}

impl std::fmt::Debug for Buffers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Buffers(…)")
    }
}

impl From<PoolError> for Error {
    fn from(error: PoolError) -> Self {
        Self::new(
            ErrorKind::Unavailable,
            match error {
                PoolError::Busy => "too many keys are being verified at once",
                PoolError::Failed => "hashing a key failed",
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn never_more_run_at_once_than_permits_even_when_callers_leave() {
        let pool = Arc::new(HashPool::new(2, 1_000, Duration::from_secs(30), 64));
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut callers = Vec::new();
        for _ in 0..100 {
            let (pool, now, most) = (Arc::clone(&pool), Arc::clone(&now), Arc::clone(&most));
            callers.push(tokio::spawn(async move {
                let hash = move |_: &mut Memory| {
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    std::thread::sleep(Duration::from_millis(2));
                    now.fetch_sub(1, Ordering::SeqCst);
                };
                pool.run(hash).await
            }));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        callers
            .iter()
            .step_by(2)
            .for_each(tokio::task::JoinHandle::abort);
        for caller in callers {
            let _ = caller.await;
        }
        while pool.free() < 2 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(most.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_full_queue_and_a_passed_deadline_say_busy_and_a_panic_gives_the_permit_back() {
        let pool = Arc::new(HashPool::new(1, 1, Duration::from_millis(20), 64));
        let running = {
            let pool = Arc::clone(&pool);
            tokio::spawn(async move {
                pool.run(|_| std::thread::sleep(Duration::from_millis(100)))
                    .await
            })
        };
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert_eq!(pool.run_if_free(|_| ()).await, Err(PoolError::Busy));
        let waiting = pool.run(|_| ());
        let (waited, refused) = tokio::join!(waiting, pool.run(|_| ()));
        assert_eq!(
            (waited, refused),
            (Err(PoolError::Busy), Err(PoolError::Busy))
        );
        running.await.unwrap().unwrap();
        assert_eq!(
            pool.run(|_| panic!("planned")).await,
            Err(PoolError::Failed)
        );
        assert_eq!(pool.run(|_| 1).await, Ok(1));
        assert_eq!(pool.run_if_free(|_| 1).await, Ok(1));
    }

    #[tokio::test]
    async fn a_buffer_is_wiped_and_used_again() {
        let pool = HashPool::new(1, 1, Duration::from_secs(5), 64);
        let fill = |memory: &mut Memory| {
            memory.resize(64, Block::default());
            for block in memory.iter_mut() {
                AsMut::<[u64]>::as_mut(block).fill(u64::MAX);
            }
            memory.as_ptr() as usize
        };
        let first = pool.run(fill).await.unwrap();
        let (second, clean) = pool
            .run(|memory| {
                let clean = memory
                    .iter()
                    .all(|b| b.as_ref().iter().all(|&word| word == 0));
                (memory.as_ptr() as usize, clean)
            })
            .await
            .unwrap();
        assert_eq!(first, second);
        assert!(clean);
    }
}
