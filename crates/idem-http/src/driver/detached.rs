//! A run on a task of its own.
//!
//! A client that hangs up drops the future that waits, not the task: the handler runs to its end,
//! and the client's retry gets the answer.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicIsize, AtomicU8, Ordering},
    },
    task::Poll,
};

use tokio::sync::oneshot;
use tracing::Instrument;

use super::{Answer, Guard, Reply};

/// Where a run sends its reply.
#[derive(Debug)]
pub struct ReplyTo<S, X>(oneshot::Sender<Result<Reply<S>, X>>);

impl<S, X> ReplyTo<S, X> {
    /// Nobody may be listening any more; the record has the answer.
    pub(super) fn send(self, reply: Result<Reply<S>, X>) {
        let _ = self.0.send(reply);
    }

    pub(super) fn answer(self, answer: Answer) {
        self.send(Ok(Reply::Answer(answer)));
    }
}

impl Guard {
    /// Starts a run, and waits for its reply while it goes on without whoever waits.
    ///
    /// It is polled here first: work that is ready at once costs no task. After that it goes on as
    /// a task of the engine's, which [`Idempotency::wait_idle`](idem_core::Idempotency::wait_idle)
    /// waits for.
    ///
    /// # Errors
    /// The handler's own.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing for the run, except in the middle of the first poll,
    /// where nobody can.
    pub async fn detach<F, S, X>(&self, run: impl FnOnce(ReplyTo<S, X>) -> F) -> Result<Reply<S>, X>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let idem = self.0.idem.clone();
        let spawn = move |task: Pin<Box<F>>, guard| {
            idem.detach(attending(task, guard).in_current_span());
        };
        self.detach_by(run, spawn).await
    }

    /// [`detach`](Self::detach) for runs that are not `Send`: `spawn` starts a task on the current
    /// thread, such as `tokio::task::spawn_local`. `wait_idle` waits for these as well.
    ///
    /// # Errors
    /// As [`detach`](Self::detach), also for cancel safety.
    pub async fn detach_local<F, S, X>(
        &self,
        run: impl FnOnce(ReplyTo<S, X>) -> F,
        spawn: impl FnOnce(Pin<Box<dyn Future<Output = ()>>>),
    ) -> Result<Reply<S>, X>
    where
        F: Future<Output = ()> + 'static,
    {
        let idem = self.0.idem.clone();
        let spawn = move |task: Pin<Box<F>>, guard| {
            let task = attending(task, guard).in_current_span();
            spawn(Box::pin(idem.counted(task)));
        };
        self.detach_by(run, spawn).await
    }

    async fn detach_by<F, S, X>(
        &self,
        run: impl FnOnce(ReplyTo<S, X>) -> F,
        spawn: impl FnOnce(Pin<Box<F>>, Attending),
    ) -> Result<Reply<S>, X>
    where
        F: Future<Output = ()>,
    {
        let (sender, receiver) = oneshot::channel();
        let mut task = Box::pin(run(ReplyTo(sender)));
        let polled = poll_fn(|cx| Poll::Ready(task.as_mut().poll(cx))).await;
        let attended = match polled {
            Poll::Ready(()) => None,
            Poll::Pending => {
                let presence = Arc::new(Presence::new(Arc::clone(&self.0.tally)));
                spawn(task, Attending(Arc::clone(&presence)));
                Some(Attended(presence))
            }
        };
        let mut reply = match receiver.await {
            Ok(reply) => reply,
            // The runtime dropped the task.
            Err(_) => Ok(Reply::Answer(self.handler_failed().map(Into::into))),
        };
        if let Ok(Reply::Answer(answer)) = &mut reply
            && let (Some(live), Some(attended)) = (answer.body_mut().live_mut(), attended)
        {
            live.attend(attended);
        }
        reply
    }
}

async fn attending<F: Future<Output = ()>>(task: Pin<Box<F>>, guard: Attending) {
    let _guard = guard;
    task.await;
}

/// How many runs go on whose client is gone.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Below zero for a moment, where a client goes just as its run ends.
    pub(super) abandoned: AtomicIsize,
}

const ATTENDED: u8 = 0;
const ABANDONED: u8 = 1;
const OVER: u8 = 2;

/// Whether a run's client is still there.
struct Presence {
    tally: Arc<Tally>,
    state: AtomicU8,
}

impl Presence {
    fn new(tally: Arc<Tally>) -> Self {
        Self {
            tally,
            state: AtomicU8::new(ATTENDED),
        }
    }
}

/// The client's end: dropped before the run is over, the client is gone.
pub(super) struct Attended(Arc<Presence>);

impl Drop for Attended {
    fn drop(&mut self) {
        let Presence { tally, state } = &*self.0;
        tally.abandoned.fetch_add(1, Ordering::Relaxed);
        let left = state.compare_exchange(ATTENDED, ABANDONED, Ordering::AcqRel, Ordering::Relaxed);
        if left.is_err() {
            tally.abandoned.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// The run's end.
struct Attending(Arc<Presence>);

impl Drop for Attending {
    fn drop(&mut self) {
        let Presence { tally, state } = &*self.0;
        if state.swap(OVER, Ordering::AcqRel) == ABANDONED {
            tally.abandoned.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
