//! What an error of the database says of the write (rule S9).

use std::error::Error;

use idem_core::store::{StoreError, StoreErrorKind};
use idem_sql::{Stage, error};
use sqlx::{error::DatabaseError, mysql::MySqlDatabaseError};

/// A lock was not to be had in time. The statement was rolled back, its transaction was not.
pub(crate) const LOCK_WAIT_TIMEOUT: u16 = 1205;
/// The server has rolled back the whole transaction to end a deadlock.
pub(crate) const DEADLOCK: u16 = 1213;
/// With `innodb_snapshot_isolation` (MariaDB): the row has changed since the transaction's snapshot.
const CHANGED_SINCE_SNAPSHOT: u16 = 1020;
/// A lock was not to be had at once (`NOWAIT`, MySQL).
const LOCK_NOWAIT: u16 = 3572;
/// There is no such savepoint.
pub(crate) const NO_SAVEPOINT: u16 = 1305;

/// Sorts an error by what it says of the write, and keeps it as the cause.
pub(crate) fn store_error(error: sqlx::Error, stage: Stage) -> StoreError {
    error::store_error(error, stage, |reported| sorted(number_of(reported), stage))
}

/// The number of an error that the server reported.
pub(crate) fn number(error: &sqlx::Error) -> Option<u16> {
    error.as_database_error().map(number_of)
}

/// The number that an error has, 0 where it says none.
fn number_of(reported: &dyn DatabaseError) -> u16 {
    let reported = reported.try_downcast_ref::<MySqlDatabaseError>();
    reported.map_or(0, MySqlDatabaseError::number)
}

fn sorted(number: u16, stage: Stage) -> (StoreErrorKind, &'static str) {
    match stage {
        // A session that ends may end between the commit and the word of it.
        Stage::Sent if ends_session(number) => (
            StoreErrorKind::Unknown,
            "the server ended the session before it answered",
        ),
        _ => reported(number),
    }
}

/// What an error says that the server raised: a statement that fails is rolled back whole, so nothing
/// was written.
fn reported(number: u16) -> (StoreErrorKind, &'static str) {
    use StoreErrorKind::{Config, Corrupt, Full, TooLarge, Unavailable};
    match number {
        LOCK_WAIT_TIMEOUT | LOCK_NOWAIT => (
            Unavailable,
            "somebody's open transaction holds the row for longer than the lock timeout",
        ),
        DEADLOCK | CHANGED_SINCE_SNAPSHOT => (Unavailable, "another transaction got in the way"),
        NO_SAVEPOINT => (
            Unavailable,
            "there is no transaction: the server has rolled it back after an error, or none was begun",
        ),
        1290 | 1792 | 1836 => (
            Unavailable,
            "the server is read-only, as a replica is: is a failover under way?",
        ),
        1040 | 1203 | 1226 => (
            Unavailable,
            "the server has no connection left: lower the pool's size or raise `max_connections`",
        ),
        1317 | 1969 | 3024 => (
            Unavailable,
            "the statement was cancelled, by a time limit or by hand",
        ),
        1053 | 1047 => (Unavailable, "the server is going down or starting up"),
        1037 | 1038 | 1041 => (Unavailable, "the server is out of memory"),
        1021 | 1114 => (Full, "the server's disk, or a limit of the table, is full"),
        1118 | 1153 | 1301 | 1406 => (
            TooLarge,
            "this is larger than the server stores: see `max_allowed_packet`",
        ),
        1146 | 1054 => (
            Config,
            "the tables are missing or of an older release: run `migrate()`, or apply `migration_sql()`",
        ),
        1044 | 1045 | 1142 | 1143 | 1227 | 1370 => (
            Config,
            "the user may not do this: grant SELECT, INSERT, UPDATE and DELETE on the tables `idem_%`",
        ),
        1049 => (Config, "the database does not exist"),
        1046 => (Config, "the URL names no database"),
        1064 | 1193 | 1231 | 1235 => (Config, "the server does not know this statement"),
        1048 | 1264 | 1366 | 1644 | 1665 => (Config, "the server can never store this"),
        1034 | 1035 | 1194 | 1195 | 1712 | 1877 => (Corrupt, "the server reports damaged data"),
        _ => (Unavailable, "the server refused the statement"),
    }
}

/// Whether the server ends the session with this error.
pub(crate) fn ends_session(number: u16) -> bool {
    matches!(
        number,
        // Shutting down, aborted, killed, a broken packet or line, idle for too long.
        1053 | 1152 | 1153 | 1156..=1161 | 1184 | 1927 | 3169 | 4031
    )
}

/// Whether a batch that failed may go through without one of its calls.
pub(crate) fn concerns_one(number: u16) -> bool {
    use StoreErrorKind::{Corrupt, Full, TooLarge};
    let (kind, _) = reported(number);
    matches!(kind, Full | TooLarge | Corrupt) || matches!(number, 1317 | 1366 | 1644 | 1969)
}

/// Whether an error, or one that caused it, is a conflict with another transaction, which was or has to
/// be rolled back: a deadlock (1213) or a changed row (1020).
pub(crate) fn is_conflict(error: &(dyn Error + 'static)) -> bool {
    let number = error::database_error(error).and_then(number);
    matches!(number, Some(DEADLOCK | CHANGED_SINCE_SNAPSHOT))
}

/// Whether the same work may succeed when it is run again in a new transaction, although this error
/// came up in it before its commit: a conflict with another transaction, a lock that was not to be had,
/// a lost connection, a pool or a server without a free one, a server that goes down.
///
/// Looks along the sources of the error for the database's own one. What the database says of the
/// statement itself (a constraint that is violated, say) is not transient.
///
/// ```
/// use idem_mysql::is_transient;
///
/// assert!(is_transient(&sqlx::Error::PoolTimedOut));
/// assert!(!is_transient(&sqlx::Error::RowNotFound));
/// ```
#[must_use]
pub fn is_transient(error: &(dyn Error + 'static)) -> bool {
    error::is_transient(error, |reported| {
        let number = number_of(reported);
        ends_session(number)
            || matches!(
                number,
                LOCK_WAIT_TIMEOUT | LOCK_NOWAIT | DEADLOCK | CHANGED_SINCE_SNAPSHOT | 1037
                    ..=1041 | 1047 | 1203 | 1226 | 1290 | 1317 | 1792 | 1836 | 1969 | 3024
            )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s9_a_statement_that_the_server_refused_was_not_applied() {
        use StoreErrorKind::{Config, Corrupt, Full, TooLarge, Unavailable};
        for (number, kind) in [
            (1205, Unavailable),
            (1213, Unavailable),
            (1290, Unavailable),
            (1040, Unavailable),
            (1317, Unavailable),
            (1114, Full),
            (1021, Full),
            (1406, TooLarge),
            (1118, TooLarge),
            (1146, Config),
            (1045, Config),
            (1049, Config),
            (1064, Config),
            (1366, Config),
            (1194, Corrupt),
            (0, Unavailable),
        ] {
            for stage in [Stage::Connecting, Stage::Sent] {
                assert_eq!(sorted(number, stage).0, kind, "{number}");
            }
        }
    }

    #[test]
    fn s9_a_session_that_is_shut_down_may_have_committed() {
        for number in [1053, 1152, 1927, 3169] {
            assert_eq!(sorted(number, Stage::Sent).0, StoreErrorKind::Unknown);
            assert_eq!(
                sorted(number, Stage::Connecting).0,
                StoreErrorKind::Unavailable
            );
        }
    }

    #[test]
    fn s9_a_missing_table_says_how_to_make_it() {
        assert!(reported(1146).1.contains("migrate()"));
    }
}
