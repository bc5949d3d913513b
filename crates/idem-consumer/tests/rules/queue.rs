//! A queue in this process that delivers at least once.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use idem_consumer::{Message, Reason, Source, SourceError};
use tokio::{sync::Notify, time::Instant};

/// Clones are one queue.
#[derive(Clone, Default)]
pub(crate) struct Queue {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
    extended: Notify,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) waiting: VecDeque<Message>,
    /// Messages that are neither acknowledged nor dead.
    pub(crate) open: usize,
    pub(crate) taken: Vec<Instant>,
    pub(crate) acked: usize,
    pub(crate) deferred: Vec<Duration>,
    pub(crate) dead: Vec<String>,
    pub(crate) extended: Vec<Instant>,
    pub(crate) closed: bool,
    /// Calls that fail.
    pub(crate) fail_next: usize,
    pub(crate) fail_dead: usize,
    /// It is set up wrong once so many messages were taken.
    pub(crate) wrong_after: Option<usize>,
    /// How often deliveries are extended; every ten seconds by default.
    pub(crate) extend_every: Option<Duration>,
}

impl Queue {
    pub(crate) fn of(messages: impl IntoIterator<Item = Message>) -> Self {
        let queue = Self::default();
        messages.into_iter().for_each(|message| queue.push(message));
        queue
    }

    pub(crate) fn push(&self, message: Message) {
        let mut state = self.state();
        state.open += 1;
        state.waiting.push_back(message);
        drop(state);
        self.shared.changed.notify_waiters();
    }

    /// Waits until a delivery is extended.
    pub(crate) async fn extended(&self) {
        self.shared.extended.notified().await;
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap()
    }
}

impl Source for Queue {
    type Delivery = Message;

    /// Ends when every message is done with.
    async fn next(&self, _room: usize) -> Result<Option<Message>, SourceError> {
        loop {
            let changed = self.shared.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            {
                let mut state = self.state();
                if state.wrong_after == Some(state.taken.len()) {
                    return Err(SourceError::config("no such queue"));
                }
                if state.fail_next > 0 {
                    state.fail_next -= 1;
                    state.taken.push(Instant::now());
                    return Err(SourceError::away("gone for a moment"));
                }
                if let Some(message) = state.waiting.pop_front() {
                    state.taken.push(Instant::now());
                    return Ok(Some(message));
                }
                if state.open == 0 {
                    return Ok(None);
                }
            }
            changed.await;
        }
    }

    fn message(&self, delivery: &Message) -> Message {
        delivery.clone()
    }

    async fn ack(&self, _: &Message) -> Result<(), SourceError> {
        let mut state = self.state();
        state.acked += 1;
        state.open -= 1;
        drop(state);
        self.shared.changed.notify_waiters();
        Ok(())
    }

    async fn defer(&self, delivery: &Message, delay: Duration) -> Result<(), SourceError> {
        self.state().deferred.push(delay);
        let (queue, message) = (self.clone(), delivery.clone());
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            queue.state().waiting.push_back(message);
            queue.shared.changed.notify_waiters();
        });
        Ok(())
    }

    async fn dead_letter(&self, _: &Message, reason: &Reason) -> Result<(), SourceError> {
        let mut state = self.state();
        if state.fail_dead > 0 {
            state.fail_dead -= 1;
            return Err(SourceError::away("the place for dead letters is gone"));
        }
        state.dead.push(reason.to_header());
        state.open -= 1;
        drop(state);
        self.shared.changed.notify_waiters();
        Ok(())
    }

    fn extend_every(&self) -> Option<Duration> {
        let every = self.state().extend_every;
        Some(every.unwrap_or(Duration::from_secs(10)))
    }

    async fn extend(&self, _: &Message) -> Result<(), SourceError> {
        self.state().extended.push(Instant::now());
        self.shared.extended.notify_one();
        Ok(())
    }

    async fn close(&self) {
        self.state().closed = true;
    }
}
