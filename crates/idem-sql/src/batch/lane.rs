//! A lane: one connection, one batch after the other, for as long as there are calls.

use std::sync::Arc;

use super::{Lanes, Shared, UnderWay, job::Call};

pub(super) struct Lane<L: Lanes> {
    shared: Arc<Shared<L>>,
    state: L::Lane,
    given_up: bool,
}

impl<L: Lanes> Lane<L> {
    /// A lane that was taken.
    pub(super) fn new(shared: Arc<Shared<L>>) -> Self {
        Self {
            state: L::Lane::default(),
            shared,
            given_up: false,
        }
    }

    pub(super) async fn run(mut self) {
        while self.has_more() {
            // Calls stay in their queue until the lane is ready, so that they can be taken back.
            let ready = self.shared.lanes.ready(&mut self.state).await;
            let Some(batch) = self.next() else {
                break;
            };
            let calls = batch.groups.len();
            measure::<L>(&batch);
            match ready {
                Ok(()) => self.shared.lanes.serve(&mut self.state, batch).await,
                Err(error) => batch.answer_all(&Err(error)),
            }
            if calls > 1 {
                // Whoever was answered has its next call ready a moment later.
                tokio::task::yield_now().await;
            }
        }
        self.shared.lanes.rest(&mut self.state).await;
    }

    fn has_more(&mut self) -> bool {
        let more = self.shared.queues().has_more();
        self.given_up = !more;
        more
    }

    fn next(&mut self) -> Option<UnderWay<L>> {
        let groups = self.shared.queues().next_batch();
        self.given_up = groups.is_none();
        Some(UnderWay {
            shared: Arc::clone(&self.shared),
            groups: groups?,
        })
    }
}

/// Calls with one row travel together, and count each.
fn measure<L: Lanes>(batch: &UnderWay<L>) {
    let groups = batch.groups.iter();
    let calls: usize = groups.map(|group| 1 + group.others.len()).sum();
    metrics::histogram!("idem_batch_calls", "store" => L::STORE).record(calls as f64);
}

impl<L: Lanes> Drop for Lane<L> {
    /// A runtime that goes down drops its lanes, and calls of other runtimes may be waiting for
    /// them: each goes on in its own.
    fn drop(&mut self) {
        if !self.given_up {
            let left = self.shared.queues().lose_lane();
            left.into_iter().for_each(Call::hand_back);
        }
    }
}
