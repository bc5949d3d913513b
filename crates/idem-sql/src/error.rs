//! What an error says of the write (rule S9), where it does not come from the database itself.

use std::error::Error;

use idem_core::store::{StoreError, StoreErrorKind};
use sqlx::error::DatabaseError;

use crate::Stage;

/// Sorts an error by what it says of the write, and keeps it as the cause. What the database itself
/// reports is sorted by `reported`.
pub fn store_error(
    error: sqlx::Error,
    stage: Stage,
    reported: impl FnOnce(&dyn DatabaseError) -> (StoreErrorKind, &'static str),
) -> StoreError {
    let (kind, message) = match &error {
        sqlx::Error::Database(error) => reported(error.as_ref()),
        sqlx::Error::PoolTimedOut => (
            StoreErrorKind::Unavailable,
            "no connection of the pool became free in time",
        ),
        sqlx::Error::PoolClosed => (StoreErrorKind::Unavailable, "the pool is closed"),
        sqlx::Error::Configuration(_) => (StoreErrorKind::Config, "check the connection options"),
        sqlx::Error::Encode(_) => (StoreErrorKind::Config, "the arguments cannot be sent"),
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
            (StoreErrorKind::Corrupt, "the answer cannot be read")
        }
        _ => match stage {
            Stage::Connecting => (
                StoreErrorKind::Unavailable,
                "the database cannot be reached",
            ),
            Stage::Sent => (StoreErrorKind::Unknown, "the connection was lost"),
        },
    };
    StoreError::new(kind, message).with_source(error)
}

/// The database's own error among the causes of one.
pub fn database_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a sqlx::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<sqlx::Error>() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// Whether an error, or one that caused it, is of the connection rather than of a statement, or one
/// that `reported` takes for transient: then the same work may succeed in a new transaction.
pub fn is_transient(
    error: &(dyn Error + 'static),
    reported: impl FnOnce(&dyn DatabaseError) -> bool,
) -> bool {
    match database_error(error) {
        Some(sqlx::Error::Database(error)) => reported(error.as_ref()),
        Some(
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed,
        ) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn s9_a_connection_lost_after_sending_leaves_the_outcome_unknown() {
        let lost = || sqlx::Error::Io(io::ErrorKind::ConnectionReset.into());
        let reported = |_: &dyn DatabaseError| unreachable!("it is not of the database");
        let sent = store_error(lost(), Stage::Sent, reported);
        assert_eq!(sent.kind(), StoreErrorKind::Unknown);
        assert!(sent.source().is_some(), "the cause is kept");
        let connecting = store_error(lost(), Stage::Connecting, reported);
        assert_eq!(connecting.kind(), StoreErrorKind::Unavailable);
    }

    #[test]
    fn the_database_is_found_behind_other_errors() {
        let behind = io::Error::other(
            StoreError::new(StoreErrorKind::Unavailable, "away")
                .with_source(sqlx::Error::PoolTimedOut),
        );
        assert!(matches!(
            database_error(&behind),
            Some(sqlx::Error::PoolTimedOut)
        ));
        assert!(is_transient(&behind, |_| false));
        assert!(!is_transient(&sqlx::Error::RowNotFound, |_| true));
    }
}
