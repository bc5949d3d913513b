//! Running work under a claim: renewed while it runs, stopped when it is superseded.

use std::{any::Any, panic::AssertUnwindSafe, pin::pin};

use futures_util::{
    FutureExt,
    future::{Either, select},
};

use tracing::Instrument;

use super::call::poll_once;
use crate::{Execution, Superseded, execution::Held, observe};

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
    /// There is nothing left to store. Hand the execution to
    /// [`Execution::ended`]`(Err(Superseded))`, which notes how it ended; one that is dropped instead
    /// is reported as a crash whose lease runs out.
    Superseded,
}

impl Execution {
    /// Runs work in this task, renewing the lease at a third of it, and catches a panic.
    ///
    /// It does not end the execution: do so with what came out. Work that is ready at its first
    /// poll costs no timer. Work that blocks its thread cannot be renewed: move it to a blocking
    /// thread.
    ///
    /// # Cancel safety
    /// Dropping the future drops the work; the execution is still there to be ended.
    pub async fn run<F: Future>(&self, work: F) -> Ran<F::Output> {
        let span = observe::run_span(self.key(), self.attempt());
        let mut work = pin!(catching(work.instrument(span)));
        let finished = match poll_once(work.as_mut()).await {
            Some(finished) => finished,
            None => match select(work, Box::pin(renewing(self.held()))).await {
                Either::Left((finished, _)) => finished,
                Either::Right((Superseded, _)) => return Ran::Stopped(Stopped::Superseded),
            },
        };
        match finished {
            Ok(output) => Ran::Finished(output),
            Err(message) => Ran::Stopped(Stopped::Panicked(message)),
        }
    }
}

/// Renews until another execution turns out to own the key. A store that is out of reach is asked
/// more often, and never stops the work.
async fn renewing(held: &Held) -> Superseded {
    let every = held.lease() / 3;
    let mut pause = every;
    loop {
        tokio::time::sleep(pause).await;
        pause = match held.renew_once().await {
            Ok(()) => every,
            Err(crate::HoldError::Superseded(superseded)) => return superseded,
            Err(crate::HoldError::Store(_)) => every / 4,
        };
    }
}

/// Runs work to its end or its panic, and gives the panic's message.
pub(super) async fn catching<F: Future>(work: F) -> Result<F::Output, String> {
    AssertUnwindSafe(work)
        .catch_unwind()
        .await
        .map_err(|panic| message(&*panic))
}

fn message(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned())
}
