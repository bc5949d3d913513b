//! [`OpenTx`]: a transaction that is handed to whoever ends the execution.

use async_trait::async_trait;
use idem_core::{Execution, machine::Ending, spi::OpenTransaction};
use sqlx::{Postgres, Transaction};

use super::{CommitError, Transactional};
use crate::{
    error::{Stage, store_error},
    session::Failure,
};

/// An open transaction, to be committed by whoever ends the execution that wrote in it.
///
/// Dropped instead of used, the transaction is rolled back.
#[derive(Debug)]
#[must_use = "dropped, the transaction is rolled back"]
pub struct OpenTx {
    transactional: Transactional,
    tx: Transaction<'static, Postgres>,
}

impl Transactional {
    /// Hands a transaction over to whoever ends the execution that wrote in it: for an HTTP
    /// handler, say, whose layer knows the answer only after the handler is done.
    ///
    /// The transaction may be on any connection to the same database, which one of another pool
    /// spares the store's own. Begin it at READ COMMITTED: at a stricter level a transaction in
    /// whose time the lease was renewed is refused with SQLSTATE 40001, and rolled back.
    ///
    /// ```no_run
    /// # use idem_core::{Execution, machine::Ending, spi::OpenTransaction};
    /// # use idem_postgres::{CommitError, PostgresStore, Transactional};
    /// # async fn example(
    /// #     transactional: Transactional, pool: sqlx::PgPool, execution: Execution,
    /// # ) -> Result<(), Box<dyn std::error::Error>> {
    /// let mut tx = pool.begin().await?;
    /// let insert = sqlx::query("INSERT INTO payments (amount) VALUES (500)");
    /// insert.execute(&mut *tx).await?;
    /// let transaction = Box::new(transactional.open_tx(tx));
    /// // What `idem-tower` does with a transaction that a handler hands over:
    /// transaction.end(execution, Ending::Complete("paid".into())).await?;
    /// # Ok(()) }
    /// ```
    pub fn open_tx(&self, tx: Transaction<'static, Postgres>) -> OpenTx {
        OpenTx {
            transactional: self.clone(),
            tx,
        }
    }
}

#[async_trait]
impl OpenTransaction for OpenTx {
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
            Err(error) if Failure::is_refusal(&error) => Err(CommitError::RolledBack(store_error(
                error,
                Stage::Connecting,
            ))),
            // There is no record to ask what became of a commit whose reply was lost.
            Err(error) => Err(CommitError::Unknown(store_error(error, Stage::Sent))),
        }
    }
}
