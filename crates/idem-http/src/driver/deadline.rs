//! [`Deadline`]: when an execution has to be over.

use std::{future::poll_fn, pin::pin, task::Poll, time::Duration};

use tokio::time::{Instant, timeout_at};

/// When an execution has to be over.
#[derive(Clone, Copy)]
pub(super) struct Deadline(Option<Instant>);

impl Deadline {
    pub(super) fn after(longest: Option<Duration>) -> Self {
        Self(longest.and_then(|longest| Instant::now().checked_add(longest)))
    }

    /// The output, if it comes in time. What is ready at once costs no timer.
    pub(super) async fn bound<F: Future>(self, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        let polled = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await;
        match (polled, self.0) {
            (Poll::Ready(output), _) => Some(output),
            (Poll::Pending, Some(at)) => timeout_at(at, future).await.ok(),
            (Poll::Pending, None) => Some(future.await),
        }
    }
}
