//! [`Transactional`]: the user's rows and the idempotency record commit together, or not at all.

mod claim;
mod commit;
mod completion;
mod error;
mod execute;
mod once;
mod patience;
mod recorder;
mod statements;
mod waiters;

use std::fmt;

use idem_core::Idempotency;

pub use claim::{InTx, Once};
pub use completion::Completion;
pub use error::TxError;
pub use idem_core::error::CommitError;
pub use recorder::OpenTx;
pub(crate) use waiters::Waiters;

use crate::PostgresStore;

/// The transactional mode of a [`PostgresStore`]: the reason to choose it (G7). Cheap to clone.
///
/// | | claim | work | when the process dies half-way |
/// |---|---|---|---|
/// | [`execute_in_tx`](Self::execute_in_tx) | commits first | may call out, with a stable [`derive_key`](idem_core::Context::derive_key) and checkpoints | the key is abandoned when its lease is over, and runs again; what it wrote was rolled back |
/// | [`once_in_tx`](Self::once_in_tx) | in the same transaction | all in this database | no trace is left; the next call runs at once |
///
/// Both begin a transaction of their own. Code that has one already takes the same steps by hand:
/// [`complete_in_tx`](Self::complete_in_tx) after a claim of the engine's, or
/// [`claim_in_tx`](Self::claim_in_tx), and then [`Completion::commit`].
///
/// ```no_run
/// use idem_core::{Fingerprint, Idempotency, IdempotencyKey, Scope};
/// use idem_postgres::{PostgresStore, TxError};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let store = PostgresStore::connect("postgres://app@db.example/app").await?;
/// let idem = Idempotency::builder(store.clone()).build()?;
/// let payments = store.transactional(&idem);
///
/// let key = Scope::new("merchant-7")?.key(&IdempotencyKey::new("order-4711")?);
/// let fingerprint = Fingerprint::of("payments/v1", b"500 usd");
/// let payment = payments
///     .once_in_tx(&key, &fingerprint, async |tx| {
///         let insert = sqlx::query("INSERT INTO payments (amount) VALUES (500)");
///         Ok::<_, sqlx::Error>(insert.execute(tx).await?.rows_affected())
///     })
///     .await?;
/// assert_eq!(payment.value, 1); // a repeat gets the same, with `replayed` true
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Transactional {
    engine: Idempotency,
    store: PostgresStore,
    retries_conflicts: bool,
}

impl PostgresStore {
    /// The transactional mode of this store, under the policy of an engine over it.
    ///
    /// The engine has to be one over this very store (or a clone of it): a claim that another
    /// store has cannot be completed here, and is answered as superseded.
    #[must_use]
    pub fn transactional(&self, engine: &Idempotency) -> Transactional {
        Transactional {
            engine: engine.clone(),
            store: self.clone(),
            retries_conflicts: true,
        }
    }
}

impl Transactional {
    /// Whether [`once_in_tx`](Self::once_in_tx) runs its work again after a conflict with another
    /// transaction, which is what it does by default: a serialization failure (SQLSTATE 40001) or a
    /// deadlock (40P01), of the work's own statements or at the commit. All of the failed try was
    /// rolled back. It goes on within the policy's `retry_budget`.
    #[must_use]
    pub fn retry_conflicts(mut self, retry: bool) -> Self {
        self.retries_conflicts = retry;
        self
    }

    /// The store's pool, for transactions of the application's own.
    #[must_use]
    pub fn pool(&self) -> &sqlx::PgPool {
        self.store.pool()
    }

    /// The engine, for everything that needs no transaction.
    #[must_use]
    pub fn engine(&self) -> &Idempotency {
        &self.engine
    }
}

impl fmt::Debug for Transactional {
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
