//! A claim that commits first, and a completion that commits with the user's rows.

use std::{panic::AssertUnwindSafe, time::Duration};

use futures_util::FutureExt;
use idem_core::{
    Bytes, Claim, Context, Execution, Fingerprint, RecordKey,
    error::Superseded,
    machine::Held,
    spi::{self, Ran, Stopped},
    store::StoreError,
};
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::timeout;

use super::{Broken, CommitError, Committed, Conn, Transactional, Tx, TxError, TxStore};

/// Why a transaction was not begun for an execution.
enum NotBegun {
    Store(StoreError),
    Superseded,
}

impl<S: TxStore> Transactional<S> {
    /// Runs work once for this key. The claim commits first; what the work writes in `tx` and its
    /// answer, as JSON, commit together.
    ///
    /// An error or a panic of the work rolls back what it wrote, and the key becomes retryable: the
    /// next call runs, with the next attempt number. A refusal that is to be replayed is a value,
    /// such as `Ok(Err(declined))`. An execution that was superseded cannot commit (G3).
    ///
    /// The lease is renewed while the work runs. In SQLite, and at REPEATABLE READ and SERIALIZABLE, it
    /// is not, since the transaction could not complete a record that changed under it; the
    /// transaction locks the record instead, and nobody takes the key over before it ends.
    ///
    /// # Errors
    /// [`TxError`].
    ///
    /// # Cancel safety
    /// Dropping the future drops the work and rolls back what it wrote. The key then stays in
    /// flight until its lease is over. If the commit was sent already, the next call finds out.
    pub async fn execute_in_tx<T, E, W>(
        &self,
        key: &RecordKey,
        fingerprint: &Fingerprint,
        work: W,
    ) -> Result<Committed<T>, TxError<E>>
    where
        T: Serialize + DeserializeOwned,
        W: AsyncFnOnce(&mut Conn<S>, Context) -> Result<T, E>,
    {
        let claim = self.engine.claim(key, fingerprint).await;
        Err(match claim.map_err(TxError::Claim)? {
            Claim::Acquired(execution) => return self.run_execution(execution, work).await,
            Claim::Replay(answer) => return replay(&answer),
            Claim::ReplayFailure(failure) => TxError::FailedBefore(failure),
            Claim::Refused(refused) => TxError::Refused(refused),
        })
    }

    async fn run_execution<T, E, W>(
        &self,
        execution: Execution,
        work: W,
    ) -> Result<Committed<T>, TxError<E>>
    where
        T: Serialize + DeserializeOwned,
        W: AsyncFnOnce(&mut Conn<S>, Context) -> Result<T, E>,
    {
        let (mut tx, turn, renews) = match self.begin_for(&execution).await {
            Ok(begun) => begun,
            Err(NotBegun::Store(error)) => {
                let _ = execution.fail_retryable().await;
                return Err(CommitError::RolledBack(error).into());
            }
            Err(NotBegun::Superseded) => {
                execution.ended().await;
                return Err(CommitError::Superseded(Superseded).into());
            }
        };
        let context = execution.context();
        // An `async` block, so that a panic in the closure itself, or in the value's own serde code,
        // is caught as well.
        let limit = self.transaction_limit();
        let work = within(limit, async { stored_form(work(&mut tx, context).await) });
        let ran = match renews {
            true => execution.run(work).await,
            false => run_unrenewed(work).await,
        };
        let (value, answer) = match answer(ran) {
            Ok(answered) => answered,
            Err(error) => {
                // A connection that is lost is rolled back by the server.
                let _ = tx.rollback().await;
                drop(turn);
                // What the store does not take now it takes in the background. An execution that
                // was superseded is over already.
                let _ = execution.fail_retryable().await;
                return Err(error);
            }
        };
        let completion = self.complete_in_tx(&mut tx, execution, answer).await?;
        completion.commit_as_it_is(tx, turn).await?;
        Ok(Committed {
            value,
            replayed: false,
        })
    }

    /// A transaction for an execution, and whether its lease may be renewed meanwhile.
    async fn begin_for(
        &self,
        execution: &Execution,
    ) -> Result<(Tx<'static, S>, S::Turn, bool), NotBegun> {
        let (mut tx, turn) = self.store.begin().await.map_err(NotBegun::Store)?;
        let renews = self.store.renews_in_tx(&mut tx).await;
        if renews.map_err(NotBegun::Store)? {
            return Ok((tx, turn, true));
        }
        let locked = self.store.lock_in_tx(&mut tx, execution.key()).await;
        let found = locked.map_err(|broken| NotBegun::Store(Broken::into_store_error(broken)))?;
        match execution.holding().await.on_read(found) {
            Held::Kept => Ok((tx, turn, false)),
            _ => Err(NotBegun::Superseded),
        }
    }
}

/// The work's result, unless it lasts too long.
pub(super) async fn within<T, E>(
    limit: Option<Duration>,
    work: impl Future<Output = Result<T, TxError<E>>>,
) -> Result<T, TxError<E>> {
    match limit {
        Some(limit) => match timeout(limit, work).await {
            Ok(worked) => worked,
            Err(_) => Err(TxError::TooLong(limit)),
        },
        None => work.await,
    }
}

async fn run_unrenewed<F: Future>(work: F) -> Ran<F::Output> {
    match AssertUnwindSafe(work).catch_unwind().await {
        Ok(output) => Ran::Finished(output),
        Err(panic) => Ran::Stopped(Stopped::Panicked(spi::panic_message(&*panic))),
    }
}

/// The value that every repeat will read and its stored form, or why there is none.
pub(super) fn stored_form<T, E>(worked: Result<T, E>) -> Result<(T, Bytes), TxError<E>>
where
    T: Serialize + DeserializeOwned,
{
    spi::encode(&worked.map_err(TxError::Work)?).map_err(TxError::Unstorable)
}

/// What the work made, or why there is nothing.
fn answer<T, E>(ran: Ran<Result<(T, Bytes), TxError<E>>>) -> Result<(T, Bytes), TxError<E>> {
    match ran {
        Ran::Finished(answered) => answered,
        Ran::Stopped(Stopped::Panicked(message)) => Err(TxError::Panicked(message)),
        Ran::Stopped(Stopped::Superseded) => Err(CommitError::Superseded(Superseded).into()),
    }
}

pub(super) fn replay<T: DeserializeOwned, E>(answer: &Bytes) -> Result<Committed<T>, TxError<E>> {
    match spi::decode(answer) {
        Ok(value) => Ok(Committed {
            value,
            replayed: true,
        }),
        Err(error) => Err(TxError::Unreadable(error)),
    }
}
