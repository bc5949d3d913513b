//! [`OpenTx`]: a transaction that is handed to whoever ends the execution.

use std::fmt;

use async_trait::async_trait;
use idem_core::{Execution, machine::Ending, spi::OpenTransaction};

use super::{CommitError, Transactional, Tx, TxStore};
use crate::Stage;

/// An open transaction, to be committed by whoever ends the execution that wrote in it.
///
/// Dropped instead of used, the transaction is rolled back.
#[must_use = "dropped, the transaction is rolled back"]
pub struct OpenTx<S: TxStore> {
    transactional: Transactional<S>,
    tx: Tx<'static, S>,
}

impl<S: TxStore> fmt::Debug for OpenTx<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenTx").finish_non_exhaustive()
    }
}

impl<S: TxStore> Transactional<S> {
    /// Hands a transaction over to whoever ends the execution that wrote in it: for an HTTP
    /// handler, say, whose layer knows the answer only after the handler is done.
    ///
    /// The transaction may be on any connection to the same database, which one of another pool spares
    /// the store's own. In PostgreSQL begin it at READ COMMITTED: at a stricter level a transaction in
    /// whose time the lease was renewed is refused with SQLSTATE 40001, and rolled back. In SQLite
    /// begin it with `BEGIN IMMEDIATE` and keep it short: nobody else can write meanwhile, and the
    /// lease is not renewed.
    pub fn open_tx(&self, tx: Tx<'static, S>) -> OpenTx<S> {
        OpenTx {
            transactional: self.clone(),
            tx,
        }
    }
}

#[async_trait]
impl<S: TxStore> OpenTransaction for OpenTx<S> {
    async fn end(self: Box<Self>, execution: Execution, ending: Ending) -> Result<(), CommitError> {
        let Self {
            transactional,
            mut tx,
        } = *self;
        if ending == Ending::Retry {
            // A connection that is lost is rolled back by the server.
            let _ = tx.rollback().await;
            execution.fail_retryable().await?;
            return Ok(());
        }
        let stored = transactional.store_in_tx(&mut tx, execution, ending).await;
        stored?.commit(tx).await
    }

    async fn commit_unprotected(self: Box<Self>) -> Result<(), CommitError> {
        match self.tx.commit().await {
            Ok(()) => Ok(()),
            // The server said no: a deferred constraint, a conflict at SERIALIZABLE.
            Err(error) if S::is_refusal(&error) => Err(CommitError::RolledBack(S::store_error(
                error,
                Stage::Connecting,
            ))),
            // There is no record to ask what became of a commit whose reply was lost.
            Err(error) => Err(CommitError::Unknown(S::store_error(error, Stage::Sent))),
        }
    }
}
