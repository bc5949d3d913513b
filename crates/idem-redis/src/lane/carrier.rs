//! [`Errand`]: what a task has to carry to the server, and the tasks that do.
//!
//! A task that carries is 2 KB, which the allocator does not give and take as quickly as less. So it is
//! not made for each load: one that has nothing to carry any more waits for its next errand, and ends
//! with its store or its runtime. An errand that is dropped before it was run, since its runtime was
//! shut down, gives each caller its request back.

use std::{future::poll_fn, sync::Arc, task::Poll};

use tokio::{
    runtime::{self, Handle},
    sync::oneshot,
};

use super::{Shared, load::Load, queue::Queue};

/// What a task is to carry.
pub(super) enum Errand {
    /// What queues up until the task is run.
    Wait(Waiting),
    /// What was taken from the queue already.
    Send(Unsent),
}

/// A task that waits for an errand.
pub(super) struct Idle {
    runtime: runtime::Id,
    errand: oneshot::Sender<Errand>,
}

impl Idle {
    pub(super) fn new(runtime: &Handle) -> (Self, oneshot::Receiver<Errand>) {
        let (errand, next) = oneshot::channel();
        let runtime = runtime.id();
        (Self { runtime, errand }, next)
    }

    /// Whether a task of this runtime. One of another may not run before long.
    pub(super) fn is_on(&self, runtime: &Handle) -> bool {
        self.runtime == runtime.id()
    }

    /// Whether its runtime was shut down.
    pub(super) fn is_gone(&self) -> bool {
        self.errand.is_closed()
    }
}

impl Errand {
    /// Has it run by the idle task, or else by a new one.
    pub(super) fn give(self, idle: Option<Idle>, runtime: &Handle) {
        let refused = match idle {
            Some(idle) => idle.errand.send(self).err(),
            None => Some(self),
        };
        if let Some(errand) = refused {
            runtime.spawn(errand.run());
        }
    }

    /// Runs it, and those that are given to this task afterwards.
    async fn run(self) {
        let mut next = Some(self);
        while let Some(errand) = next {
            let shared = Arc::clone(errand.shared());
            errand.carry(&shared).await;
            let waits = shared.lock().wait_for_errand();
            // Whoever has nothing to carry keeps nothing.
            drop(shared);
            next = match waits {
                Some(errand) => errand.await.ok(),
                None => None,
            };
        }
    }

    /// Sends it, and what queues up meanwhile, as long as there is any.
    async fn carry(self, shared: &Arc<Shared>) {
        let mut next = match self {
            Self::Wait(waiting) => waiting.wait().await,
            Self::Send(unsent) => Some(unsent),
        };
        while let Some(unsent) = next {
            unsent.send().await;
            next = match Waiting::in_advance(shared) {
                Some(waiting) => waiting.wait().await,
                None => None,
            };
        }
    }

    fn shared(&self) -> &Arc<Shared> {
        match self {
            Self::Wait(waiting) => &waiting.shared,
            Self::Send(unsent) => &unsent.shared,
        }
    }
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
    shared: Arc<Shared>,
    in_advance: bool,
    /// It took what waited.
    is_over: bool,
}

impl Waiting {
    /// For what was queued just now.
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        Self {
            shared: Arc::clone(shared),
            in_advance: false,
            is_over: false,
        }
    }

    /// For what will be, so that it needs no task to be woken: callers that were just answered ask
    /// again. One is enough, so none if anybody else waits.
    fn in_advance(shared: &Arc<Shared>) -> Option<Self> {
        let mut queue = shared.lock();
        if queue.in_advance.is_some() || !queue.waiting.is_empty() {
            return None;
        }
        queue.in_advance = Some(Handle::try_current().ok()?.id());
        let mut waiting = Self::new(shared);
        waiting.in_advance = true;
        Some(waiting)
    }

    async fn wait(mut self) -> Option<Unsent> {
        after_what_is_ready().await;
        self.take()
    }

    /// What waits, if any does and this did not take it before.
    fn take(&mut self) -> Option<Unsent> {
        if std::mem::replace(&mut self.is_over, true) {
            return None;
        }
        let mut queue = self.shared.lock();
        if self.in_advance {
            queue.in_advance = None;
        }
        (!queue.waiting.is_empty()).then(|| Unsent::take(&self.shared, &mut queue))
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

    async fn send(mut self) {
        self.load.forget_abandoned();
        let shared = &self.shared;
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
        queue.keep(std::mem::take(&mut self.load));
    }
}
