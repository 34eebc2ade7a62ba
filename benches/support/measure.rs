//! How long, how many instructions, how many allocations.

use std::hint::black_box;
use std::path::Path;
use std::process::{Command, Stdio};

use axum::body::Body;
use http::Request;
use rustix::time::{ClockId, clock_gettime};

use super::cases::{Entrant, World};
use super::load::{BATCH, Dice};

/// Nanoseconds that this thread has run so far. What other threads take does not count.
pub fn thread_nanos() -> u64 {
    nanos(ClockId::ThreadCPUTime)
}

/// Nanoseconds on a clock that never runs backwards.
pub fn wall_nanos() -> u64 {
    nanos(ClockId::Monotonic)
}

fn nanos(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000
        + u64::try_from(time.tv_nsec).unwrap_or(0)
}

/// Has a service serve so many batches and returns the nanoseconds of a request.
pub fn round(entrant: &mut Entrant, world: &World, batches: usize, seed: u64) -> f64 {
    // Others ran in between: let the caches fill again.
    entrant.warm_up();
    world.breathe();
    let mut batch = Vec::with_capacity(BATCH);
    let mut dice = Dice::new(seed);
    let mut spent = 0;
    let warm_up = batches / 8;
    for number in 0..warm_up + batches {
        let (shape, popularity) = (&entrant.shape, &entrant.popularity);
        shape.fill(&mut batch, BATCH, popularity, &mut dice);
        let start = thread_nanos();
        let statuses = entrant.serve(black_box(&mut batch));
        let end = thread_nanos();
        entrant.check(statuses, BATCH);
        if number >= warm_up {
            spent += end - start;
        }
    }
    spent as f64 / (batches * BATCH) as f64
}

/// What rounds came to.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    /// A quarter of the rounds was below this.
    pub lower: f64,
    /// Half of them.
    pub median: f64,
    /// Three quarters of them.
    pub upper: f64,
}

impl Spread {
    /// Of these rounds, in any order.
    pub fn of(mut rounds: Vec<f64>) -> Self {
        rounds.sort_by(f64::total_cmp);
        let at = |part: f64| {
            let index = (part * rounds.len().saturating_sub(1) as f64).round() as usize;
            rounds.get(index).copied().unwrap_or(f64::NAN)
        };
        Self {
            lower: at(0.25),
            median: at(0.5),
            upper: at(0.75),
        }
    }
}

/// The calls that callgrind counts: it looks for a function of this name.
#[inline(never)]
pub fn counted_requests(entrant: &mut Entrant, batch: &mut Vec<Request<Body>>) -> u64 {
    entrant.serve(batch)
}

/// What the program does that callgrind watches: `count` requests of each entrant, with all
/// preparation outside of [`counted_requests`].
pub fn be_counted(entrants: &mut [Entrant], world: &World, count: usize) {
    for entrant in entrants {
        let mut batch = Vec::with_capacity(count);
        let (shape, popularity) = (&entrant.shape, &entrant.popularity);
        let dice = &mut Dice::new(1);
        shape.fill(&mut batch, count, popularity, dice);
        let statuses = entrant.serve(&mut batch);
        entrant.check(statuses, count);
        world.breathe();
        if entrant.forgets {
            entrant.warm_up();
        }
        for _ in 0..PARTS {
            let (shape, popularity) = (&entrant.shape, &entrant.popularity);
            shape.fill(&mut batch, count / PARTS, popularity, dice);
            let statuses = counted_requests(entrant, &mut batch);
            entrant.check(statuses, count / PARTS);
        }
    }
}

/// In how many parts requests are counted. What counts is the median part, because now and then,
/// by the clock, a cache tidies up.
const PARTS: usize = 9;

/// Runs `program` under callgrind, which is to call [`be_counted`] with these names, and returns
/// the instructions of one request of each. Nothing, if there is no valgrind.
pub fn instructions(
    program: &Path,
    names: &[&str],
    count: usize,
    keys: usize,
    out: &Path,
) -> Option<Vec<f64>> {
    let profile = out.join(format!("callgrind.{}", std::process::id()));
    // Patterns with a star are not heeded by `--dump-after`.
    let function = concat!(module_path!(), "::counted_requests");
    let mut valgrind = Command::new("valgrind");
    valgrind
        .args(["--tool=callgrind", "--collect-atstart=no"])
        .arg(format!("--toggle-collect={function}"))
        .arg(format!("--dump-after={function}"))
        .arg(format!("--callgrind-out-file={}", profile.display()))
        .arg(program)
        .args(["--count", &count.to_string(), "--keys", &keys.to_string()])
        .args(names)
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let output = valgrind.output().ok()?;
    if !output.status.success() {
        eprintln!("{}", String::from_utf8_lossy(&output.stderr));
        return None;
    }
    let mut parts = Vec::new();
    for number in 1..=names.len() * PARTS {
        let part = format!("{}.{number}", profile.display());
        let text = std::fs::read_to_string(&part).ok()?;
        let total = text
            .lines()
            .find_map(|line| {
                line.strip_prefix("totals: ")
                    .or(line.strip_prefix("summary: "))
            })?
            .trim()
            .parse::<f64>()
            .ok()?;
        parts.push(total / (count / PARTS) as f64);
        let _ = std::fs::remove_file(part);
    }
    let _ = std::fs::remove_file(profile);
    let medians = parts.chunks(PARTS);
    let medians = medians.map(|parts| Spread::of(parts.to_vec()).median);
    Some(medians.collect())
}
