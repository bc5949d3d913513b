//! What an error of the database says of the write (rule S9).

use std::error::Error;

use idem_core::store::{StoreError, StoreErrorKind};
use idem_sql::{Stage, error};
use sqlx::{
    error::DatabaseError,
    postgres::{PgDatabaseError, PgSeverity},
};

use crate::session::Failure;

/// Sorts an error by what it says of the write, and keeps it as the cause.
pub(crate) fn store_error(error: sqlx::Error, stage: Stage) -> StoreError {
    error::store_error(error, stage, |reported| database(reported, stage))
}

fn database(reported: &dyn DatabaseError, stage: Stage) -> (StoreErrorKind, &'static str) {
    let code = reported.code().unwrap_or_default();
    match stage {
        // A session that ends may end between the commit and the word of it.
        Stage::Sent if is_fatal(reported) && ends_midway(&code) => (
            StoreErrorKind::Unknown,
            "the server ended the session before it answered",
        ),
        _ => sqlstate(&code),
    }
}

/// Whether a database error, or one that was caused by one, is a conflict with another transaction: a
/// serialization failure (SQLSTATE 40001) or a deadlock (40P01).
pub(crate) fn is_conflict(error: &(dyn Error + 'static)) -> bool {
    let reported = error::database_error(error).and_then(sqlx::Error::as_database_error);
    let code = reported.and_then(DatabaseError::code);
    matches!(code.as_deref(), Some("40001" | "40P01"))
}

/// Whether the same work may succeed when it is run again in a new transaction, although this error
/// came up in it before its commit: a conflict with another transaction, a lock that was not to be
/// had, a lost connection, a pool or a server without a free one, a server that goes down.
///
/// Looks along the sources of the error for the database's own one. What is not of the database, and
/// what the database says of the statement itself (a constraint that is violated, say), is not
/// transient.
///
/// A handler that answers behind `idem-tower` needs the difference: its transaction is rolled back, so
/// a transient error may let the next request run, while a final answer is stored and replayed.
///
/// ```
/// use idem_postgres::is_transient;
///
/// assert!(is_transient(&sqlx::Error::PoolTimedOut));
/// assert!(!is_transient(&sqlx::Error::RowNotFound));
/// ```
#[must_use]
pub fn is_transient(error: &(dyn Error + 'static)) -> bool {
    error::is_transient(error, |reported| {
        let code = reported.code().unwrap_or_default();
        let transient = ["08", "40", "53", "57"];
        code == "55P03" || code == "25006" || transient.contains(&code.get(..2).unwrap_or(""))
    })
}

/// Whether an error ends its session.
pub(crate) fn is_fatal(reported: &dyn DatabaseError) -> bool {
    reported
        .try_downcast_ref::<PgDatabaseError>()
        .is_none_or(|error| matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic))
}

/// Whether a statement for many calls failed in a way that may concern one of them alone.
pub(crate) fn splits(failure: &Failure) -> bool {
    failure.refusal().is_some_and(|code| is_about_a_row(&code))
}

fn is_about_a_row(code: &str) -> bool {
    // What cannot be stored, what is too much, what takes too long, what is damaged or locked, and
    // whatever a trigger of the user's says.
    const CLASSES: [&str; 7] = ["22", "23", "53", "54", "57", "P0", "XX"];
    matches!(code, "40P01" | "55P03") || CLASSES.iter().any(|class| code.starts_with(class))
}

/// Whether a statement gave up on a lock.
pub(crate) fn waited_too_long(failure: &Failure) -> bool {
    failure.refusal().as_deref() == Some("55P03")
}

/// Whether a fatal error with this code may come after a commit. The others refuse the session
/// before it begins.
fn ends_midway(code: &str) -> bool {
    !matches!(code, "53300" | "57P03" | "57P05" | "3D000") && !code.starts_with("28")
}

/// What an error says that the server raised: a statement that fails is rolled back whole, so
/// nothing was written.
pub(crate) fn sqlstate(code: &str) -> (StoreErrorKind, &'static str) {
    use StoreErrorKind::{Config, Corrupt, Full, Unavailable};
    match code {
        "42P01" | "3F000" | "42703" | "42883" => (
            Config,
            "the tables are missing or of an older release: run `migrate()`, or apply `migration_sql()`",
        ),
        "42501" => (
            Config,
            "the role may not use the tables: grant it USAGE on the schema, and SELECT, INSERT, UPDATE and DELETE on its tables",
        ),
        "26000" | "42P05" => (
            Config,
            "prepared statements do not survive this pooler: use `Protocol::Simple`",
        ),
        "3D000" => (Config, "the database does not exist"),
        "53100" => (Full, "the server's disk is full"),
        "25006" => (
            Unavailable,
            "the server is read-only, as a standby is: is a failover under way?",
        ),
        "40001" | "40P01" => (Unavailable, "another transaction got in the way"),
        "55P03" => (
            Unavailable,
            "somebody's open transaction holds the row for longer than the lock timeout",
        ),
        "57014" => (
            Unavailable,
            "the statement was cancelled, by `statement_timeout` or by hand",
        ),
        "57P01" | "57P02" | "57P03" => (Unavailable, "the server is going down or starting up"),
        "53200" => (Unavailable, "the server is out of memory"),
        "53300" => (
            Unavailable,
            "the server has no connection left: lower the pool's size or raise `max_connections`",
        ),
        "XX001" | "XX002" => (Corrupt, "the server reports damaged data"),
        _ => class(code.get(..2).unwrap_or_default()),
    }
}

fn class(class: &str) -> (StoreErrorKind, &'static str) {
    use StoreErrorKind::{Config, TooLarge, Unavailable};
    match class {
        "08" => (Unavailable, "the connection could not be made"),
        "54" => (TooLarge, "this is larger than the server can store"),
        "22" | "23" => (Config, "the server can never store this"),
        "28" => (Config, "the server does not let this role in"),
        "42" | "0A" => (Config, "the server does not know this statement"),
        _ => (Unavailable, "the server refused the statement"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s9_a_statement_that_the_server_refused_was_not_applied() {
        use StoreErrorKind::{Config, Corrupt, Full, TooLarge, Unavailable};
        for (code, kind) in [
            ("08006", Unavailable),
            ("0A000", Config),
            ("22021", Config),
            ("22P05", Config),
            ("23505", Config),
            ("25006", Unavailable),
            ("26000", Config),
            ("28P01", Config),
            ("3D000", Config),
            ("3F000", Config),
            ("40001", Unavailable),
            ("40P01", Unavailable),
            ("42501", Config),
            ("42601", Config),
            ("42P01", Config),
            ("42P05", Config),
            ("53100", Full),
            ("53200", Unavailable),
            ("53300", Unavailable),
            ("54000", TooLarge),
            ("55P03", Unavailable),
            ("57014", Unavailable),
            ("57P01", Unavailable),
            ("57P02", Unavailable),
            ("57P03", Unavailable),
            ("58030", Unavailable),
            ("XX000", Unavailable),
            ("XX001", Corrupt),
            ("", Unavailable),
        ] {
            assert_eq!(sqlstate(code).0, kind, "{code}");
        }
    }

    #[test]
    fn what_may_concern_one_call_of_many_is_told_from_what_concerns_all() {
        for code in [
            "22021", "22P05", "53100", "54000", "55P03", "57014", "XX001",
        ] {
            assert!(is_about_a_row(code), "{code}");
        }
        for code in ["08006", "25006", "26000", "42501", "42P01", "58030"] {
            assert!(!is_about_a_row(code), "{code}");
        }
    }

    #[test]
    fn s9_a_missing_table_says_how_to_make_it() {
        assert!(sqlstate("42P01").1.contains("migrate()"));
    }

    #[test]
    fn s9_a_session_that_is_shut_down_may_have_committed() {
        assert!(ends_midway("57P01"));
        assert!(ends_midway("57P02"));
        assert!(ends_midway("08P01"), "what a pooler says of a lost server");
        assert!(!ends_midway("57P03"));
        assert!(!ends_midway("28P01"));
    }
}
