//! More than can be kept: what is counted is right, what is not is told, what is held is bounded.

#![allow(clippy::disallowed_methods, reason = "it is measured")]

// Not in its file, which a model checker compiles as well.
#[path = "counters/tests.rs"]
mod counters;

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use async_trait::async_trait;

use super::*;
use crate::clock::SystemClock;
use crate::key::{CredentialId, KeyId};
use crate::usage::{
    LastUse, UsageBatch, UsageOutcome, UsagePoint, UsageRequest, UsageRetention, UsageStatus,
};

const KEYS: u128 = 5_000;
const THREADS: u64 = 2;
const COST: u32 = 3;

/// What a sink was told of each key: requests, cost, timed requests, refusals.
type Sums = HashMap<KeyId, [u64; 4]>;

/// Adds up what it is told, and takes its time.
#[derive(Debug, Default)]
struct Slow {
    sums: Mutex<Sums>,
    pause: Duration,
    is_quick: AtomicBool,
}

#[async_trait]
impl UsageSink for Slow {
    async fn write(&self, batch: &UsageBatch) -> Result<(), Error> {
        if !self.is_quick.load(Ordering::Relaxed) {
            tokio::time::sleep(self.pause).await;
        }
        let mut sums = lock(&self.sums);
        for row in &batch.rows {
            let sum = sums.entry(row.key.unwrap()).or_default();
            let refused = match row.outcome {
                UsageOutcome::Allowed => 0,
                UsageOutcome::Denied(_) => row.requests,
            };
            let of_row = [row.requests, row.cost, row.latency.count(), refused];
            sum.iter_mut()
                .zip(of_row)
                .for_each(|(sum, more)| *sum += more);
        }
        Ok(())
    }

    async fn read(&self, _: &UsageRequest) -> Result<Vec<UsagePoint>, Error> {
        Ok(Vec::new())
    }

    async fn last_uses(&self, _: &[KeyId]) -> Result<Vec<(KeyId, LastUse)>, Error> {
        Ok(Vec::new())
    }

    async fn prune(&self, _: UsageRetention, _: Timestamp) -> Result<bool, Error> {
        Ok(false)
    }
}

/// Every seventh request of a key is turned away, every other one is timed.
fn note(number: u64, thread: u64) -> Note<'static> {
    let key = u128::from(number * 31 + thread) % KEYS;
    let is_refused = number.is_multiple_of(7);
    Note {
        key: Some(KeyId::from_u128(key << 64)),
        credential: Some(CredentialId::FIRST),
        carrier: None,
        server: 0,
        operation: Operation::Known(KnownName::Get),
        outcome: u8::from(is_refused),
        status: if is_refused {
            UsageStatus::Denied
        } else {
            UsageStatus::Success
        },
        cost: COST,
        time: number.is_multiple_of(2).then_some((12, 1)),
        address: None,
        is_sighting: false,
    }
}

/// What each key was offered.
fn offered(each: u64) -> Sums {
    let mut sums = Sums::new();
    for thread in 0..THREADS {
        for number in 0..each {
            let note = note(number, thread);
            let sum = sums.entry(note.key.unwrap()).or_default();
            let timed = u64::from(note.time.is_some());
            let more = [1, u64::from(COST), timed, u64::from(note.outcome)];
            sum.iter_mut()
                .zip(more)
                .for_each(|(sum, more)| *sum += more);
        }
    }
    sums
}

/// How much memory the process has in use, in bytes, where the system tells.
fn memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find(|line| line.starts_with("VmRSS:"))?;
    let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes * 1_024)
}

fn is_long() -> bool {
    std::env::var_os("MCP_KEYS_LONG").is_some()
}

/// Offers `each` notes on each of the threads, `rate` in a second in all or as many as they can, to a
/// recorder that holds `rows` rows. Returns what was noted of all of it.
fn storm(each: u64, rate: Option<u64>, rows: usize) -> u64 {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let sink = Arc::new(Slow {
        pause: Duration::from_millis(200),
        ..Slow::default()
    });
    let keeping = Keeping {
        retention: UsageRetention::default(),
        write_every: Duration::from_millis(50),
        rows,
        reason: |_| "other",
    };
    let clock = Arc::new(SystemClock::new());
    let recorder = Recorder::new(Arc::clone(&sink) as _, Vec::new(), clock, keeping);
    runtime.block_on(async { recorder.start() });
    let before = memory();
    let begun = Instant::now();
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            let recorder = Arc::clone(&recorder);
            std::thread::spawn(move || {
                for number in 0..each {
                    if let Some(rate) = rate.filter(|_| number.is_multiple_of(256)) {
                        let due = Duration::from_nanos(number * 1_000_000_000 * THREADS / rate);
                        std::thread::sleep(due.saturating_sub(begun.elapsed()));
                    }
                    let noted = note(number, thread);
                    recorder.note_now(&noted);
                    // That a key was seen counts as no request, whether there is room for it or not.
                    if number.is_multiple_of(100) {
                        let is_sighting = true;
                        let at = recorder.look().wall;
                        recorder.note_sighting(
                            &Note {
                                is_sighting,
                                ..noted
                            },
                            at,
                        );
                    }
                }
            })
        })
        .collect();
    let mut most_rows = 0;
    let mut most_memory = before;
    while threads.iter().any(|thread| !thread.is_finished()) {
        most_rows = most_rows.max(recorder.stats().waiting_rows);
        most_memory = most_memory.max(memory());
        std::thread::sleep(Duration::from_millis(5));
    }
    let time = begun.elapsed();
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
    sink.is_quick.store(true, Ordering::Relaxed);
    runtime.block_on(recorder.flush()).unwrap();

    let stats = recorder.stats();
    let total = each * THREADS;
    let per_second = total as f64 / time.as_secs_f64();
    let grown = most_memory
        .zip(before)
        .map_or(0, |(most, before)| (most - before) >> 20);
    eprintln!(
        "{total} notes at {per_second:.0}/s with room for {rows} rows: {stats:?}, \
         {most_rows} rows at most, {grown} MiB more"
    );
    assert_eq!(stats.noted + stats.dropped, total);
    assert_eq!(stats.written, stats.noted);
    assert!(most_rows <= rows as u64, "{most_rows}");
    // Tests at the same time have memory of their own.
    assert!(!is_long() || grown <= 64, "{grown} MiB");

    let offered = offered(each);
    let kept = lock(&sink.sums);
    let mut sum = 0;
    for (key, [requests, cost, timed, refused]) in &*kept {
        let of_key = offered[key];
        assert!(*requests <= of_key[0] && *timed <= of_key[2] && *refused <= of_key[3]);
        assert_eq!(*cost, requests * u64::from(COST), "{key}");
        sum += requests;
    }
    assert_eq!(sum, stats.noted);
    if stats.dropped == 0 {
        assert_eq!(*kept, offered);
    }
    stats.noted
}

/// A million in a second, with room for every key, for as long as it may take.
#[test]
fn a_million_in_a_second_is_counted_or_told_as_dropped() {
    let each = if is_long() { 5_000_000 } else { 250_000 };
    let noted = storm(each, Some(1_000_000), 100_000);
    assert!(noted > 0);
}

/// As many as two threads can offer, with room for a tenth of what they are about.
#[test]
fn as_many_as_there_can_be_are_counted_or_told_as_dropped() {
    let each = if is_long() { 20_000_000 } else { 500_000 };
    let total = each * THREADS;
    let noted = storm(each, None, 1_000);
    assert!(noted > 0 && noted < total, "some have no room: {noted}");
}
