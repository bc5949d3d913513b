//! [`Queue`]: what waits to be sent, and who carries it.

use std::{future::poll_fn, sync::Arc, task::Poll};

use super::{Answered, FULL, OVERFULL, Request, Shared, load::Load};

/// All callers write to this, from all threads: what they only read keeps out of its cache line.
#[repr(align(128))]
pub(super) struct Apart<T>(pub(super) T);

#[derive(Default)]
pub(super) struct Queue {
    /// Requests that were made and not answered.
    pub(super) under_way: usize,
    pub(super) waiting: Load,
    /// Room for the next ones, from those before.
    spare: Vec<Load>,
}

/// So many loads are under way at once that their room is kept.
const SPARES: usize = 8;

impl Queue {
    /// Whether what waits should go at once.
    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() >= (self.under_way / 2).clamp(FULL, OVERFULL)
    }
}

/// What becomes of a request that queued up.
pub(super) enum Said {
    Answer(Answered),
    /// It was not sent, and is its caller's again. Boxed, as it is rare.
    Unsent(Box<Request>),
}

/// Comes back when the runtime's thread has run the tasks that are ready now. Tokio's `yield_now`
/// looks for input first, and wakes another thread.
async fn after_what_is_ready() {
    let mut is_back = false;
    poll_fn(|cx| match std::mem::replace(&mut is_back, true) {
        true => Poll::Ready(()),
        false => {
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await;
}

/// Waits for what queues up. A runtime that is shut down drops its tasks, also those that never ran,
/// and nobody else would take it.
pub(super) struct Waiting(Option<Arc<Shared>>);

impl Waiting {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        Self(Some(Arc::clone(shared)))
    }

    pub(super) async fn carry(mut self) {
        after_what_is_ready().await;
        if let Some(shared) = self.0.take() {
            let unsent = Unsent::take(&shared, &mut shared.lock());
            unsent.carry().await;
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(shared) = &self.0 {
            let unsent = Unsent::take(shared, &mut shared.lock());
            drop(unsent);
        }
    }
}

/// Requests that are about to be sent. Dropped before that, they go back to their callers.
pub(super) struct Unsent {
    shared: Arc<Shared>,
    load: Load,
    /// How many they were.
    n: usize,
}

impl Unsent {
    /// All that waits.
    pub(super) fn take(shared: &Arc<Shared>, queue: &mut Queue) -> Self {
        let spare = queue.spare.pop().unwrap_or_default();
        let load = std::mem::replace(&mut queue.waiting, spare);
        Self {
            shared: Arc::clone(shared),
            n: load.len(),
            load,
        }
    }

    pub(super) async fn carry(mut self) {
        self.load.forget_abandoned();
        let shared = Arc::clone(&self.shared);
        let Some(server) = shared.connection.server() else {
            return;
        };
        if !self.load.is_empty() {
            // From here on nothing goes back.
            let mut sent = std::mem::take(&mut self.load);
            let wait = shared.wait.as_ref();
            sent.deliver(server, &shared.replace, wait).await;
            self.load = sent;
        }
    }
}

impl Drop for Unsent {
    fn drop(&mut self) {
        self.load.hand_back();
        let mut queue = self.shared.lock();
        queue.under_way -= self.n;
        if queue.spare.len() < SPARES {
            queue.spare.push(std::mem::take(&mut self.load));
        }
    }
}

/// A request that is under way by itself.
pub(super) struct Counted<'a>(&'a Shared);

impl<'a> Counted<'a> {
    /// One that was counted.
    pub(super) fn new(shared: &'a Shared) -> Self {
        Self(shared)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.lock().under_way -= 1;
    }
}
