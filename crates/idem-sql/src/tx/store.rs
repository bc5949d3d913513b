//! [`TxStore`]: what a store adds for its transactional mode.

use std::{error::Error, fmt, future::Future, sync::Arc, time::Duration};

use idem_core::{
    RecordKey,
    machine::Write,
    store::{Created, Record, Store, StoreError, Stored, Updated},
};
use sqlx::{Database, Pool, Transaction};

use super::Waiters;
use crate::Stage;

/// A connection of a store's database.
pub type Conn<S> = <<S as TxStore>::Database as Database>::Connection;

/// A transaction of a store's database.
pub type Tx<'a, S> = Transaction<'a, <S as TxStore>::Database>;

/// A store whose records can be written in a transaction of the user's.
pub trait TxStore: Store + Clone + fmt::Debug + 'static {
    /// Its database.
    type Database: Database;

    /// What is held from the begin of a transaction of the store's until it has ended.
    type Turn: Send + 'static;

    /// The pool that transactions take their connections from.
    fn pool(&self) -> &Pool<Self::Database>;

    /// Begins a transaction on a connection of the pool.
    fn begin(
        &self,
    ) -> impl Future<Output = Result<(Tx<'static, Self>, Self::Turn), StoreError>> + Send;

    /// [`Store::create`] of a first claim, waiting no longer than this for another transaction that
    /// holds the key. `begun` says that the store [began](Self::begin) this transaction, and that
    /// nothing else has run in it.
    fn create_in_tx<'a>(
        &'a self,
        tx: &'a mut Conn<Self>,
        key: &'a RecordKey,
        claim: &'a Record,
        ttl: Duration,
        wait: Duration,
        begun: bool,
    ) -> impl Future<Output = Result<Created, Broken>> + Send + 'a;

    /// [`Store::update`] likewise.
    fn update_in_tx<'a>(
        &'a self,
        tx: &'a mut Conn<Self>,
        key: &'a RecordKey,
        write: &'a Write,
        ttl: Duration,
        wait: Duration,
    ) -> impl Future<Output = Result<Updated, Broken>> + Send + 'a;

    /// [`Store::update`] for a holder's ending, which nobody is likely to get in the way of. `own`
    /// says that this transaction holds the row already.
    fn end_in_tx<'a>(
        &'a self,
        tx: &'a mut Conn<Self>,
        key: &'a RecordKey,
        write: &'a Write,
        ttl: Duration,
        own: bool,
    ) -> impl Future<Output = Result<Updated, Broken>> + Send + 'a;

    /// The record of a key, which stays as it is until this transaction ends.
    fn lock_in_tx<'a>(
        &'a self,
        tx: &'a mut Conn<Self>,
        key: &'a RecordKey,
    ) -> impl Future<Output = Result<Option<Stored>, Broken>> + Send + 'a;

    /// The record of a key as a transaction that may hold it has left it: waits for that to end, and
    /// leaves no trace. `claim` is one that may be filed for it, and rolled back.
    fn settled<'a>(
        &'a self,
        key: &'a RecordKey,
        claim: &'a Record,
        ttl: Duration,
    ) -> impl Future<Output = Result<Option<Stored>, StoreError>> + Send + 'a;

    /// Whether a lease may be renewed while this transaction is open.
    fn renews_in_tx<'a>(
        &'a self,
        tx: &'a mut Conn<Self>,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send + 'a;

    /// Whether no statement of the transaction has failed.
    fn is_sound<'a>(
        &'a self,
        tx: &'a mut Conn<Self>,
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send + 'a;

    /// Sees to it that the transaction cannot be committed any more (G3).
    fn forbid_commit<'a>(&'a self, tx: &'a mut Conn<Self>) -> impl Future<Output = ()> + Send + 'a;

    /// What an error says of the write.
    fn store_error(error: sqlx::Error, stage: Stage) -> StoreError;

    /// Whether an error of a commit says that it was rolled back.
    fn is_refusal(error: &sqlx::Error) -> bool;

    /// Whether an error, or one that caused it, is a conflict with another transaction.
    fn is_conflict(error: &(dyn Error + 'static)) -> bool;

    /// How long to wait for another transaction that holds the key.
    fn lock_timeout(&self) -> Duration;

    /// How long a commit may take before its outcome is asked for.
    fn commit_timeout(&self) -> Duration;

    /// How long a transaction may last under this lease; `None` for no limit.
    fn transaction_limit(&self, lease: Duration) -> Option<Duration> {
        let _ = lease;
        None
    }

    /// Places for duplicates that wait, where waiting takes a connection of the pool.
    fn waiters(&self) -> Option<&Arc<Waiters>> {
        None
    }
}

/// A statement in a transaction that failed, and the transaction with it.
#[derive(Debug)]
pub enum Broken {
    /// For this reason.
    Failed(StoreError),
    /// The whole transaction may be tried again at once.
    Conflict(StoreError),
    /// Another transaction holds the key, for longer than was to be waited.
    Contended(StoreError),
}

impl Broken {
    /// What it says of the transaction: without its commit nothing of it is there.
    #[must_use]
    pub fn into_store_error(self) -> StoreError {
        match self {
            Self::Failed(error) | Self::Conflict(error) | Self::Contended(error) => error,
        }
    }

    /// Somebody else's write went through, again and again.
    #[must_use]
    pub fn raced() -> Self {
        Self::Failed(StoreError::unavailable(
            "the statement raced with others without end",
        ))
    }
}
