//! The only reader of time.
//!
//! A request reads the clock once and hands that [`Moment`] to everything that judges it, so two
//! checks of one request never see two times. A moment carries both times there are: the wall
//! time, which expiry dates are written in, and the monotonic time, which limits and waits are
//! measured in and which no clock adjustment can turn back.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// A source of time.
///
/// [`SystemClock`] serves programs; tests use `testing::ManualClock` (feature `testing`).
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// Reads both times.
    ///
    /// The monotonic part must never run backwards between two calls.
    fn now(&self) -> Moment;
}

/// One reading of a [`Clock`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Moment {
    /// The date and time, as people set it.
    pub wall: Timestamp,
    /// Nanoseconds of monotonic time since a start of the clock's own choosing.
    pub ticks: u64,
}

impl Moment {
    /// A moment of the given wall time and monotonic nanoseconds.
    pub const fn new(wall: Timestamp, ticks: u64) -> Self {
        Self { wall, ticks }
    }
}

/// The processor's time stamp counter, kept in step with the operating system's clocks.
///
/// Asking the system for the time costs between 20 nanoseconds and, on some virtual machines, a
/// microsecond; the counter, where there is one that can be relied upon, costs about 10. So a call
/// reads the counter, and about once a second the system's two clocks are asked as well: a step of the
/// wall clock is seen within a second, and so is a counter that was stopped or set back while the
/// machine slept.
#[derive(Debug)]
pub struct SystemClock {
    counter: quanta::Clock,
    start: Instant,
    /// What to add to the counter's nanoseconds (modulo 2^64) to have those since `start`.
    behind: AtomicU64,
    /// Wall time at `start`, in nanoseconds since 1970, as last measured.
    offset: AtomicI64,
    /// When the system was last asked, in monotonic nanoseconds.
    measured_at: AtomicU64,
}

const MEASURE_EVERY: u64 = 1_000_000_000;

/// How far the counter may fall behind. Two readings of two clocks are never of one moment.
const TOLERANCE: i64 = 20_000_000;

impl SystemClock {
    /// A clock that starts now.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the door to the system's clocks"
    )]
    pub fn new() -> Self {
        Self::with(quanta::Clock::new(), Instant::now())
    }

    fn with(counter: quanta::Clock, start: Instant) -> Self {
        let clock = Self {
            counter,
            start,
            behind: AtomicU64::new(0),
            offset: AtomicI64::new(0),
            measured_at: AtomicU64::new(0),
        };
        clock
            .behind
            .store(0_u64.wrapping_sub(clock.counted()), Ordering::Relaxed);
        clock.measure();
        clock
    }

    fn counted(&self) -> u64 {
        self.counter.delta_as_nanos(0, self.counter.raw())
    }

    fn ticks(&self) -> u64 {
        let behind = self.behind.load(Ordering::Relaxed);
        self.counted().wrapping_add(behind)
    }

    #[cold]
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the door to the system's clocks"
    )]
    fn measure(&self) {
        let wall = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_nanos()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |n| -n),
        };
        let elapsed = Instant::now().duration_since(self.start).as_nanos();
        let elapsed = u64::try_from(elapsed).unwrap_or(u64::MAX);
        let counted = self.counted();
        let mut ticks = counted.wrapping_add(self.behind.load(Ordering::Relaxed));
        // Only ever forwards. Whoever measures at the same time comes to the same.
        if elapsed.wrapping_sub(ticks).cast_signed() > TOLERANCE {
            ticks = elapsed;
            self.behind
                .store(elapsed.wrapping_sub(counted), Ordering::Relaxed);
        }
        let since_start = i64::try_from(ticks).unwrap_or(i64::MAX);
        self.offset
            .store(wall.saturating_sub(since_start), Ordering::Relaxed);
        self.measured_at.store(ticks, Ordering::Relaxed);
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Moment {
        let mut ticks = self.ticks();
        // If the counter was set back this is very much, and it is time too.
        if ticks.wrapping_sub(self.measured_at.load(Ordering::Relaxed)) >= MEASURE_EVERY {
            self.measure();
            ticks = self.ticks();
        }
        let offset = self.offset.load(Ordering::Relaxed);
        let wall = offset.saturating_add(i64::try_from(ticks).unwrap_or(i64::MAX));
        Moment::new(Timestamp::from_millis(wall.div_euclid(1_000_000)), ticks)
    }
}

/// A date and time with millisecond precision, printed and parsed as RFC 3339 in UTC.
///
/// ```
/// use mcp_api_keys::Timestamp;
///
/// let time: Timestamp = "2026-07-28T10:00:00Z".parse()?;
/// assert_eq!(time.as_millis(), 1_785_232_800_000);
/// assert_eq!(time.to_string(), "2026-07-28T10:00:00Z");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timestamp(i64);

impl Timestamp {
    /// The earliest and the latest time that RFC 3339 can name.
    const RANGE: (i64, i64) = (-62_135_596_800_000, 253_402_207_199_999);

    /// The time `millis` milliseconds after the start of 1970 (UTC), held within the years 1 to
    /// 9999.
    pub const fn from_millis(millis: i64) -> Self {
        if millis < Self::RANGE.0 {
            Self(Self::RANGE.0)
        } else if millis > Self::RANGE.1 {
            Self(Self::RANGE.1)
        } else {
            Self(millis)
        }
    }

    /// Milliseconds since the start of 1970 (UTC).
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// This time plus `duration`, at most the end of year 9999.
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self::from_millis(self.0.saturating_add(millis))
    }

    /// This time less `duration`, at least the start of year 1.
    #[must_use]
    pub fn saturating_sub(self, duration: Duration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self::from_millis(self.0.saturating_sub(millis))
    }

    /// How long it takes from `earlier` to this time; zero if it is the other way round.
    pub fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// The beginning of the day (UTC) that this time is in, and of the next one.
    pub(crate) fn day(self) -> (Self, Self) {
        let start = self.0 - self.0.rem_euclid(DAY);
        (
            Self::from_millis(start),
            Self::from_millis(start.saturating_add(DAY)),
        )
    }

    /// The beginning of the month (UTC) that this time is in, and of the next one.
    pub(crate) fn month(self) -> (Self, Self) {
        let date = jiff::Timestamp::from_millisecond(self.0)
            .map(|time| time.to_zoned(jiff::tz::TimeZone::UTC).date());
        let Ok(date) = date else { return self.day() };
        let midnight = |date: jiff::civil::Date| {
            date.to_zoned(jiff::tz::TimeZone::UTC)
                .map(|time| Self::from_millis(time.timestamp().as_millisecond()))
        };
        let next = date
            .last_of_month()
            .tomorrow()
            .and_then(midnight)
            .unwrap_or(Self(Self::RANGE.1));
        (midnight(date.first_of_month()).unwrap_or(self), next)
    }
}

/// A day's length in milliseconds: those that computers count have no leap seconds.
const DAY: i64 = 86_400_000;

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        let millis = match time.duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_millis()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |n| -n),
        };
        Self::from_millis(millis)
    }
}

impl From<Timestamp> for String {
    fn from(time: Timestamp) -> Self {
        time.to_string()
    }
}

impl TryFrom<String> for Timestamp {
    type Error = ParseTimestampError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl FromStr for Timestamp {
    type Err = ParseTimestampError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let time: jiff::Timestamp = text.parse().map_err(ParseTimestampError)?;
        Ok(Self::from_millis(time.as_millisecond()))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(time) => fmt::Display::fmt(&time, f),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is no RFC 3339 date and time.
#[derive(Debug)]
pub struct ParseTimestampError(jiff::Error);

impl fmt::Display for ParseTimestampError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a date and time such as 2026-07-28T10:00:00Z")
    }
}

impl std::error::Error for ParseTimestampError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "to compare with")]
    fn the_system_clock_agrees_with_the_system() {
        let clock = SystemClock::new();
        let now = clock.now().wall;
        let system = Timestamp::from(SystemTime::now());
        assert!(system.saturating_since(now) < Duration::from_secs(2));
        assert!(now.saturating_since(system) < Duration::from_secs(2));
    }

    #[test]
    fn ticks_never_run_backwards() {
        let clock = SystemClock::new();
        let mut last = 0;
        for _ in 0..10_000 {
            let now = clock.now().ticks;
            assert!(now >= last);
            last = now;
        }
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "to have a start in the past")]
    fn a_counter_that_was_set_back_is_caught_up_with() {
        let (counter, hand) = quanta::Clock::mock();
        hand.increment(3_600 * MEASURE_EVERY);
        let start = Instant::now();
        let clock = SystemClock::with(counter, start);
        hand.increment(MEASURE_EVERY / 2);
        let before = clock.now().ticks;
        assert!(before >= MEASURE_EVERY / 2);
        // The machine slept, and the counter began anew.
        hand.decrement(3_000 * MEASURE_EVERY);
        let after = clock.now().ticks;
        let elapsed = u64::try_from(start.elapsed().as_nanos()).unwrap();
        assert!(after <= elapsed, "{after} {elapsed}");
        let tolerance = TOLERANCE.cast_unsigned();
        assert!(after.saturating_add(tolerance) >= elapsed, "{after}");
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "to have a start in the past")]
    fn a_counter_that_falls_behind_is_caught_up_with() {
        let (counter, hand) = quanta::Clock::mock();
        let start = Instant::now() - Duration::from_secs(100);
        let clock = SystemClock::with(counter, start);
        let first = clock.now().ticks;
        assert!((100 * MEASURE_EVERY..200 * MEASURE_EVERY).contains(&first));
        hand.increment(MEASURE_EVERY / 10);
        assert_eq!(clock.now().ticks, first + MEASURE_EVERY / 10);
    }

    #[test]
    fn extreme_times_are_held_within_what_can_be_printed() {
        for millis in [i64::MIN, i64::MAX, 0, -1] {
            let time = Timestamp::from_millis(millis);
            assert_eq!(time.to_string().parse::<Timestamp>().unwrap(), time);
        }
    }

    #[test]
    fn days_and_months_begin_at_midnight() {
        let texts = |(from, to): (Timestamp, Timestamp)| [from.to_string(), to.to_string()];
        let leap: Timestamp = "2028-02-29T23:59:59.999Z".parse().unwrap();
        let next = "2028-03-01T00:00:00Z";
        assert_eq!(texts(leap.day()), ["2028-02-29T00:00:00Z", next]);
        assert_eq!(texts(leap.month()), ["2028-02-01T00:00:00Z", next]);
        let (from, to) = leap.month().1.month();
        assert_eq!(texts((from, to)), [next, "2028-04-01T00:00:00Z"]);
        let before_1970 = Timestamp::from_millis(-1).day();
        assert_eq!(before_1970.1, Timestamp::from_millis(0));
        for extreme in [i64::MIN, i64::MAX].map(Timestamp::from_millis) {
            assert!(extreme.month().0 <= extreme);
        }
    }

    #[test]
    fn nonsense_is_refused_with_its_cause() {
        let error = "tomorrow".parse::<Timestamp>().unwrap_err();
        assert!(std::error::Error::source(&error).is_some());
    }
}
