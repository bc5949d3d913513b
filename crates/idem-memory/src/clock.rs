//! [`Clock`]: what a store in memory measures ages and expiry by.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

/// The one clock of a store (rule S4).
///
/// ```
/// use std::time::Duration;
/// use idem_memory::{ManualClock, MemoryConfig, MemoryStore};
///
/// let clock = ManualClock::new();
/// let store = MemoryStore::with_config(MemoryConfig::default().clock(clock.clone()));
/// clock.advance(Duration::from_secs(24 * 3600)); // the retention is over
/// # drop(store);
/// ```
pub trait Clock: Send + Sync {
    /// The time since a moment of the clock's own choice. It never runs backwards, also not from
    /// one thread to another.
    fn now(&self) -> Duration;
}

/// The default: the system's monotonic clock.
///
/// It is read through tokio, which needs no runtime. In a test with tokio's paused time it stands
/// still and is advanced with it (`tokio::time::advance`).
#[derive(Debug, Clone, Copy)]
pub struct MonotonicClock {
    start: Instant,
}

impl MonotonicClock {
    /// A clock that starts at zero now.
    #[must_use]
    pub fn new() -> Self {
        Self {
            start: Instant::now(),
        }
    }
}

impl Default for MonotonicClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for MonotonicClock {
    fn now(&self) -> Duration {
        self.start.elapsed()
    }
}

/// A clock that stands still until it is told: for tests that cannot wait for a retention.
///
/// Clones share their time.
#[derive(Debug, Clone, Default)]
pub struct ManualClock {
    nanos: Arc<AtomicU64>,
}

impl ManualClock {
    /// A clock at zero.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves the time on; it stops after some 580 years.
    pub fn advance(&self, by: Duration) {
        let by = Moment::from(by).0;
        let add = |now: u64| Some(now.saturating_add(by));
        // It gives no refusal, since `add` never says `None`.
        let _ = self
            .nanos
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, add);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Duration {
        Duration::from_nanos(self.nanos.load(Ordering::Acquire))
    }
}

/// A moment by a store's clock, in nanoseconds: half the size of a [`Duration`], and there is one
/// for each of three dates in every record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(u64);

impl Moment {
    pub(crate) fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(Self::from(duration).0))
    }

    pub(crate) fn before(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(Self::from(duration).0))
    }

    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl From<Duration> for Moment {
    fn from(since_start: Duration) -> Self {
        Self(u64::try_from(since_start.as_nanos()).unwrap_or(u64::MAX))
    }
}
