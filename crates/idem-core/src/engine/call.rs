//! One store call: bounded in time, and asked again within a budget.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::Instant;

use super::{Idempotency, deadline::deadline, timer::Timer};
use crate::{RecordKey, StoreError, observe};

/// The first pause before asking again; doubled up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Bounds a store call. One that takes too long is dropped, and its outcome is unknown.
///
/// A call that is ready at once, as with a store in memory, never touches a timer.
pub(crate) fn bounded<F>(limit: Duration, call: F) -> Bounded<F> {
    let timer = None;
    Bounded { call, limit, timer }
}

/// A store call with its limit. The timer is apart, because a call that needs none should not
/// carry the room for it around.
#[must_use]
pub(crate) struct Bounded<F> {
    call: F,
    limit: Duration,
    timer: Option<Timer>,
}

impl<T, F> Future for Bounded<F>
where
    F: Future<Output = Result<T, StoreError>> + Unpin,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let Self { call, limit, timer } = self.get_mut();
        if let Poll::Ready(result) = Pin::new(call).poll(cx) {
            return Poll::Ready(result);
        }
        let timer = timer.get_or_insert_with(|| Timer::start(*limit));
        ready!(timer.poll(cx));
        Poll::Ready(Err(StoreError::unknown(format!(
            "no answer within {limit:?}"
        ))))
    }
}

/// Awaits a future where it lies. A bare `.await` may copy a large one first, which costs as much
/// as a store in memory takes to answer.
macro_rules! in_place {
    ($future:expr) => {{
        let future = std::pin::pin!($future);
        future.await
    }};
}

pub(crate) use in_place;

/// Polls a future a single time.
pub(crate) async fn poll_once<F: Future>(mut future: Pin<&mut F>) -> Option<F::Output> {
    std::future::poll_fn(|cx| {
        Poll::Ready(match future.as_mut().poll(cx) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        })
    })
    .await
}

/// How long to go on asking. Reads no clock before the first failure.
pub(crate) struct Budget {
    total: Duration,
    deadline: Option<Instant>,
    pause: Duration,
    longest_pause: Duration,
}

impl Budget {
    pub(crate) fn new(total: Duration) -> Self {
        Self {
            total,
            deadline: None,
            pause: FIRST_PAUSE,
            longest_pause: LONGEST_PAUSE,
        }
    }

    /// Pauses grow up to this.
    pub(crate) fn longest_pause(mut self, pause: Duration) -> Self {
        self.longest_pause = pause.max(FIRST_PAUSE);
        self
    }

    /// The next pause, jittered; `None` when the budget is spent.
    pub(crate) fn next_pause(&mut self, engine: &Idempotency) -> Option<Duration> {
        let now = Instant::now();
        let deadline = *self
            .deadline
            .get_or_insert_with(|| deadline(now, self.total));
        let left = deadline
            .checked_duration_since(now)
            .filter(|left| !left.is_zero())?;
        let pause = engine.shared().entropy.jittered(self.pause).min(left);
        self.pause = (self.pause * 2).min(self.longest_pause);
        Some(pause)
    }

    /// Sleeps before the next try; hands the error back when there is to be none.
    pub(crate) async fn retry(
        &mut self,
        engine: &Idempotency,
        key: &RecordKey,
        error: StoreError,
    ) -> Result<(), StoreError> {
        if !error.kind().is_transient() {
            return Err(error);
        }
        let Some(pause) = self.next_pause(engine) else {
            return Err(error);
        };
        observe::store_retry(key, &error);
        tokio::time::sleep(pause).await;
        Ok(())
    }
}

impl Idempotency {
    /// Asks until the store answers or the retry budget is spent. The call must be safe to repeat.
    pub(crate) async fn retrying<T, F>(
        &self,
        key: &RecordKey,
        mut call: impl FnMut() -> F,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>> + Unpin,
    {
        let mut budget = Budget::new(self.policy().retry_budget);
        loop {
            match bounded(self.policy().call_timeout, call()).await {
                Ok(value) => return Ok(value),
                Err(error) => budget.retry(self, key, error).await?,
            }
        }
    }
}
