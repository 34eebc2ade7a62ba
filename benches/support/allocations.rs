//! Counting allocations. For programs that are not timed: whoever links the counting allocator
//! pays for it at every allocation.

use allocation_counter::measure;

use crate::support::cases::Entrant;
use crate::support::load::Dice;
use crate::support::measure::Spread;

/// Allocations of one request: the median of so many, each counted by itself, because now and then
/// a cache tidies up.
pub fn per_request(entrant: &mut Entrant, requests: usize) -> f64 {
    let mut dice = Dice::new(7);
    let mut batch = Vec::with_capacity(1);
    let counts = (0..requests).map(|_| {
        let key = entrant.popularity.next(&mut dice);
        batch.push(entrant.shape.request(key));
        let mut statuses = 0;
        let counted = measure(|| statuses = entrant.serve(&mut batch));
        entrant.check(statuses, 1);
        counted.count_total as f64
    });
    Spread::of(counts.collect()).median
}
