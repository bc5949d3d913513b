//! What can go wrong in a transaction.

use std::{fmt, time::Duration};

use idem_core::{
    Bytes, Refused,
    error::{ClaimError, CommitError, DecodeError, EncodeError},
};

/// Why [`execute_in_tx`](super::Transactional::execute_in_tx) and
/// [`once_in_tx`](super::Transactional::once_in_tx) have no value to give. `E` is the work's own
/// error.
#[derive(Debug)]
#[non_exhaustive]
pub enum TxError<E> {
    /// The work failed: what it wrote was rolled back, and the next call runs again.
    Work(E),
    /// The transaction lasted longer than the store allows: what the work wrote was rolled back, and
    /// the next call runs again.
    TooLong(Duration),
    /// The work panicked: what it wrote was rolled back, and the next call runs again.
    Panicked(String),
    /// The database failed before or at the commit, or another execution took the key over.
    Commit(CommitError),
    /// The work succeeded and its value cannot be stored as an answer. What the work wrote was
    /// rolled back, nothing was committed, and the next call runs again.
    Unstorable(EncodeError),
    /// The stored answer does not read as the type that was asked for. It is still stored; see
    /// [`DecodeError`] for how to change the type of an answer.
    Unreadable(DecodeError),
    /// The key ended in a failure that was stored by other means than these; its bytes.
    FailedBefore(Bytes),
    /// The work did not run, and there is no answer: the key is in flight, or belongs to another
    /// request, or has to be settled by hand.
    Refused(Refused),
    /// The store did not let the claim through; nothing ran (G6).
    Claim(ClaimError),
}

impl<E: std::error::Error + 'static> TxError<E> {
    /// What may have the database's error among its causes.
    pub(super) fn database_side(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Work(error) => Some(error),
            Self::Commit(CommitError::RolledBack(error)) => Some(error),
            Self::Claim(error) => Some(&error.source),
            _ => None,
        }
    }
}

impl<E> From<CommitError> for TxError<E> {
    fn from(error: CommitError) -> Self {
        Self::Commit(error)
    }
}

impl<E: fmt::Display> fmt::Display for TxError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Work(error) => write!(f, "the work failed and was rolled back: {error}"),
            Self::Panicked(message) => {
                write!(f, "the work panicked and was rolled back: {message}")
            }
            Self::TooLong(limit) => {
                write!(
                    f,
                    "the work lasted longer than {limit:?} and was rolled back"
                )
            }
            Self::Commit(error) => error.fmt(f),
            Self::Unstorable(error) => write!(f, "rolled back: {error}"),
            Self::Unreadable(error) => error.fmt(f),
            Self::FailedBefore(_) => f.write_str("the key ended in a failure before"),
            Self::Refused(refused) => refused.fmt(f),
            Self::Claim(error) => error.fmt(f),
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for TxError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Work(error) => Some(error),
            Self::Commit(error) => std::error::Error::source(error),
            Self::Unstorable(error) => std::error::Error::source(error),
            Self::Unreadable(error) => std::error::Error::source(error),
            Self::Claim(error) => Some(&error.source),
            _ => None,
        }
    }
}
