//! [`OpenTransaction`]: endings that commit with what else the work wrote.

use async_trait::async_trait;

use crate::{Execution, error::Superseded, machine::Ending, store::StoreError};

/// Records how an execution ended, together with what else its work wrote: an open transaction
/// that the ending is to be part of (G7).
///
/// It is how work hands its transaction to whoever ends the execution, such as an HTTP layer that
/// knows the answer only after the work is done. `idem-postgres` has one.
///
/// Dropped instead of used, it rolls back what the work wrote.
#[async_trait]
pub trait OpenTransaction: Send + 'static {
    /// Ends the execution, and commits what the work wrote if and only if the ending is a success
    /// or a failure that is to be replayed. [`Ending::Retry`] says that nothing happened: it rolls
    /// back, and makes the key free.
    ///
    /// Renewals are over by then.
    ///
    /// # Errors
    /// [`CommitError`]; only for [`Unknown`](CommitError::Unknown) may anything have been written.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the work's writes committed with their record, or neither; the
    /// next claim of the key finds out.
    async fn end(self: Box<Self>, execution: Execution, ending: Ending) -> Result<(), CommitError>;

    /// Commits what the work wrote without a record: for work that ran unprotected, under
    /// [`OnOutage::FailOpen`](crate::OnOutage::FailOpen).
    ///
    /// # Errors
    /// [`CommitError::RolledBack`] or [`CommitError::Unknown`].
    ///
    /// # Cancel safety
    /// Dropping the future leaves the work's writes committed or rolled back, never half.
    async fn commit_unprotected(self: Box<Self>) -> Result<(), CommitError>;
}

/// A transaction that was to be committed with its record.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// It was rolled back: neither its rows nor its record are there, and the key is free again.
    #[error("rolled back, nothing was written: {0}")]
    RolledBack(#[source] StoreError),
    /// Another execution owns the key. The transaction was rolled back (G3).
    #[error(transparent)]
    Superseded(#[from] Superseded),
    /// The reply to the commit was lost, and the server could not be asked within the lease.
    /// Call again with the same key: the record tells, until its retention is over.
    #[error("it is not known whether it was committed, call again with the same key: {0}")]
    Unknown(#[source] StoreError),
}
