//! Running work under a claim: renewed while it runs, stopped when it is superseded.

use std::{any::Any, future::poll_fn, panic::AssertUnwindSafe, pin::pin, sync::Arc, task::Poll};

use futures_util::{
    FutureExt,
    future::{Either, select},
};

use tracing::Instrument;

use crate::{
    Execution,
    error::Superseded,
    execution::Held,
    observe::{self, Shape},
};

/// How work under a claim came to its end.
#[derive(Debug)]
#[must_use]
pub enum Ran<T> {
    /// It ran to its end.
    Finished(T),
    /// It did not.
    Stopped(Stopped),
}

/// Why work did not run to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stopped {
    /// It panicked, with this message.
    Panicked(String),
    /// A renewal found that another execution owns the key; the work was dropped at an await (G3).
    ///
    /// There is nothing left to store: drop the execution.
    Superseded,
}

impl Execution {
    /// Runs work in this task and catches a panic. The lease is renewed at a third of it.
    ///
    /// It does not end the execution: do so with what came out. Work that ends at its first poll
    /// costs no renewal and no timer.
    ///
    /// # Renewals
    /// Renewals run on a task of their own, on the engine's [`Spawner`](crate::spi::Spawner). So work
    /// that blocks its thread is renewed as long as one other thread of the runtime is free. Where
    /// all threads are blocked for longer than the lease, as one blocking call does to a runtime of
    /// one thread, the key is taken over and the work runs twice. Move blocking calls to
    /// `tokio::task::spawn_blocking`. The histogram `idem_lease_used_ratio` shows how late renewals
    /// are: a third is on time, and from two thirds on there is a warning in the log.
    ///
    /// # Superseded work
    /// A renewal or checkpoint that finds another execution in charge stops the work: it is dropped
    /// at its next await, and the answer is [`Stopped::Superseded`]. There is nothing to end then:
    /// drop the execution.
    ///
    /// # Cancel safety
    /// Dropping the future drops the work; the execution is still there to be ended.
    ///
    /// # Example
    /// ```
    /// # use idem_core::{Execution, error::Superseded, spi::{Ran, Stopped}};
    /// # async fn example(execution: Execution) -> Result<(), Superseded> {
    /// match execution.run(async { "charged" }).await {
    ///     Ran::Finished(answer) => drop(execution.complete(answer).await?),
    ///     Ran::Stopped(Stopped::Panicked(message)) => drop(execution.fail(message).await?),
    ///     Ran::Stopped(Stopped::Superseded) => {}
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn run<F: Future>(&self, work: F) -> Ran<F::Output> {
        let measures = self.held().engine.measures();
        let span = observe::run_span(self.key(), self.attempt(), measures);
        let timer = measures.start(Shape::Run);
        let mut work = pin!(catching(work.instrument(span)));
        let mut watch = None;
        let finished = poll_fn(|cx| {
            if let Poll::Ready(finished) = work.as_mut().poll(cx) {
                return Poll::Ready(Some(finished));
            }
            // Begun once the work has yielded, and before it is polled again: the task that renews
            // must not wait behind work that blocks this thread.
            let watch = watch.get_or_insert_with(|| Box::pin(superseded(self.held())));
            watch.as_mut().poll(cx).map(|Superseded| None)
        });
        let finished = finished.await;
        timer.stop();
        match finished {
            Some(Ok(output)) => Ran::Finished(output),
            Some(Err(message)) => Ran::Stopped(Stopped::Panicked(message)),
            None => Ran::Stopped(Stopped::Superseded),
        }
    }
}

/// Has the key renewed until another execution turns out to own it.
async fn superseded(held: &Arc<Held>) -> Superseded {
    let _renewed = held.engine.renew_from_now(held);
    loop {
        let mut changed = pin!(held.changed());
        changed.as_mut().enable();
        if held.is_over() {
            return Superseded;
        }
        // Twice between two renewals: a task that stands still misses one of them at most.
        let sleep = pin!(tokio::time::sleep(held.lease() / 6));
        if let Either::Right(_) = select(changed, sleep).await {
            held.engine.shared().revive_keeper(held.lease() / 8);
        }
    }
}

/// Runs work to its end or its panic, and gives the panic's message.
pub(super) async fn catching<F: Future>(work: F) -> Result<F::Output, String> {
    AssertUnwindSafe(work)
        .catch_unwind()
        .await
        .map_err(|panic| panic_message(&*panic))
}

/// The message of a caught panic.
#[must_use]
pub fn panic_message(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned())
}
