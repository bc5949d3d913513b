//! Trying again, with pauses, within a time.

use std::time::Duration;

use tokio::time::{Instant, sleep};

const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// How long to go on trying, and the pause before the next time.
pub(super) struct Patience {
    /// `None` is without end.
    until: Option<Instant>,
    pause: Duration,
}

impl Patience {
    pub(super) fn new(limit: Duration) -> Self {
        Self {
            until: Instant::now().checked_add(limit),
            pause: FIRST_PAUSE,
        }
    }

    /// Sleeps before the next try; `false` when there is to be none.
    pub(super) async fn pause(&mut self) -> bool {
        if self.until.is_some_and(|until| Instant::now() >= until) {
            return false;
        }
        sleep(self.pause.mul_f64(rand::random_range(0.5..1.0))).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        true
    }
}
