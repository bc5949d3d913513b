//! How old an intent is.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::Intent;

/// The time since an intent was resumed or first sent, by two clocks: the monotonic one stands still while the
/// machine sleeps, and the wall clock can be set back. The larger of both counts.
pub(super) struct Clock {
    before: Duration,
    monotonic: Instant,
    wall: SystemTime,
}

impl Clock {
    pub(super) fn start(intent: &Intent) -> Self {
        let wall = SystemTime::now();
        Self {
            before: intent.elapsed(wall),
            monotonic: Instant::now(),
            wall,
        }
    }

    pub(super) fn elapsed(&self) -> Duration {
        let wall = self.wall.elapsed().unwrap_or_default();
        let here = self.monotonic.elapsed().max(wall);
        self.before.saturating_add(here)
    }
}
