//! What can go wrong with the books.

use idem_tower::NotTaken;

use crate::problem::Problem;

/// Books that cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LedgerError {
    /// Nothing was written.
    #[error("the books cannot be used: {0}")]
    Unavailable(#[from] sqlx::Error),
    /// Something may have been written.
    #[error("nobody knows whether the books were written: {0}")]
    Unknown(#[source] sqlx::Error),
    /// Nothing was written.
    #[error(transparent)]
    NotTaken(#[from] NotTaken),
}

impl From<LedgerError> for Problem {
    fn from(error: LedgerError) -> Self {
        tracing::error!(%error, "a request failed");
        match error {
            LedgerError::Unavailable(_) => Self::books_unavailable(),
            LedgerError::Unknown(_) | LedgerError::NotTaken(_) => Self::books_failed(),
        }
    }
}
