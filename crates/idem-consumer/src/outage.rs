//! [`Outage`]: how long the store has been away.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::Backoff;

/// How long the store has been away.
#[derive(Default)]
pub(crate) struct Outage(Mutex<Option<Instant>>);

impl Outage {
    /// A failure: how long to put a message off. As long as the outage has lasted, within the bounds:
    /// that doubles by itself, and all who fail in one outage grow together.
    pub(crate) fn delay(&self, backoff: &Backoff) -> Duration {
        let since = *self.since().get_or_insert_with(Instant::now);
        backoff.at_least(since.elapsed())
    }

    pub(crate) fn is_over(&self) {
        *self.since() = None;
    }

    pub(crate) fn lasts(&self) -> bool {
        self.since().is_some()
    }

    fn since(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
