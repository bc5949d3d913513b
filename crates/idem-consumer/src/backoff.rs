//! [`Backoff`]: how long a message is put off.

use std::time::Duration;

/// Delays that double from a first one up to a longest one, each with up to a quarter on top, so that
/// messages that were put off together do not come back together.
///
/// ```
/// use std::time::Duration;
/// use idem_consumer::Backoff;
///
/// let backoff = Backoff::new(Duration::from_secs(2), Duration::from_secs(120));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
}

impl Default for Backoff {
    /// From one second to one minute.
    fn default() -> Self {
        Self::new(Duration::from_secs(1), Duration::from_secs(60))
    }
}

impl Backoff {
    /// From `first` to `longest`.
    #[must_use]
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest }
    }

    /// After so many failures in a row.
    pub(crate) fn after(&self, failures: u32) -> Duration {
        let doubled = 2_u32.checked_pow(failures.saturating_sub(1));
        self.at_least(self.first.saturating_mul(doubled.unwrap_or(u32::MAX)))
    }

    /// `delay`, but within the bounds.
    pub(crate) fn at_least(&self, delay: Duration) -> Duration {
        self.floor(delay.min(self.longest))
    }

    /// `delay`, but never less than the first one: a message that comes back at once would go round
    /// in a hot loop.
    pub(crate) fn floor(&self, delay: Duration) -> Duration {
        let delay = delay.max(self.first);
        delay.saturating_add(delay.mul_f64(rand::random_range(0.0..0.25)))
    }

    pub(crate) fn first(&self) -> Duration {
        self.first
    }
}

#[cfg(test)]
mod tests {
    use idem_conformance::DURATIONS;

    use super::*;

    #[test]
    fn delays_double_within_their_bounds() {
        let backoff = Backoff::default();
        for (failures, seconds) in [(0, 1), (1, 1), (2, 2), (5, 16), (9, 60), (u32::MAX, 60)] {
            let delay = backoff.after(failures);
            let least = Duration::from_secs(seconds);
            assert!(
                delay >= least && delay < least * 5 / 4,
                "{failures}: {delay:?}"
            );
        }
    }

    #[test]
    fn every_backoff_has_a_delay() {
        for knob in DURATIONS {
            let backoff = Backoff::new(knob, knob);
            for failures in [0, 1, 9, u32::MAX] {
                assert!(backoff.after(failures) >= knob, "{knob:?}");
            }
            assert!(Backoff::default().floor(knob) >= knob, "{knob:?}");
        }
    }
}
