//! What an error of the database says of the write (rule S9).

use std::error::Error;

use idem_core::store::{StoreError, StoreErrorKind};
use idem_sql::{Stage, error};
use sqlx::error::DatabaseError;

/// Sorts an error by what it says of the write, and keeps it as the cause.
///
/// [`Stage::Sent`] is for commits: an error of any other statement is rolled back with it.
pub(crate) fn store_error(error: sqlx::Error, stage: Stage) -> StoreError {
    error::store_error(error, stage, |reported| sorted(code(reported), stage))
}

/// The result code that SQLite reports, with its extended bits.
pub(crate) fn code(reported: &dyn DatabaseError) -> i32 {
    let code = reported.code();
    code.and_then(|code| code.parse().ok()).unwrap_or(1)
}

/// The primary result code of an error, if SQLite reported it.
pub(crate) fn primary_code(error: &sqlx::Error) -> Option<i32> {
    match error {
        sqlx::Error::Database(reported) => Some(code(reported.as_ref()) & 0xff),
        _ => None,
    }
}

/// `SQLITE_BUSY`: somebody else is writing.
pub(crate) const BUSY: i32 = 5;

fn sorted(code: i32, stage: Stage) -> (StoreErrorKind, &'static str) {
    use StoreErrorKind::{Config, Corrupt, Full, TooLarge, Unavailable, Unknown};
    match code & 0xff {
        1 => (
            Config,
            "the statement does not fit the tables; were they changed by hand?",
        ),
        3 | 8 | 23 => (Config, "the file or its folder cannot be written to"),
        BUSY | 6 => (
            Unavailable,
            "another transaction holds the file's write lock for longer than the busy timeout",
        ),
        7 => (Unavailable, "out of memory"),
        10 if stage == Stage::Sent => (
            Unknown,
            "the disk failed while the transaction was committed",
        ),
        10 => (Unavailable, "the disk reports an error"),
        11 => (
            Corrupt,
            "the file is damaged: stop writing to it, and restore it from a backup",
        ),
        13 => (Full, "the disk, or the largest size of the file, is full"),
        14 => (
            Unavailable,
            "the file cannot be opened; is its folder there, and may it be written to?",
        ),
        18 => (TooLarge, "this is larger than SQLite can store"),
        19 | 20 => (Config, "SQLite can never store this"),
        26 => (Corrupt, "the file is not an SQLite database"),
        _ if stage == Stage::Sent => (Unknown, "the commit failed"),
        _ => (Unavailable, "SQLite refused the statement"),
    }
}

/// Whether a batch that failed may go through without one of its calls: one is too large, does not
/// fit on the disk, or lies on a damaged page.
pub(crate) fn splits(error: &StoreError) -> bool {
    use StoreErrorKind::{Config, Corrupt, Full, TooLarge};
    matches!(error.kind(), Full | TooLarge | Corrupt | Config)
}

/// Whether an error, or one that caused it, is a conflict with another transaction: the file's write
/// lock was not to be had (`SQLITE_BUSY`), or was given to another since this transaction began to
/// read (`SQLITE_BUSY_SNAPSHOT`).
pub(crate) fn is_conflict(error: &(dyn Error + 'static)) -> bool {
    error::database_error(error).and_then(primary_code) == Some(BUSY)
}

/// Whether the same work may succeed when it is run again in a new transaction, although this error
/// came up in it before its commit: another transaction held the write lock, no connection of the
/// pool was free, the disk reported an error.
///
/// Looks along the sources of the error for the database's own one. What SQLite says of the statement
/// itself (a constraint that is violated, say) is not transient.
///
/// ```
/// use idem_sqlite::is_transient;
///
/// assert!(is_transient(&sqlx::Error::PoolTimedOut));
/// assert!(!is_transient(&sqlx::Error::RowNotFound));
/// ```
#[must_use]
pub fn is_transient(error: &(dyn Error + 'static)) -> bool {
    error::is_transient(error, |reported| {
        matches!(code(reported) & 0xff, BUSY | 6 | 7 | 9 | 10 | 14)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s9_an_error_before_the_commit_is_never_unknown() {
        for code in 1..=28 {
            let (kind, _) = sorted(code, Stage::Connecting);
            assert_ne!(kind, StoreErrorKind::Unknown, "{code}");
        }
        assert_eq!(sorted(1034, Stage::Sent).0, StoreErrorKind::Unknown);
        assert_eq!(sorted(13, Stage::Sent).0, StoreErrorKind::Full);
    }

    #[test]
    fn s9_extended_codes_are_read_by_their_primary_one() {
        assert_eq!(
            sorted(517, Stage::Connecting).0,
            StoreErrorKind::Unavailable
        );
        assert_eq!(sorted(267, Stage::Connecting).0, StoreErrorKind::Corrupt);
    }
}
