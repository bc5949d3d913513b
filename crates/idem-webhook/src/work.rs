//! Working events off: under a claim, and what was left of earlier ones.

use idem_core::{
    Claim, Execution, IdempotencyKey, OnPanic, RecordKey,
    error::Superseded,
    spi::{Ran, Stopped},
    store::{Browse, Filter, State, StateKind, StoreError, Stored, Within},
};

use crate::{BoxError, Event, Inbox, Receipt, event::unpack};

/// What [`Inbox::work_off`] came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WorkedOff {
    /// Events whose handler was successful.
    pub done: usize,
    /// Events whose handler failed, or that are out of attempts.
    pub failed: usize,
}

impl Inbox {
    /// Works off, one after the other, the events that were taken by
    /// [`accept`](crate::Delivery::accept) and that nobody is at: their process died, or their
    /// handler failed.
    ///
    /// Call it when the service starts, and from time to time. Several processes may: each event has
    /// one holder. An event of a process that died is free once its lease is over. It reads through
    /// all records of the store.
    ///
    /// An event has [`Policy::max_attempts`](idem_core::Policy::max_attempts), or
    /// [`DEFAULT_ATTEMPTS`](Self::DEFAULT_ATTEMPTS) where that sets no limit. One that has used them up
    /// stays in the store for its retention, and runs again under a policy that allows for more.
    ///
    /// ```
    /// use idem_core::store::{Browse, StoreError};
    /// use idem_webhook::{BoxError, Event, Inbox};
    ///
    /// # async fn work(event: Event) -> Result<(), BoxError> { Ok(()) }
    /// /// What an earlier process left.
    /// async fn catch_up(inbox: &Inbox, store: &impl Browse) -> Result<(), StoreError> {
    ///     let worked_off = inbox.work_off(store, work).await?;
    ///     println!("{} events were left", worked_off.done + worked_off.failed);
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// When the store cannot be listed. An event that cannot be claimed is left for the next time.
    ///
    /// # Cancel safety
    /// Dropping the future drops the handler that runs, as a crash would.
    pub async fn work_off<H, F, E>(
        &self,
        store: &(impl Browse + ?Sized),
        handler: H,
    ) -> Result<WorkedOff, StoreError>
    where
        H: Fn(Event) -> F,
        F: Future<Output = Result<(), E>>,
        E: Into<BoxError>,
    {
        let left = Filter {
            states: vec![StateKind::InFlight, StateKind::Retryable],
            within: Some(Within::Only(self.0.scope.as_str().to_owned())),
            ..Filter::default()
        };
        let (mut worked_off, mut after) = (WorkedOff::default(), None);
        loop {
            let page = store.browse(&left, after.as_ref(), 100).await?;
            for unreadable in &page.unreadable {
                tracing::warn!(error = %unreadable.error, "a webhook cannot be read, and is left");
            }
            for (key, stored) in page.records {
                if !is_left(&stored) {
                    continue;
                }
                match self.take_over(&key, &stored, &handler).await {
                    Some(Receipt::Done { .. }) => worked_off.done += 1,
                    Some(_) => worked_off.failed += 1,
                    None => {}
                }
            }
            after = page.next;
            if after.is_none() {
                return Ok(worked_off);
            }
        }
    }

    /// `None` where somebody else was faster.
    async fn take_over<H, F, E>(
        &self,
        key: &RecordKey,
        stored: &Stored,
        handler: &H,
    ) -> Option<Receipt>
    where
        H: Fn(Event) -> F,
        F: Future<Output = Result<(), E>>,
        E: Into<BoxError>,
    {
        use idem_core::Refused::{Abandoned, Exhausted};

        let idem = &self.0.accepted;
        let execution = match idem.claim(key, &stored.record.fingerprint).await {
            Ok(Claim::Acquired(execution)) => execution,
            Ok(Claim::Refused(Abandoned { .. } | Exhausted { .. })) => {
                tracing::error!(key = %key, "an event does not run again by itself");
                return Some(Receipt::GivenUp);
            }
            Ok(_) => return None,
            Err(error) => {
                tracing::warn!(%error, "an event is left for later");
                return None;
            }
        };
        let left = execution.previous_checkpoint().and_then(unpack);
        let (Some((kind, body)), Ok(id)) = (left, IdempotencyKey::new(key.key())) else {
            // Its sender has no promise, and delivers it again.
            let _ = execution.fail_retryable().await;
            return None;
        };
        let event = Event::new(id, kind, body, execution.context());
        Some(self.run_to_end(execution, event, true, handler).await)
    }

    /// Runs a handler to its end, and stores that end. `accepted`: the event is stored, and its sender
    /// does not deliver it again.
    pub(crate) async fn run_to_end<H, F, E>(
        &self,
        execution: Execution,
        event: Event,
        accepted: bool,
        handler: H,
    ) -> Receipt
    where
        H: FnOnce(Event) -> F,
        F: Future<Output = Result<(), E>>,
        E: Into<BoxError>,
    {
        // In a block, so that a panic of the closure itself is caught as well.
        let (ended, receipt) = match execution.run(async { handler(event).await }).await {
            Ran::Finished(Ok(())) => {
                let done = Receipt::Done { repeat: false };
                (execution.complete("").await, done)
            }
            Ran::Finished(Err(error)) => {
                let error: BoxError = error.into();
                tracing::warn!(%error, "an event could not be worked off; it runs again");
                (execution.fail_retryable().await, Receipt::Failed)
            }
            Ran::Stopped(Stopped::Panicked(message)) => {
                tracing::error!(message, "the handler of an event panicked");
                match self.0.idem.policy().panic() {
                    OnPanic::Fail if !accepted => (execution.fail(message).await, Receipt::GivenUp),
                    _ => (execution.fail_retryable().await, Receipt::Failed),
                }
            }
            Ran::Stopped(Stopped::Superseded) => return Receipt::Failed,
        };
        match ended {
            Ok(_) => receipt,
            // Another attempt is at it, and says how it ends.
            Err(Superseded) => Receipt::Failed,
        }
    }
}

/// Whether an event is stored whole, and nobody is at it.
fn is_left(stored: &Stored) -> bool {
    match &stored.record.state {
        State::InFlight { lease, checkpoint } => {
            checkpoint.is_some() && stored.age.is_none_or(|age| age >= *lease)
        }
        State::Retryable { checkpoint } => checkpoint.is_some(),
        _ => false,
    }
}
