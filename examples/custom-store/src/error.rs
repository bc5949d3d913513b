//! What redb's errors say of a write (rule S9).

use std::io::ErrorKind;

use idem_core::store::StoreError;
use redb::{CommitError, DatabaseError, Error};

/// Anything that went wrong before a commit: the transaction is dropped, so nothing was written.
pub(crate) fn before_commit(error: impl Into<Error>) -> StoreError {
    let error = error.into();
    let described = match &error {
        Error::Io(io) if is_full(io.kind()) => StoreError::full("free some room on the disk"),
        Error::ValueTooLarge(_) => StoreError::too_large("redb takes values up to 3 GiB"),
        Error::Corrupted(_) => StoreError::corrupt("restore the file from a backup"),
        Error::PreviousIo | Error::DatabaseClosed => {
            StoreError::unavailable("the disk failed before; open the store again")
        }
        Error::TableTypeMismatch { .. } => {
            StoreError::config("another program keeps its own tables in this file")
        }
        _ => StoreError::unavailable("the database refused"),
    };
    described.with_source(error)
}

/// A commit that failed: how much of it reached the disk is anybody's guess.
pub(crate) fn at_commit(error: CommitError) -> StoreError {
    StoreError::unknown("the commit did not come back").with_source(Error::from(error))
}

/// A file that is no store, or not for us.
pub(crate) fn opening(error: DatabaseError) -> StoreError {
    match error {
        DatabaseError::DatabaseAlreadyOpen => {
            StoreError::config("another process has the file open; it is for one at a time")
                .with_source(error)
        }
        DatabaseError::Storage(error) => before_commit(error),
        other => StoreError::config("the file cannot be opened").with_source(other),
    }
}

fn is_full(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge
    )
}

#[cfg(test)]
mod tests {
    use std::{error::Error as _, io};

    use idem_core::store::StoreErrorKind;
    use redb::StorageError;

    use super::*;

    #[test]
    fn s9_a_full_disk_is_told_from_one_that_fails() {
        let full = before_commit(StorageError::Io(ErrorKind::StorageFull.into()));
        let failing = before_commit(StorageError::Io(io::Error::other("I/O error")));
        assert_eq!(full.kind(), StoreErrorKind::Full);
        assert_eq!(failing.kind(), StoreErrorKind::Unavailable);
        assert!(full.source().is_some() && failing.source().is_some());
    }

    #[test]
    fn s9_a_commit_that_fails_may_have_been_applied() {
        let failed = at_commit(StorageError::Io(ErrorKind::StorageFull.into()).into());
        assert_eq!(failed.kind(), StoreErrorKind::Unknown);
    }
}
