//! [`Queue`]: what waits to be sent, and how much of it goes at once.

use tokio::{
    runtime::{self, Handle},
    sync::oneshot,
};

use super::{
    Answered, Request, Shared,
    carrier::{Errand, Idle},
    load::Load,
};

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
    pub(super) in_advance: Option<runtime::Id>,
    /// Room for the next ones, from those before.
    spare: Vec<Load>,
    /// Tasks that have nothing to carry.
    idle: Vec<Idle>,
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

/// So many loads are under way at once that their room is kept, and the tasks that carried them.
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

    pub(super) fn uncount(&mut self, n: usize) {
        self.under_way -= n;
    }

    /// Whether what waits should go at once.
    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() >= (self.busiest / PARTS).clamp(FEWEST, MOST)
    }

    /// Takes what waits, and leaves room for more.
    pub(super) fn take(&mut self) -> Load {
        let calmer = self.busiest - self.busiest.div_ceil(REMEMBERED);
        self.busiest = calmer.max(self.under_way);
        std::mem::replace(&mut self.waiting, self.spare.pop().unwrap_or_default())
    }

    /// Keeps the room of one that was carried.
    pub(super) fn keep(&mut self, load: Load) {
        if self.spare.len() < SPARES {
            self.spare.push(load);
        }
    }

    /// The task of this runtime that was idle last.
    pub(super) fn idle_on(&mut self, runtime: &Handle) -> Option<Idle> {
        let idle = &mut self.idle;
        let at = idle.iter().rposition(|idle| idle.is_on(runtime))?;
        Some(idle.swap_remove(at))
    }

    /// Has the current task wait for its next errand; `None` if enough others do.
    pub(super) fn wait_for_errand(&mut self) -> Option<oneshot::Receiver<Errand>> {
        if self.idle.len() == SPARES {
            self.idle.retain(|idle| !idle.is_gone());
        }
        if self.idle.len() == SPARES {
            return None;
        }
        let (idle, errand) = Idle::new(&Handle::try_current().ok()?);
        self.idle.push(idle);
        Some(errand)
    }
}

/// What becomes of a request that queued up.
pub(super) enum Said {
    Answer(Answered),
    /// It was not sent, and is its caller's again. Boxed, as it is rare.
    Unsent(Box<Request>),
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
