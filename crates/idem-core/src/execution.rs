//! [`Execution`]: the right to run, and the duty to say how it ended.

mod held;

use std::{fmt, ops::DerefMut, sync::Arc};

use bytes::Bytes;

pub(crate) use held::Held;

use crate::{
    Fingerprint, HoldError, Idempotency, IdempotencyKey, RecordKey, Recording, Superseded,
    derive::derive_key,
    engine::{Running, in_place},
    machine::{Ending, Holding, Want},
    observe,
};

/// The right to run the work of one key, and the duty to end it.
///
/// It is consumed by [`complete`](Self::complete), [`fail`](Self::fail),
/// [`fail_retryable`](Self::fail_retryable) and [`release`](Self::release). Dropped without one of
/// them it counts as a crash half-way: the key stays in flight until its lease runs out, and is
/// then abandoned.
///
/// The lease is not renewed by itself: run the work with [`run`](Self::run), or call
/// [`renew`](Self::renew).
#[must_use = "an execution that is dropped without an ending counts as a crash half-way"]
pub struct Execution {
    held: Arc<Held>,
}

impl Execution {
    pub(crate) fn new(engine: Idempotency, key: RecordKey, holding: Holding) -> Self {
        Self {
            held: Arc::new(Held::new(engine, key, holding)),
        }
    }

    /// The key that is held.
    #[must_use]
    pub fn key(&self) -> &RecordKey {
        &self.held.key
    }

    /// The request that runs.
    #[must_use]
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.held.fingerprint
    }

    /// The fencing number: 1 for the first execution of the key, one more for each later one. Hand
    /// it to resources that can refuse a smaller number than they have seen.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.held.attempt
    }

    /// The checkpoint of the execution before, when this one takes over from it.
    #[must_use]
    pub fn resumed(&self) -> Option<&Bytes> {
        self.held.resumed.as_ref()
    }

    /// A key for the next API downstream: the same for every attempt at this request and step, and
    /// for no other.
    #[must_use]
    pub fn derive_key(&self, step: &str) -> IdempotencyKey {
        derive_key(&self.held.key, &self.held.fingerprint, step)
    }

    /// What the work may see and do while it runs; cheap to clone and free to move.
    #[must_use]
    pub fn running(&self) -> Running {
        Running::protected(Arc::clone(&self.held))
    }

    /// Starts the lease anew.
    ///
    /// # Errors
    /// [`HoldError::Superseded`] when another execution owns the key: stop the work.
    /// [`HoldError::Store`] when the store did not take it within the retry budget.
    ///
    /// # Cancel safety
    /// Safe to drop; the renewal may or may not have happened.
    pub async fn renew(&self) -> Result<(), HoldError> {
        self.held.step(Want::Renew).await
    }

    /// Leaves bytes that a successor finds in [`resumed`](Self::resumed), and renews the lease.
    ///
    /// # Errors
    /// As [`renew`](Self::renew).
    ///
    /// # Cancel safety
    /// Safe to drop; the checkpoint may or may not have been stored.
    pub async fn checkpoint(&self, checkpoint: impl Into<Bytes>) -> Result<(), HoldError> {
        self.held.step(Want::Checkpoint(checkpoint.into())).await
    }

    /// Stores a success. Every repeat gets these very bytes, until the retention is over.
    ///
    /// A store that does not take the ending at once is asked again in the background, while the
    /// key stays held: the answer is then [`Recording::Pending`], and the caller may answer its
    /// client.
    ///
    /// # Errors
    /// [`Superseded`] when another execution owns the key; nothing was stored.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing: the ending goes on in the background.
    pub async fn complete(self, payload: impl Into<Bytes>) -> Result<Recording, Superseded> {
        in_place!(self.held.end(Want::end(Ending::Complete(payload.into()))))
    }

    /// Stores a failure. Every repeat gets these very bytes, and nothing runs again.
    ///
    /// # Errors
    /// As [`complete`](Self::complete), also for cancel safety.
    pub async fn fail(self, payload: impl Into<Bytes>) -> Result<Recording, Superseded> {
        in_place!(self.held.end(Want::end(Ending::Fail(payload.into()))))
    }

    /// Stores `ending`, or `fallback` where the store refuses `ending` for good: it is too large for
    /// the store, or there is no room for it. So the key is not left in flight by an answer that
    /// cannot be kept.
    ///
    /// ```
    /// # use idem_core::{Execution, Recording, Superseded, machine::Ending};
    /// # async fn example(execution: Execution) -> Result<(), Superseded> {
    /// let report = vec![b'x'; 600_000_000];
    /// let fallback = Ending::Fail("the report was made, and is too large to be kept".into());
    /// match execution.end_or(Ending::Complete(report.into()), fallback).await? {
    ///     Recording::Fallback => println!("every repeat gets the fallback"),
    ///     _ => println!("every repeat gets the report"),
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`complete`](Self::complete), also for cancel safety.
    pub async fn end_or(self, ending: Ending, fallback: Ending) -> Result<Recording, Superseded> {
        let fallback = Some(fallback);
        in_place!(self.held.end(Want::End { ending, fallback }))
    }

    /// Notes that it failed without effect: the next claim with the same fingerprint runs, with
    /// the next attempt number and the last checkpoint.
    ///
    /// # Errors
    /// As [`complete`](Self::complete), also for cancel safety. After a lost reply, a key that
    /// somebody took over meanwhile is reported as superseded.
    pub async fn fail_retryable(self) -> Result<Recording, Superseded> {
        in_place!(self.held.end(Want::end(Ending::Retry)))
    }

    /// Removes the record as if the key had never been claimed: for work that never began.
    ///
    /// # Errors
    /// As [`complete`](Self::complete), also for cancel safety. After a lost reply, a key that is
    /// gone, or was claimed anew since, is reported as released, also if it was a successor who took
    /// the key over and removed it: nothing is left there to tell the two apart. A key that was
    /// claimed anew and taken over since is reported as superseded.
    pub async fn release(self) -> Result<Recording, Superseded> {
        in_place!(self.held.end(Want::Release))
    }

    pub(crate) fn held(&self) -> &Arc<Held> {
        &self.held
    }
}

/// For stores that end an execution inside a transaction of the user's.
impl Execution {
    /// The machine of this execution, to be driven within a transaction. Waits for a renewal that
    /// is under way. Finish with [`ended`](Self::ended) once the transaction is committed; after
    /// one that may have been rolled back, [`reopen`](Holding::reopen) it first.
    pub async fn holding(&self) -> impl DerefMut<Target = Holding> + Send {
        self.held.turn().await
    }

    /// Closes an execution whose machine was driven to its end: counts the ending and wakes whoever
    /// waits for it.
    pub async fn ended(self) {
        self.held.ended().await;
    }
}

impl Drop for Execution {
    /// An ending that was asked for and has not landed goes on in the background.
    fn drop(&mut self) {
        if self.held.is_over() {
            return;
        }
        match self.held.ending() {
            Some(_) => self.held.engine.end_in_background(&self.held),
            None => observe::dropped(&self.held.key, self.held.attempt),
        }
    }
}

impl fmt::Debug for Execution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Execution")
            .field("key", &self.held.key)
            .field("attempt", &self.held.attempt)
            .finish_non_exhaustive()
    }
}
