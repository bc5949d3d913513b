//! [`Queue`]: what waits to be sent, and who carries it.

use std::{future::poll_fn, sync::Arc, task::Poll};

use tokio::runtime::{self, Handle};

use super::{Answered, Request, Shared, load::Load};

/// All callers write to this, from all threads: what they only read keeps out of its cache line.
#[repr(align(128))]
pub(super) struct Apart<T>(pub(super) T);

#[derive(Default)]
pub(super) struct Queue {
    /// Requests that were made and not answered.
    under_way: usize,
    /// The most that were lately.
    busiest: usize,
    pub(super) waiting: Load,
    /// The runtime of a task that waits for what queues up next.
    in_advance: Option<runtime::Id>,
    /// Room for the next ones, from those before.
    spare: Vec<Load>,
}

/// What waits goes at once, and not when the runtime comes to it, if it is such a part of what is under
/// way in busy moments: while one part is made, others are on their way to the server, with it and on
/// their way back. Fewer and larger parts would let client and server wait for each other.
const PARTS: usize = 4;

/// Fewer do not go at once: they are not worth it.
const FEWEST: usize = 4;

/// So many go at once in any case.
const MOST: usize = 128;

/// A busy moment counts for about so many loads.
const REMEMBERED: usize = 32;

/// So many loads are under way at once that their room is kept.
const SPARES: usize = 8;

impl Queue {
    /// Whether a task of this runtime will send what queues up. One of another may not run before long:
    /// a runtime may be made for one thread, which drives it now and then.
    pub(super) fn is_awaited_on(&self, runtime: &Handle) -> bool {
        self.in_advance == Some(runtime.id())
    }

    pub(super) fn under_way(&self) -> usize {
        self.under_way
    }

    pub(super) fn count(&mut self) {
        self.under_way += 1;
        self.busiest = self.busiest.max(self.under_way);
    }

    fn uncount(&mut self, n: usize) {
        self.under_way -= n;
    }

    /// Whether what waits should go at once.
    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() >= (self.busiest / PARTS).clamp(FEWEST, MOST)
    }

    /// Takes what waits, and leaves room for more.
    fn take(&mut self) -> Load {
        let calmer = self.busiest - self.busiest.div_ceil(REMEMBERED);
        self.busiest = calmer.max(self.under_way);
        std::mem::replace(&mut self.waiting, self.spare.pop().unwrap_or_default())
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
pub(super) struct Waiting {
    /// None once it took what waited.
    shared: Option<Arc<Shared>>,
    in_advance: bool,
}

impl Waiting {
    /// For what was queued just now.
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        Self {
            shared: Some(Arc::clone(shared)),
            in_advance: false,
        }
    }

    /// For what will be, so that it needs no task of its own: callers that were just answered ask
    /// again. One is enough, so none if anybody else waits.
    fn in_advance(shared: &Arc<Shared>) -> Option<Self> {
        let mut queue = shared.lock();
        if queue.in_advance.is_some() || !queue.waiting.is_empty() {
            return None;
        }
        queue.in_advance = Some(Handle::try_current().ok()?.id());
        Some(Self {
            shared: Some(Arc::clone(shared)),
            in_advance: true,
        })
    }

    /// Sends what queues up.
    pub(super) async fn carry(self) {
        if let Some(unsent) = self.wait().await {
            unsent.carry().await;
        }
    }

    async fn wait(mut self) -> Option<Unsent> {
        after_what_is_ready().await;
        self.take()
    }

    /// What waits, if any does and this did not take it before.
    fn take(&mut self) -> Option<Unsent> {
        let shared = self.shared.take()?;
        let mut queue = shared.lock();
        if self.in_advance {
            queue.in_advance = None;
        }
        (!queue.waiting.is_empty()).then(|| Unsent::take(&shared, &mut queue))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        // Goes back to its callers.
        drop(self.take());
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
        let load = queue.take();
        Self {
            shared: Arc::clone(shared),
            n: load.len(),
            load,
        }
    }

    /// Sends them, and what queues up meanwhile, as long as there is any.
    pub(super) async fn carry(self) {
        let shared = Arc::clone(&self.shared);
        let mut next = Some(self);
        while let Some(unsent) = next {
            unsent.send().await;
            next = match Waiting::in_advance(&shared) {
                Some(waiting) => waiting.wait().await,
                None => None,
            };
        }
    }

    async fn send(mut self) {
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
        queue.uncount(self.n);
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
        self.0.lock().uncount(1);
    }
}

#[cfg(test)]
mod tests {
    use redis::Cmd;
    use tokio::sync::oneshot;

    use super::*;

    fn wait_for_the_next(queue: &mut Queue) {
        queue.count();
        let (caller, _) = oneshot::channel();
        queue.waiting.add(Request::Read(Cmd::new()), caller);
    }

    /// How many wait when the queue is full for the first time.
    fn full_with(queue: &mut Queue) -> usize {
        while !queue.is_full() {
            wait_for_the_next(queue);
        }
        queue.take().len()
    }

    #[test]
    fn what_goes_at_once_is_a_part_of_what_is_under_way() {
        let mut queue = Queue::default();
        assert_eq!(full_with(&mut queue), FEWEST);
        for _ in 0..60 {
            queue.count();
        }
        assert_eq!(full_with(&mut queue), queue.under_way() / PARTS);
        for _ in 0..10_000 {
            queue.count();
        }
        assert_eq!(full_with(&mut queue), MOST);
    }

    #[test]
    fn a_busy_moment_is_forgotten_by_and_by() {
        let mut queue = Queue::default();
        for _ in 0..256 {
            queue.count();
        }
        queue.uncount(256);
        assert!(full_with(&mut queue) > FEWEST);
        queue.uncount(queue.under_way());
        for _ in 0..10 * REMEMBERED {
            queue.take();
        }
        assert_eq!(full_with(&mut queue), FEWEST);
    }
}
