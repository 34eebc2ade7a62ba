//! How long answers took, in buckets.

use std::time::Duration;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

/// How long requests took until their answer began, counted in 44 fixed buckets: two for each doubling
/// from 32 µs to 67 s, one for what is quicker and one for what is slower.
///
/// A percentile read from it is off by a fifth at the most, within that range. Serialized, it is the number
/// of requests it is about and three percentiles in milliseconds.
///
/// ```
/// use std::time::Duration;
/// use mcp_api_keys::usage::LatencyHistogram;
///
/// let mut latency = LatencyHistogram::default();
/// for millis in 1..=100 {
///     latency.add(Duration::from_millis(millis), 1);
/// }
/// let median = latency.percentile(50.0).ok_or("nothing was timed")?;
/// assert!((45..=55).contains(&median.as_millis()), "{median:?}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LatencyHistogram {
    /// Empty, or one count for each bucket.
    counts: Vec<u64>,
}

/// The exponent of the first bucket's bound, in microseconds.
const FIRST: u32 = 5;

impl LatencyHistogram {
    /// How many buckets there are.
    pub const BUCKETS: usize = 44;

    /// The longest time that the bucket counts; nothing for the last, which has no end, and for what
    /// is no bucket.
    pub fn bound(bucket: usize) -> Option<Duration> {
        if bucket + 1 >= Self::BUCKETS {
            return None;
        }
        let doubled = u32::try_from(bucket / 2).ok()?;
        let whole = 1_u64 << (FIRST + doubled);
        let half = if bucket % 2 == 1 { whole / 2 } else { 0 };
        Some(Duration::from_micros(whole + half))
    }

    /// The bucket for this many nanoseconds.
    pub(crate) fn bucket_of(nanos: u64) -> usize {
        // Bounds belong to the bucket that they end.
        let micros = nanos.div_ceil(1_000).saturating_sub(1);
        if micros >> FIRST == 0 {
            return 0;
        }
        let power = micros.ilog2();
        let half = (micros >> (power - 1)) & 1;
        let bucket = (power - FIRST) * 2 + 1 + u32::from(half == 1);
        usize::try_from(bucket).map_or(Self::BUCKETS - 1, |bucket| bucket.min(Self::BUCKETS - 1))
    }

    /// A histogram of these counts, as [`counts`](Self::counts) gives them. Counts beyond the last bucket are left
    /// out.
    pub fn from_counts(counts: impl IntoIterator<Item = u64>) -> Self {
        let mut all = Self::default();
        for (bucket, count) in counts.into_iter().take(Self::BUCKETS).enumerate() {
            all.add_to(bucket, count);
        }
        all
    }

    /// The count of each bucket; nothing if all are zero.
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// Adds `weight` requests that took so long.
    pub fn add(&mut self, time: Duration, weight: u64) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.add_to(Self::bucket_of(nanos), weight);
    }

    pub(crate) fn add_to(&mut self, bucket: usize, weight: u64) {
        if weight == 0 {
            return;
        }
        if self.counts.is_empty() {
            self.counts = vec![0; Self::BUCKETS];
        }
        if let Some(count) = self.counts.get_mut(bucket) {
            *count = count.saturating_add(weight);
        }
    }

    /// Adds what another histogram holds.
    pub fn merge(&mut self, other: &Self) {
        for (bucket, count) in other.counts.iter().enumerate() {
            self.add_to(bucket, *count);
        }
    }

    /// How many requests it is about.
    pub fn count(&self) -> u64 {
        self.counts.iter().copied().fold(0, u64::saturating_add)
    }

    /// The time within which `percent` of 100 requests were answered, estimated within its bucket;
    /// nothing if none was timed. Of what took longer than the last bound, that bound.
    pub fn percentile(&self, percent: f64) -> Option<Duration> {
        let total = self.count();
        if total == 0 {
            return None;
        }
        let rank = (percent.clamp(0.0, 100.0) / 100.0) * as_f64(total);
        let (mut below, mut lower) = (0.0, Duration::ZERO);
        for (bucket, count) in self.counts.iter().enumerate() {
            let Some(upper) = Self::bound(bucket) else {
                break;
            };
            let inside = as_f64(*count);
            if *count > 0 && below + inside >= rank {
                let share = ((rank - below) / inside).clamp(0.0, 1.0);
                return Some(lower + (upper - lower).mul_f64(share));
            }
            below += inside;
            lower = upper;
        }
        Some(lower)
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a percentile of 2^53 requests and more is no less true for being rounded"
)]
fn as_f64(count: u64) -> f64 {
    count as f64
}

impl Serialize for LatencyHistogram {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let millis = |percent| {
            let time: Option<Duration> = self.percentile(percent);
            time.map(|time| (time.as_secs_f64() * 1e6).round() / 1e3)
        };
        let mut map = to.serialize_map(Some(4))?;
        map.serialize_entry("timed", &self.count())?;
        map.serialize_entry("p50_ms", &millis(50.0))?;
        map.serialize_entry("p90_ms", &millis(90.0))?;
        map.serialize_entry("p99_ms", &millis(99.0))?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_time_is_in_the_bucket_whose_bounds_hold_it() {
        let mut nanos = 1_u64;
        while nanos < 1_000_000_000_000 {
            let bucket = LatencyHistogram::bucket_of(nanos);
            let time = Duration::from_nanos(nanos);
            if let Some(upper) = LatencyHistogram::bound(bucket) {
                assert!(time <= upper, "{time:?} in {bucket}");
            }
            if bucket > 0 {
                let lower = LatencyHistogram::bound(bucket - 1).unwrap();
                assert!(time > lower, "{time:?} in {bucket}");
            }
            nanos += nanos / 10 + 1;
        }
        assert_eq!(LatencyHistogram::bucket_of(0), 0);
        assert_eq!(
            LatencyHistogram::bucket_of(u64::MAX),
            LatencyHistogram::BUCKETS - 1
        );
        let last = LatencyHistogram::bound(LatencyHistogram::BUCKETS - 2);
        assert_eq!(last, Some(Duration::from_micros(1 << 26)));
        assert_eq!(LatencyHistogram::bound(LatencyHistogram::BUCKETS - 1), None);
    }

    #[test]
    fn percentiles_are_within_a_fifth() {
        let mut latency = LatencyHistogram::default();
        assert_eq!(latency.percentile(50.0), None);
        for millis in 1..=1_000 {
            latency.add(Duration::from_millis(millis), 3);
        }
        assert_eq!(latency.count(), 3_000);
        for percent in [1.0, 10.0, 50.0, 90.0, 99.0, 100.0] {
            let time = latency.percentile(percent).unwrap().as_secs_f64() * 1e3;
            let truth = percent * 10.0;
            assert!((time / truth - 1.0).abs() < 0.2, "{percent}: {time}");
        }
    }

    #[test]
    fn what_has_no_bound_is_told_as_the_last_one() {
        let mut latency = LatencyHistogram::default();
        latency.add(Duration::from_secs(3_600), 1);
        let longest = Duration::from_micros(1 << 26);
        assert_eq!(latency.percentile(50.0), Some(longest));
    }

    #[test]
    fn counts_go_round() {
        let mut latency = LatencyHistogram::default();
        latency.add(Duration::from_millis(5), 2);
        let again = LatencyHistogram::from_counts(latency.counts().iter().copied());
        assert_eq!(again, latency);
        assert_eq!(
            LatencyHistogram::from_counts([0, 0]),
            LatencyHistogram::default()
        );
        latency.merge(&again);
        assert_eq!(latency.count(), 4);
    }
}
