//! [`Transactional`]: the user's rows and the idempotency record commit together, or not at all.

mod claim;
mod commit;
mod completion;
mod error;
mod execute;
mod once;
mod patience;
mod recorder;
mod store;
mod waiters;

use std::{error::Error, fmt};

use idem_core::Idempotency;

pub use claim::{InTx, Once};
pub use completion::Completion;
pub use error::TxError;
pub use idem_core::error::CommitError;
pub use recorder::OpenTx;
pub use store::{Broken, Conn, Tx, TxStore};
pub use waiters::{Place, Waiters};

/// The transactional mode of a store: the reason to choose it (G7). Cheap to clone.
///
/// | | claim | work | when the process dies half-way |
/// |---|---|---|---|
/// | [`execute_in_tx`](Self::execute_in_tx) | commits first | may call out, with a stable [`derive_key`](idem_core::Context::derive_key) and checkpoints | the key is abandoned when its lease is over, and runs again; what it wrote was rolled back |
/// | [`once_in_tx`](Self::once_in_tx) | in the same transaction | all in this database | no trace is left; the next call runs at once |
///
/// Both begin a transaction of their own. Code that has one already takes the same steps by hand:
/// [`complete_in_tx`](Self::complete_in_tx) after a claim of the engine's, or
/// [`claim_in_tx`](Self::claim_in_tx), and then [`Completion::commit`].
#[derive(Clone)]
pub struct Transactional<S> {
    engine: Idempotency,
    store: S,
    retries_conflicts: bool,
}

impl<S: TxStore> Transactional<S> {
    /// The transactional mode of this store, under the policy of an engine over it: stores have a
    /// method `transactional` that does this.
    #[must_use]
    pub fn new(store: S, engine: &Idempotency) -> Self {
        Self {
            engine: engine.clone(),
            store,
            retries_conflicts: true,
        }
    }

    /// Whether [`once_in_tx`](Self::once_in_tx) runs its work again after a conflict with another
    /// transaction, which is what it does by default: a serialization failure or a deadlock, of the
    /// work's own statements or at the commit. All of the failed try was rolled back. It goes on within the policy's `retry_budget`.
    #[must_use]
    pub fn retry_conflicts(mut self, retry: bool) -> Self {
        self.retries_conflicts = retry;
        self
    }

    /// The store's pool, for transactions of the application's own.
    #[must_use]
    pub fn pool(&self) -> &sqlx::Pool<S::Database> {
        self.store.pool()
    }

    /// Whether a transaction was rolled back because of another one. The same work is likely to
    /// succeed when it is run again.
    #[must_use]
    pub fn is_conflict<E: Error + 'static>(error: &TxError<E>) -> bool {
        error.database_side().is_some_and(S::is_conflict)
    }

    /// The engine, for everything that needs no transaction.
    #[must_use]
    pub fn engine(&self) -> &Idempotency {
        &self.engine
    }
}

impl<S: fmt::Debug> fmt::Debug for Transactional<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transactional")
            .field("engine", &self.engine)
            .field("store", &self.store)
            .finish()
    }
}

/// What the transactional mode gives: a value that is committed, together with its record.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Committed<T> {
    /// What the work returned, now or in the execution that ran.
    pub value: T,
    /// Whether this is the stored answer of an earlier execution.
    pub replayed: bool,
}
