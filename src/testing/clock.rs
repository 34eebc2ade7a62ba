//! A clock that stands still until it is told otherwise.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::{Clock, Moment, Timestamp};

/// A [`Clock`] to set by hand. Clones show the same time.
///
/// ```
/// use std::time::Duration;
/// use mcp_api_keys::testing::ManualClock;
/// use mcp_api_keys::{Clock, Timestamp};
///
/// let clock = ManualClock::at("2026-07-28T10:00:00Z".parse()?);
/// let before = clock.now();
/// clock.advance(Duration::from_secs(60));
/// assert_eq!(clock.now().wall.to_string(), "2026-07-28T10:01:00Z");
/// assert_eq!(clock.now().ticks - before.ticks, 60_000_000_000);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ManualClock {
    moment: Arc<Mutex<Moment>>,
}

impl ManualClock {
    /// A clock that shows `wall`; its monotonic time begins at zero.
    pub fn at(wall: Timestamp) -> Self {
        Self {
            moment: Arc::new(Mutex::new(Moment::new(wall, 0))),
        }
    }

    /// Lets time pass: both times move.
    ///
    /// The wall time moves in whole milliseconds; what is less is not carried over.
    pub fn advance(&self, duration: Duration) {
        let ticks = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let mut moment = self.moment();
        moment.wall = moment.wall.saturating_add(duration);
        moment.ticks = moment.ticks.saturating_add(ticks);
    }

    /// Sets the wall time, forwards or backwards, as an administrator or NTP does. The monotonic
    /// time does not move.
    pub fn set_wall(&self, wall: Timestamp) {
        self.moment().wall = wall;
    }

    fn moment(&self) -> MutexGuard<'_, Moment> {
        self.moment.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Moment {
        *self.moment()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_of_the_wall_clock_leaves_the_monotonic_time_alone() {
        let clock = ManualClock::at(Timestamp::from_millis(10_000));
        let other_hand = clock.clone();
        clock.advance(Duration::from_millis(5));
        other_hand.set_wall(Timestamp::from_millis(7));
        assert_eq!(
            clock.now(),
            Moment::new(Timestamp::from_millis(7), 5_000_000)
        );
    }
}
