//! [`Completion`]: an answer that is stored in a transaction, and not yet committed.

use idem_core::{
    Bytes, Execution, RecordKey,
    error::Superseded,
    machine::{Ending, Held, Holding, Want},
};
use tokio::time::Instant;

use super::{Broken, CommitError, Conn, Transactional, Tx, TxStore};

/// An answer that is stored in a transaction, and not yet committed.
///
/// Dropped without [`commit`](Self::commit) or one of its likes, the transaction's own end decides:
/// rolled back, a key that was claimed beforehand stays in flight until its lease is over.
#[must_use = "the answer is there once the transaction is committed"]
#[derive(Debug)]
pub struct Completion<S> {
    pub(super) transactional: Transactional<S>,
    pub(super) key: RecordKey,
    pub(super) holder: Holder,
    /// A moment before the answer was stored: its retention is not over before it is since then.
    pub(super) began: Instant,
}

/// Who holds the key.
#[derive(Debug)]
pub(super) enum Holder {
    /// A claim that was committed beforehand.
    Execution(Execution),
    /// The row of the same transaction.
    Once(Box<Holding>),
}

impl<S: TxStore> Transactional<S> {
    /// Stores the answer of an execution in a transaction of the caller's, to be committed with
    /// whatever else it writes: the last step of what [`execute_in_tx`](Self::execute_in_tx) does.
    ///
    /// Renewals have to be over: the work is done. Go on with [`Completion::commit`].
    ///
    /// # Errors
    /// [`CommitError`]. The transaction cannot be committed any more: roll it back.
    ///
    /// # Cancel safety
    /// Roll the transaction back after dropping the future; the key stays in flight until its
    /// lease is over.
    pub async fn complete_in_tx(
        &self,
        tx: &mut Conn<S>,
        execution: Execution,
        answer: impl Into<Bytes>,
    ) -> Result<Completion<S>, CommitError> {
        self.store_in_tx(tx, execution, Ending::Complete(answer.into()))
            .await
    }

    /// [`complete_in_tx`](Self::complete_in_tx) with a failure: every repeat gets these bytes, and
    /// nothing runs again. What the transaction wrote is committed with it.
    ///
    /// # Errors
    /// As [`complete_in_tx`](Self::complete_in_tx), also for cancel safety.
    pub async fn fail_in_tx(
        &self,
        tx: &mut Conn<S>,
        execution: Execution,
        failure: impl Into<Bytes>,
    ) -> Result<Completion<S>, CommitError> {
        self.store_in_tx(tx, execution, Ending::Fail(failure.into()))
            .await
    }

    pub(super) async fn store_in_tx(
        &self,
        tx: &mut Conn<S>,
        execution: Execution,
        ending: Ending,
    ) -> Result<Completion<S>, CommitError> {
        let (key, began) = (execution.key().clone(), Instant::now());
        match self.end_execution(tx, &execution, ending).await {
            Ok(Held::Ended(_)) => Ok(Completion {
                transactional: self.clone(),
                key,
                holder: Holder::Execution(execution),
                began,
            }),
            Ok(_) => {
                // It cannot go through even if the caller takes no notice (G3).
                self.store.forbid_commit(tx).await;
                execution.ended().await;
                Err(CommitError::Superseded(Superseded))
            }
            Err(broken) => {
                let error = broken.into_store_error();
                // The error ended the transaction and its locks. If not, this lands later.
                let _ = execution.fail_retryable().await;
                Err(CommitError::RolledBack(error))
            }
        }
    }

    async fn end_execution(
        &self,
        tx: &mut Conn<S>,
        execution: &Execution,
        ending: Ending,
    ) -> Result<Held, Broken> {
        let mut holding = execution.holding().await;
        match holding.want(Want::end(ending)) {
            Ok(()) => {
                self.end_holding(tx, execution.key(), &mut holding, false)
                    .await
            }
            Err(Superseded) => Ok(Held::Superseded),
        }
    }
}

impl<S: TxStore> Completion<S> {
    /// Commits the transaction, and finds out what became of it if the reply is lost.
    ///
    /// # Errors
    /// [`CommitError`], which tells "rolled back" from "not known".
    ///
    /// # Cancel safety
    /// Dropping the future leaves the transaction committed or not, with its record or without
    /// both; the next call with the same key finds out.
    pub async fn commit(self, mut tx: Tx<'_, S>) -> Result<(), CommitError> {
        // PostgreSQL answers a COMMIT without an error when a statement of the transaction failed
        // before and nobody took notice: it then rolls back.
        if let Err(error) = self.transactional.store.is_sound(&mut tx).await {
            drop(tx);
            return self.was_rolled_back(error).await;
        }
        self.commit_as_it_is(tx, ()).await
    }

    /// Rolls the transaction back and makes the key free for the next call.
    ///
    /// # Cancel safety
    /// Dropping the future rolls back as well; a key that was claimed beforehand may then stay in
    /// flight until its lease is over.
    pub async fn roll_back(self, tx: Tx<'_, S>) {
        // A connection that is lost is rolled back by the server.
        let _ = tx.rollback().await;
        self.let_go().await;
    }

    /// Takes note that the transaction was committed by other means.
    pub async fn committed(self) {
        if let Holder::Execution(execution) = self.holder {
            execution.ended().await;
        }
    }

    /// Makes the key free after a transaction that was rolled back by other means.
    pub(super) async fn let_go(self) {
        if let Holder::Execution(execution) = self.holder {
            execution.holding().await.reopen();
            // What the store does not take now it takes in the background.
            let _ = execution.fail_retryable().await;
        }
    }
}
