//! [`History`]: calls, in the order of their invocation.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// One call, and what is known of its reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call<C, R> {
    /// Who called; for people.
    pub client: usize,
    /// When, since the history began.
    pub invoked: Duration,
    /// When the reply came, and what it was; `None` where it is unknown.
    pub replied: Option<(Duration, R)>,
    /// When a call without a reply can take effect at the latest; `None` for ever.
    pub void_after: Option<Duration>,
    /// What was called.
    pub call: C,
}

/// Collects calls from any number of tasks; clones share it. Times are tokio's, so that paused
/// time works as well.
pub struct History<C, R> {
    began: Instant,
    calls: Arc<Mutex<Vec<Call<C, R>>>>,
}

impl<C: Clone, R: Clone> History<C, R> {
    /// An empty history that begins now.
    #[must_use]
    pub fn new() -> Self {
        Self::since(Instant::now())
    }

    /// An empty history whose times count from a moment that other histories share.
    #[must_use]
    pub fn since(began: Instant) -> Self {
        Self {
            began,
            calls: Arc::default(),
        }
    }

    /// Takes note of a call that is about to be made.
    ///
    /// Dropped without a reply its outcome stays unknown, which is what a caller that was dropped
    /// half-way knows of it.
    pub fn invoke(&self, client: usize, call: C) -> Pending<C, R> {
        let mut calls = self.lock();
        calls.push(Call {
            client,
            // Read under the lock: calls stand in the order of their invocation.
            invoked: self.began.elapsed(),
            replied: None,
            void_after: None,
            call,
        });
        Pending {
            history: self.clone(),
            number: calls.len() - 1,
        }
    }

    /// What was collected so far.
    #[must_use]
    pub fn calls(&self) -> Vec<Call<C, R>> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Call<C, R>>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C: Clone, R: Clone> Default for History<C, R> {
    fn default() -> Self {
        Self::new()
    }
}

impl<C, R> Clone for History<C, R> {
    fn clone(&self) -> Self {
        Self {
            began: self.began,
            calls: Arc::clone(&self.calls),
        }
    }
}

impl<C, R> fmt::Debug for History<C, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("History").finish_non_exhaustive()
    }
}

/// A call under way.
#[must_use = "note the reply, or drop it where there is none"]
pub struct Pending<C, R> {
    history: History<C, R>,
    number: usize,
}

impl<C: Clone, R: Clone> Pending<C, R> {
    /// Takes note of the reply.
    pub fn replied(self, reply: R) {
        let mut calls = self.history.lock();
        let at = self.history.began.elapsed();
        calls[self.number].replied = Some((at, reply));
    }

    /// Takes note that there is no reply, and that the call cannot take effect any more after this
    /// time from now: nothing of it is under way any longer.
    pub fn lost(self, lingers: Duration) {
        let mut calls = self.history.lock();
        let at = self.history.began.elapsed();
        calls[self.number].void_after = Some(at + lingers);
    }
}

impl<C, R> fmt::Debug for Pending<C, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending").finish_non_exhaustive()
    }
}
