//! When the leader of a room asks the store next.

use std::{pin::pin, time::Duration};

use futures_util::future::{Either, select};
use tokio::time::{Instant, sleep_until};

use super::room::Room;
use crate::{
    Idempotency,
    engine::{call::Budget, deadline::deadline},
    store::Watcher,
};

/// Between two questions where the store tells of changes: what it tells may get lost.
const WATCHED_PAUSE: Duration = Duration::from_secs(2);

/// The least time between two questions that a watcher's hints bring about, and between the last
/// question and one at the end of a wait.
pub(super) const FLOOR: Duration = Duration::from_millis(50);

/// What only the leader needs.
pub(super) struct Lead {
    /// The store's notifications, once somebody asked for them.
    pub(super) watcher: Option<Option<Box<dyn Watcher>>>,
    /// The next question, and the last one; none before the first.
    next: Option<Instant>,
    pub(super) asked: Option<Instant>,
    /// A notification came since the last question.
    pub(super) hinted: bool,
    /// The last question that a notification brought about.
    pub(super) hint_taken: Option<Instant>,
    pauses: Budget,
}

impl Default for Lead {
    fn default() -> Self {
        Self {
            watcher: None,
            next: None,
            asked: None,
            hinted: false,
            hint_taken: None,
            pauses: Budget::new(Duration::MAX),
        }
    }
}

impl Lead {
    /// The next question after one that found the key in flight: after a pause, and when the lease
    /// ends, which changes nothing in the store, so that nobody would tell.
    pub(super) fn schedule(&mut self, engine: &Idempotency, left: Duration) {
        let pause = match &self.watcher {
            Some(Some(_)) => engine.shared().entropy.jittered(WATCHED_PAUSE),
            _ => self.pauses.next_pause(engine).unwrap_or(WATCHED_PAUSE),
        };
        self.next = Some(deadline(Instant::now(), pause.min(left)));
    }

    /// Waits until it is time to ask: at the next question's time, after a change by this process,
    /// after a hint by the store, or at the end of the leader's own wait.
    pub(super) async fn until_next(&mut self, room: &Room, until: Instant) {
        let Some(mut next) = self.next else {
            return;
        };
        loop {
            let timer = pin!(sleep_until(next.min(until)));
            let changed = pin!(room.changed.notified());
            let waited = match &mut self.watcher {
                Some(Some(watcher)) if !self.hinted => {
                    match select(changed, select(timer, watcher.changed())).await {
                        Either::Right((Either::Right(_), _)) => None,
                        _ => Some(()),
                    }
                }
                _ => {
                    select(changed, timer).await;
                    Some(())
                }
            };
            if waited.is_some() {
                return;
            }
            // The first hint brings a question at once, and the others keep a distance: a watcher
            // that is always ready must not bring more.
            self.hinted = true;
            let earliest = self
                .hint_taken
                .map_or_else(Instant::now, |taken| taken + FLOOR);
            next = next.min(earliest);
            self.next = Some(next);
        }
    }
}
