//! [`Execution`]: the right to run, and the duty to say how it ended.

mod held;

use std::{fmt, ops::DerefMut, sync::Arc};

use bytes::Bytes;

pub(crate) use held::Held;

use crate::{
    Fingerprint, Idempotency, IdempotencyKey, RecordKey, Recording,
    derive::derive_key,
    engine::{Context, in_place},
    error::{HoldError, Superseded},
    machine::{Ending, Holding, Want},
    observe,
};

/// The right to run the work of one key, and the duty to say how it ended.
///
/// [`Idempotency::claim`] gives one to the caller that has to run. [`Idempotency::execute`] does all
/// of this in one call; use an `Execution` where the work and its ending are apart, as in a job
/// runner or a middleware.
///
/// End it with [`complete`](Self::complete), [`fail`](Self::fail),
/// [`fail_retryable`](Self::fail_retryable), [`release`](Self::release), [`end`](Self::end) or
/// [`end_or`](Self::end_or). Dropped without an
/// ending it counts as a crash half-way: the key stays in flight until its lease runs out, and is
/// abandoned then. An execution that was superseded has no ending: drop it.
///
/// The lease is not renewed by itself. Run the work with [`run`](Self::run), which renews it, or
/// call [`renew`](Self::renew) at least every third of the lease.
///
/// # Example
/// ```
/// use idem_core::{Claim, Fingerprint, Idempotency, RecordKey};
///
/// # async fn example(idem: Idempotency, key: RecordKey) -> Result<(), Box<dyn std::error::Error>> {
/// let fingerprint = Fingerprint::of("payments/v1", b"500 usd");
/// match idem.claim(&key, &fingerprint).await? {
///     Claim::Acquired(execution) => {
///         let charge = execution.derive_key("charge"); // hand it to the payment provider
///         // … charge the card …
///         execution.complete(format!("charged as {charge:?}")).await?;
///     }
///     Claim::Replay(answer) => println!("charged before: {answer:?}"),
///     other => println!("not now: {other:?}"),
/// }
/// # Ok(()) }
/// ```
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

    /// The fencing number: 1 for the first execution of the key, one more for each later one.
    ///
    /// Hand it to a resource that remembers the highest number it has seen and refuses smaller ones.
    /// Then an execution that was superseded without noticing can do no harm there.
    ///
    /// ```
    /// # use idem_core::Execution;
    /// // A resource that keeps the highest number it has seen.
    /// fn take(highest: &mut u32, execution: &Execution) -> bool {
    ///     let newest = execution.attempt() >= *highest;
    ///     *highest = execution.attempt().max(*highest);
    ///     newest
    /// }
    /// ```
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.held.attempt
    }

    /// The checkpoint of the previous execution, when this one takes over from it.
    ///
    /// ```
    /// # use idem_core::Execution;
    /// fn pages_done(execution: &Execution) -> u64 {
    ///     let left = execution.previous_checkpoint();
    ///     left.and_then(|bytes| std::str::from_utf8(bytes).ok()?.parse().ok()).unwrap_or(0)
    /// }
    /// ```
    #[must_use]
    pub fn previous_checkpoint(&self) -> Option<&Bytes> {
        self.held.resumed.as_ref()
    }

    /// An idempotency key to send to the next API. It is the same for every attempt at this request
    /// and step, and differs for any other request or step: so the next API runs it once, even if
    /// this work runs again after a crash.
    ///
    /// ```
    /// # use idem_core::Execution;
    /// # fn example(execution: &Execution) {
    /// let charge = execution.derive_key("charge");
    /// let receipt = execution.derive_key("receipt");
    /// assert_ne!(charge, receipt);
    /// assert_eq!(charge, execution.derive_key("charge")); // also in the next attempt
    /// # }
    /// ```
    #[must_use]
    pub fn derive_key(&self, step: &str) -> IdempotencyKey {
        derive_key(&self.held.key, &self.held.fingerprint, step)
    }

    /// What the work may see and do while it runs; cheap to clone and free to move.
    #[must_use]
    pub fn context(&self) -> Context {
        Context::protected(Arc::clone(&self.held))
    }

    /// Renews the lease: it starts anew, by the store's clock.
    ///
    /// ```
    /// use idem_core::{Execution, error::HoldError};
    ///
    /// # async fn example(execution: Execution, rows: Vec<u32>) -> Result<(), HoldError> {
    /// for chunk in rows.chunks(1000) {
    ///     // … import the chunk …
    ///     match execution.renew().await {
    ///         Err(HoldError::Superseded(gone)) => return Err(gone.into()), // stop at once
    ///         Err(error) => eprintln!("still held as far as is known: {error}"),
    ///         Ok(()) => {}
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`HoldError::Superseded`] when another execution owns the key: stop the work and drop this.
    /// [`HoldError::Store`] when the store did not take it within the retry budget.
    ///
    /// # Cancel safety
    /// Safe to drop; the renewal may or may not have happened.
    pub async fn renew(&self) -> Result<(), HoldError> {
        self.held.step(Want::Renew).await
    }

    /// Leaves bytes that a successor finds in [`previous_checkpoint`](Self::previous_checkpoint), and renews the lease.
    ///
    /// ```
    /// # use idem_core::{Execution, error::HoldError};
    /// # async fn example(execution: Execution) -> Result<(), HoldError> {
    /// let page = 7;
    /// execution.checkpoint(page.to_string()).await?; // a successor begins with page 8
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`renew`](Self::renew).
    ///
    /// # Cancel safety
    /// Safe to drop; the checkpoint may or may not have been stored.
    pub async fn checkpoint(&self, checkpoint: impl Into<Bytes>) -> Result<(), HoldError> {
        self.held.step(Want::Checkpoint(checkpoint.into())).await
    }

    /// Stores a success. Every repeat gets these bytes, until the retention is over.
    ///
    /// If the store does not take it, this answers [`Recording::Pending`] and the engine goes on in
    /// the background. Meanwhile it renews the key, so that the work does not run again. The caller
    /// may answer its client. Where the store may refuse the payload for good, for example because
    /// it is too large, use [`end_or`](Self::end_or).
    ///
    /// ```
    /// use idem_core::{Execution, Recording, error::Superseded};
    ///
    /// # async fn example(execution: Execution) -> Result<(), Superseded> {
    /// match execution.complete("charged as ch_17").await? {
    ///     Recording::Stored => println!("every repeat gets this answer"),
    ///     _ => println!("the store will have it later; the key stays held meanwhile"),
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Superseded`] when another execution owns the key; nothing was stored.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing, even before its first poll: the ending goes on in the
    /// background. Dropping the runtime does; `idem_endings_lost_total` counts it.
    pub fn complete(
        self,
        payload: impl Into<Bytes>,
    ) -> impl Future<Output = Result<Recording, Superseded>> + Send {
        self.end(Ending::Complete(payload.into()))
    }

    /// Stores a failure. Every repeat gets these very bytes, and nothing runs again.
    ///
    /// ```
    /// # use idem_core::{Execution, error::Superseded};
    /// # async fn example(execution: Execution) -> Result<(), Superseded> {
    /// execution.fail("card declined").await?; // every repeat is told so, and no card is charged
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`complete`](Self::complete), also for cancel safety.
    pub fn fail(
        self,
        payload: impl Into<Bytes>,
    ) -> impl Future<Output = Result<Recording, Superseded>> + Send {
        self.end(Ending::Fail(payload.into()))
    }

    /// Stores `ending`, or `fallback` where the store refuses `ending` for good: it is too large for
    /// the store, or there is no room for it. So the key is not left in flight by an answer that
    /// cannot be kept.
    ///
    /// ```
    /// # use idem_core::{Execution, Recording, machine::Ending, error::Superseded};
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
    pub fn end_or(
        self,
        ending: Ending,
        fallback: Ending,
    ) -> impl Future<Output = Result<Recording, Superseded>> + Send {
        let fallback = Some(fallback);
        self.wanting(Want::End { ending, fallback })
    }

    /// Records that the work failed without effect. The next claim with the same fingerprint runs,
    /// with the next attempt number and the last checkpoint.
    ///
    /// ```
    /// # use idem_core::{Execution, error::Superseded};
    /// # async fn example(execution: Execution) -> Result<(), Superseded> {
    /// // The provider refused the connection: nothing was sent.
    /// execution.fail_retryable().await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`complete`](Self::complete), also for cancel safety. If the reply is lost and another
    /// execution has taken the key over since, it fails with [`Superseded`].
    pub fn fail_retryable(self) -> impl Future<Output = Result<Recording, Superseded>> + Send {
        self.end(Ending::Retry)
    }

    /// Records that nothing happened, and frees the key. The next claim runs, whatever its
    /// fingerprint, with the next attempt number and without a checkpoint: for a request that was
    /// refused before it did anything, and may come back corrected under the same key (a wrong
    /// one-time password, a failed validation).
    ///
    /// "Nothing" includes the attempts before: an earlier one that crashed half-way may have had its
    /// effect, and a corrected request has other keys downstream
    /// ([`derive_key`](Self::derive_key)). Where [`attempt`](Self::attempt) is above 1, use
    /// [`fail_retryable`](Self::fail_retryable) if in doubt.
    ///
    /// ```
    /// # use idem_core::{Execution, error::Superseded};
    /// # async fn example(execution: Execution, code_is_right: bool) -> Result<(), Superseded> {
    /// if !code_is_right && execution.attempt() == 1 {
    ///     execution.release().await?;
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`fail_retryable`](Self::fail_retryable), also for cancel safety.
    pub fn release(self) -> impl Future<Output = Result<Recording, Superseded>> + Send {
        self.end(Ending::Release)
    }

    /// Ends the execution in this way, for code that decides how at run time.
    ///
    /// ```
    /// use idem_core::{Execution, error::Superseded, machine::Ending};
    ///
    /// # async fn example(execution: Execution, status: u16) -> Result<(), Superseded> {
    /// let ending = match status {
    ///     429 => Ending::Retry,
    ///     status => Ending::Complete(status.to_string().into()),
    /// };
    /// execution.end(ending).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`complete`](Self::complete), also for cancel safety.
    pub fn end(
        self,
        ending: Ending,
    ) -> impl Future<Output = Result<Recording, Superseded>> + Send + use<> {
        self.wanting(Want::end(ending))
    }

    /// The ending is asked for at once, so that a future that is never polled loses none.
    fn wanting(
        self,
        want: Want,
    ) -> impl Future<Output = Result<Recording, Superseded>> + Send + use<> {
        self.held.ask(want);
        async move { in_place!(self.held.end()) }
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
