//! The store's clock (rule S4).

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Microseconds since 1970 by the store's clock, which need not be the wall's.
pub(crate) type Moment = u64;

/// Runs on from where it was started, whatever becomes of the wall clock meanwhile.
///
/// An age has to survive a restart, so the clock starts at the wall's time, which went on while the
/// store was closed. If somebody turned the wall clock back meanwhile, it starts at the last write
/// instead: ages may stand still then, which makes leases longer, but never run backwards.
#[derive(Debug)]
pub(crate) struct Clock {
    start: Moment,
    started: Instant,
}

impl Clock {
    pub(crate) fn starting_after(last_write: Moment) -> Self {
        let wall = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            start: micros(wall).max(last_write),
            started: Instant::now(),
        }
    }

    pub(crate) fn now(&self) -> Moment {
        self.start.saturating_add(micros(self.started.elapsed()))
    }
}

/// In whole microseconds, rounded up: nothing goes before its ttl (rule S6).
pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1000)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s4_a_wall_clock_that_was_turned_back_turns_no_age_back() {
        let far_ahead = Clock::starting_after(0).now() + 3_600_000_000;
        let clock = Clock::starting_after(far_ahead);
        assert!(clock.now() >= far_ahead);
        assert!(clock.now() < far_ahead + 3_600_000_000);
    }

    #[test]
    fn s6_a_ttl_is_never_cut_short() {
        assert_eq!(micros(Duration::from_nanos(1)), 1);
        assert_eq!(micros(Duration::from_nanos(1000)), 1);
        assert_eq!(micros(Duration::from_nanos(1001)), 2);
        assert_eq!(micros(Duration::MAX), u64::MAX);
    }
}
