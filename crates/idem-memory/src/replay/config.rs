//! [`ReplayCacheConfig`]: how much a cache of replays keeps, and how long.

use std::{fmt, sync::Arc, time::Duration};

use crate::clock::{Clock, MonotonicClock};

/// The knobs of a [`ReplayCache`](crate::ReplayCache).
#[derive(Clone)]
pub struct ReplayCacheConfig {
    pub(super) max_bytes: u64,
    pub(super) max_age: Duration,
    pub(super) clock: Arc<dyn Clock>,
}

impl Default for ReplayCacheConfig {
    /// 64 MiB, ten minutes, the system's monotonic clock.
    fn default() -> Self {
        Self {
            max_bytes: 64 << 20,
            max_age: Duration::from_secs(600),
            clock: Arc::new(MonotonicClock::new()),
        }
    }
}

impl ReplayCacheConfig {
    /// About how many bytes of keys and answers to keep. What is asked for least goes first.
    #[must_use]
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// How long an entry is used at most, even if its record has longer to live: for how long an
    /// ended record that was removed by hand elsewhere may still be replayed here.
    #[must_use]
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = age;
        self
    }

    /// The clock that entries are timed by.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }
}

impl fmt::Debug for ReplayCacheConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplayCacheConfig")
            .field("max_bytes", &self.max_bytes)
            .field("max_age", &self.max_age)
            .finish_non_exhaustive()
    }
}
