//! What can go wrong in a transaction.

use std::{fmt, time::Duration};

use idem_core::{Bytes, ClaimError, CommitError};

use crate::error::is_conflict;

/// Why [`execute_in_tx`](crate::Transactional::execute_in_tx) and
/// [`once_in_tx`](crate::Transactional::once_in_tx) have no value to give. `E` is the work's own
/// error.
#[derive(Debug)]
#[non_exhaustive]
pub enum TxError<E> {
    /// The work failed: what it wrote was rolled back, and the next call runs again.
    Work(E),
    /// The work panicked: what it wrote was rolled back, and the next call runs again.
    Panicked(String),
    /// The database failed before or at the commit, or another execution took the key over.
    Commit(CommitError),
    /// The work succeeded and its value does not serialise, or the stored answer is of another
    /// type than the one asked for. In the first case it was rolled back.
    Serde(serde_json::Error),
    /// The key ended in a failure that was stored by other means than these; its bytes.
    FailedBefore(Bytes),
    /// The key belongs to another request (G4).
    Mismatch,
    /// Another execution is in flight; ask again in about this time.
    InFlight {
        /// Lease left, or how long it was waited for already.
        retry_after: Duration,
    },
    /// An execution vanished and the policy says to halt; see
    /// [`resolve`](idem_core::Idempotency::resolve).
    Abandoned {
        /// The lost execution's fencing number.
        attempt: u32,
    },
    /// The key has had all the attempts that the policy allows.
    Exhausted {
        /// How many it had.
        attempts: u32,
    },
    /// The store did not let the claim through; nothing ran (G6).
    Claim(ClaimError),
}

impl<E: std::error::Error + 'static> TxError<E> {
    /// Whether the transaction was rolled back because of another one: a serialization failure or a
    /// deadlock. The same work is likely to succeed when it is run again.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        match self {
            Self::Work(error) => is_conflict(error),
            Self::Commit(CommitError::RolledBack(error)) => is_conflict(error),
            Self::Claim(error) => is_conflict(&error.source),
            _ => false,
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
            Self::Commit(error) => error.fmt(f),
            Self::Serde(error) => write!(f, "the answer is of another type, or of none: {error}"),
            Self::FailedBefore(_) => f.write_str("the key ended in a failure before"),
            Self::Mismatch => {
                f.write_str("the key was used for another request; draw a new key for a new intent")
            }
            Self::InFlight { retry_after } => {
                write!(
                    f,
                    "another execution is in flight; ask again in {retry_after:?}"
                )
            }
            Self::Abandoned { attempt } => write!(
                f,
                "execution {attempt} of this key vanished half-way; its outcome is unknown"
            ),
            Self::Exhausted { attempts } => {
                write!(f, "the key has had all its {attempts} attempts")
            }
            Self::Claim(error) => error.fmt(f),
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for TxError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Work(error) => Some(error),
            Self::Commit(error) => std::error::Error::source(error),
            Self::Serde(error) => Some(error),
            Self::Claim(error) => Some(&error.source),
            _ => None,
        }
    }
}
