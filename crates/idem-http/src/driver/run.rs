//! [`Run`]: a handler under its claim, from its call to its stored answer.

use std::pin::pin;

use http::{Extensions, Response};
use idem_core::{
    Context, Execution, Fingerprint,
    spi::{Ran, Stopped},
};

use super::{Answer, CommitWith, Guard, ReplyTo, Source, deadline::Deadline, ending::Ender};

/// The right to run a handler, and the duty to [`drive`](Self::drive) it.
///
/// Dropped instead, it counts as a crash half-way: the key stays in flight until its lease runs
/// out.
#[derive(Debug)]
#[must_use = "a run that is not driven counts as a crash half-way"]
pub struct Run {
    pub(super) execution: Execution,
    pub(super) ender: Ender,
    pub(super) commit_with: Option<CommitWith>,
}

impl Run {
    pub(super) fn new(guard: Guard, execution: Execution, print: Fingerprint) -> Self {
        Self {
            commit_with: guard.0.transactions.then(CommitWith::default),
            ender: Ender {
                context: execution.context(),
                guard,
                print,
            },
            execution,
        }
    }

    /// What the handler may see and do while it runs.
    #[must_use]
    pub fn context(&self) -> &Context {
        &self.ender.context
    }

    /// Where the handler may hand its transaction over, where the guard allows it.
    #[must_use]
    pub fn commit_with(&self) -> Option<&CommitWith> {
        self.commit_with.as_ref()
    }

    /// Puts both into a request's extensions.
    pub fn extend(&self, extensions: &mut Extensions) {
        extensions.insert(self.ender.context.clone());
        if let Some(commit_with) = &self.commit_with {
            extensions.insert(commit_with.clone());
        }
    }

    /// Runs the handler, renewing the lease, stores its answer, and replies with it.
    ///
    /// The reply comes when the answer is stored, or, for an answer that is not whole within the
    /// profile's [`stream_after`](crate::Profile::stream_after), before that; this future then goes
    /// on until the answer's end. A client that goes away stops nothing.
    ///
    /// An error of the handler is handed on, and stored as a 500 (`handler-failed`): its effect may
    /// have happened.
    ///
    /// # Cancel safety
    /// Dropping the future is a crash half-way. Run it on a task of its own:
    /// [`Guard::detach`].
    pub async fn drive<F, S, X>(self, work: F, reply: ReplyTo<S, X>)
    where
        F: Future<Output = Result<Response<S>, X>>,
        S: Source,
    {
        let deadline = Deadline::after(self.ender.guard.0.profile.longest_run);
        let ran = {
            let work = pin!(work);
            deadline.bound(self.execution.run(work)).await
        };
        match ran {
            Some(Ran::Finished(Ok(response))) => self.finish(response, deadline, reply).await,
            Some(Ran::Finished(Err(error))) => {
                Box::pin(self.give_up(None)).await;
                reply.send(Err(error));
            }
            Some(Ran::Stopped(stopped)) => {
                reply.answer(Box::pin(self.give_up(Some(stopped))).await);
            }
            None => {
                tracing::warn!(key = %self.context().key(), "an execution lasted too long");
                reply.answer(Box::pin(self.give_up(None)).await);
            }
        }
    }

    /// Ends an execution without an answer of its handler. What it wrote is rolled back.
    async fn give_up(self, stopped: Option<Stopped>) -> Answer {
        drop(self.commit_with.as_ref().and_then(CommitWith::close));
        match stopped {
            Some(stopped) => self.ender.stop(self.execution, stopped).await,
            None => self.ender.fail(self.execution).await,
        }
    }
}
