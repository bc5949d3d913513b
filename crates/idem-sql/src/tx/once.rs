//! Claim, effects and completion in one transaction.

use std::{error::Error, panic::AssertUnwindSafe, time::Duration};

use futures_util::FutureExt;
use idem_core::{Fingerprint, RecordKey, Refused, error::ClaimError, spi, store::StoreError};
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::{Instant, timeout_at};

use super::{
    Broken, Committed, Conn, InTx, Once, Transactional, Tx, TxError, TxStore,
    execute::{replay, stored_form, within},
    patience::Patience,
};

/// How often a claim is tried again that the isolation level refused. Nothing has run by then.
const MAX_CLAIMS: usize = 100;

impl<S: TxStore> Transactional<S> {
    /// Runs work once for this key, all of it in one transaction: the claim, what the work writes,
    /// and its answer as JSON. For work that is all in this database.
    ///
    /// A duplicate waits for the transaction that holds the key, no longer than the store's lock
    /// timeout, and is then answered with what it committed, or as in flight. (A claim of the same key
    /// that is no transaction of the user's is waited for without that bound: for longer only while a
    /// synchronous standby holds up every commit.) An error or a panic of the work rolls everything
    /// back, and the next call runs as if there had been none: a refusal that is to be replayed is a
    /// value, such as `Ok(Err(declined))`.
    ///
    /// Of the duplicates in this process one at a time waits with a connection of the pool, so that
    /// they never use it up.
    ///
    /// The transaction is at the level that the database's defaults say. The work is cloned and may
    /// run more than once: after a conflict with another transaction, which the source chain of its
    /// error tells, all is rolled back and it runs again; see
    /// [`retry_conflicts`](Self::retry_conflicts). Do not call out from it: a request that was sent is
    /// not rolled back. That is what [`execute_in_tx`](Self::execute_in_tx) is for.
    ///
    /// # Errors
    /// [`TxError`].
    ///
    /// # Cancel safety
    /// Dropping the future rolls everything back, unless the commit was sent already: the next
    /// call finds out.
    pub async fn once_in_tx<T, E, W>(
        &self,
        key: &RecordKey,
        fingerprint: &Fingerprint,
        work: W,
    ) -> Result<Committed<T>, TxError<E>>
    where
        T: Serialize + DeserializeOwned,
        E: Error + 'static,
        W: AsyncFnOnce(&mut Conn<S>) -> Result<T, E> + Clone,
    {
        let mut patience = Patience::new(self.engine.policy().retry_budget_time());
        loop {
            match self.try_once(key, fingerprint, work.clone()).await {
                Err(error)
                    if self.retries_conflicts
                        && Self::is_conflict(&error)
                        && patience.pause().await =>
                {
                    metrics::counter!("idem_tx_conflicts_total").increment(1);
                }
                tried => return tried,
            }
        }
    }

    async fn try_once<T, E, W>(
        &self,
        key: &RecordKey,
        fingerprint: &Fingerprint,
        work: W,
    ) -> Result<Committed<T>, TxError<E>>
    where
        T: Serialize + DeserializeOwned,
        W: AsyncFnOnce(&mut Conn<S>) -> Result<T, E>,
    {
        let (tx, claimed, turn) = self.begin_and_claim(key, fingerprint).await?;
        let once = match claimed {
            InTx::Acquired(once) => once,
            refused => {
                // It wrote nothing, or is broken.
                let _ = tx.rollback().await;
                return refuse(refused);
            }
        };
        self.run_once(tx, turn, once, work).await
    }

    async fn begin_and_claim<E>(
        &self,
        key: &RecordKey,
        fingerprint: &Fingerprint,
    ) -> Result<(Tx<'static, S>, InTx, S::Turn), TxError<E>> {
        // Without waiting at first, then in a place. The time counts from when the key was found held.
        let (mut wait, mut place, mut until) = (Duration::ZERO, None, None);
        for _ in 0..MAX_CLAIMS {
            let (mut tx, turn) = self.store.begin().await.map_err(claim_error)?;
            let claimed = self.try_claim_in_tx(&mut tx, key, fingerprint, wait, true);
            match claimed.await {
                Ok(claimed) => {
                    count(&claimed);
                    return Ok((tx, claimed, turn));
                }
                Err(Broken::Conflict(_)) => {
                    let _ = tx.rollback().await;
                }
                Err(Broken::Contended(_)) => {
                    let end = *until.get_or_insert_with(|| {
                        Instant::now().checked_add(self.store.lock_timeout())
                    });
                    // Its connection is free for others.
                    let _ = tx.rollback().await;
                    drop(turn);
                    let taken = match (&place, self.store.waiters()) {
                        (None, Some(waiters)) => in_time(end, waiters.place(key)).await,
                        _ => None,
                    };
                    wait = left(end, self.store.lock_timeout());
                    if taken.is_none() || wait.is_zero() {
                        return Err(in_flight(self.store.lock_timeout()));
                    }
                    place = taken;
                }
                Err(broken) => return Err(claim_error(Broken::into_store_error(broken))),
            }
        }
        Err(claim_error(StoreError::unavailable(
            "the claim raced with others without end",
        )))
    }

    /// How long a transaction may last under this policy.
    pub(super) fn transaction_limit(&self) -> Option<Duration> {
        let lease = self.engine.policy().lease_time();
        self.store.transaction_limit(lease)
    }

    async fn run_once<T, E, W>(
        &self,
        mut tx: Tx<'static, S>,
        turn: S::Turn,
        once: Once,
        work: W,
    ) -> Result<Committed<T>, TxError<E>>
    where
        T: Serialize + DeserializeOwned,
        W: AsyncFnOnce(&mut Conn<S>) -> Result<T, E>,
    {
        // An `async` block, so that a panic in the closure itself, or in the value's own serde code,
        // is caught as well.
        let work = async { stored_form(work(&mut tx).await) };
        let ran = AssertUnwindSafe(within(self.transaction_limit(), work));
        let answered = match ran.catch_unwind().await {
            Ok(answered) => answered,
            Err(panic) => Err(TxError::Panicked(spi::panic_message(&*panic))),
        };
        let (value, answer) = match answered {
            Ok(answered) => answered,
            Err(error) => {
                // A connection that is lost is rolled back by the server.
                let _ = tx.rollback().await;
                return Err(error);
            }
        };
        let completion = self.complete_once_in_tx(&mut tx, once, answer).await?;
        completion.commit_as_it_is(tx, turn).await?;
        Ok(Committed {
            value,
            replayed: false,
        })
    }
}

/// The result, if it comes in time.
async fn in_time<F: Future>(until: Option<Instant>, future: F) -> Option<F::Output> {
    match until {
        Some(until) => timeout_at(until, future).await.ok(),
        None => Some(future.await),
    }
}

/// The time that is left of `whole`, which ends then.
fn left(until: Option<Instant>, whole: Duration) -> Duration {
    until.map_or(whole, |until| {
        until.saturating_duration_since(Instant::now())
    })
}

fn in_flight<E>(retry_after: Duration) -> TxError<E> {
    let refused = Refused::InFlight { retry_after };
    count(&InTx::Refused(refused.clone()));
    TxError::Refused(refused)
}

fn claim_error<E>(source: StoreError) -> TxError<E> {
    TxError::Claim(ClaimError { source })
}

fn refuse<T: DeserializeOwned, E>(refused: InTx) -> Result<Committed<T>, TxError<E>> {
    Err(match refused {
        InTx::Replay(answer) => return replay(&answer),
        InTx::ReplayFailure(failure) => TxError::FailedBefore(failure),
        InTx::Refused(refused) => TxError::Refused(refused),
        InTx::Acquired(_) => TxError::Refused(Refused::Mismatch),
    })
}

/// Counts as the engine counts its claims.
fn count(claimed: &InTx) {
    let outcome = match claimed {
        InTx::Acquired(_) => "acquired",
        InTx::Replay(_) => "replay",
        InTx::ReplayFailure(_) => "replay-failure",
        InTx::Refused(refused) => refused.name(),
    };
    metrics::counter!("idem_claims_total", "outcome" => outcome).increment(1);
}
