//! A queue that delivers at least once, as all queues do that survive a crash.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use tokio::sync::Notify;

use crate::job::Job;

/// Cheap to clone; clones are one queue.
#[derive(Clone, Default)]
pub(crate) struct Queue {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Job>,
    /// Deliveries that are not done with: waiting, at a worker, or due later.
    open: usize,
    delivered: usize,
}

impl Queue {
    pub(crate) fn push(&self, job: Job) {
        let mut state = self.state();
        state.open += 1;
        state.waiting.push_back(job);
        drop(state);
        self.shared.changed.notify_waiters();
    }

    /// The next delivery; none once every one is done with. It has to be followed by
    /// [`done`](Self::done) or [`again`](Self::again).
    pub(crate) async fn next(&self) -> Option<Job> {
        loop {
            let changed = self.shared.changed.notified();
            tokio::pin!(changed);
            // From here on a change is not missed.
            changed.as_mut().enable();
            {
                let mut state = self.state();
                if let Some(job) = state.waiting.pop_front() {
                    state.delivered += 1;
                    return Some(job);
                }
                if state.open == 0 {
                    return None;
                }
            }
            changed.await;
        }
    }

    /// The worker is done with a delivery.
    pub(crate) fn done(&self) {
        self.state().open -= 1;
        self.shared.changed.notify_waiters();
    }

    /// The worker was not: it died, or came too early. Delivers the job again after some time.
    pub(crate) fn again(&self, job: Job, after: Duration) {
        let queue = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            queue.state().waiting.push_back(job);
            queue.shared.changed.notify_waiters();
        });
    }

    /// How often anything was delivered.
    pub(crate) fn delivered(&self) -> usize {
        self.state().delivered
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared
            .state
            .lock()
            .expect("nothing that runs under this lock panics")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Kind;

    fn job(number: u32) -> Job {
        Job {
            kind: Kind::Payout,
            number,
        }
    }

    #[tokio::test]
    async fn a_delivery_that_is_not_done_comes_again() {
        let queue = Queue::default();
        queue.push(job(1));
        let first = queue.next().await.unwrap();
        queue.again(first, Duration::ZERO);
        assert_eq!(queue.next().await, Some(job(1)));
        queue.done();
        assert_eq!(queue.next().await, None);
        assert_eq!(queue.delivered(), 2);
    }

    #[tokio::test]
    async fn who_waits_is_told_of_the_end() {
        let queue = Queue::default();
        queue.push(job(1));
        queue.next().await.unwrap();
        let other = tokio::spawn({
            let queue = queue.clone();
            async move { queue.next().await }
        });
        tokio::task::yield_now().await;
        queue.done();
        assert_eq!(other.await.unwrap(), None);
    }
}
