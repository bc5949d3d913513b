//! The arguments of many calls, and the rows that they are about.
//!
//! A server that plans a join for these plans it for what it takes the table and the arguments to be:
//! a table that was swept empty it reads from one end to the other, and goes on so while the table
//! grows; and it plans a statement of a few calls anew each time, which costs more than the calls. So
//! arguments are such that it cannot see how many they are, and each row is looked up by itself.

/// One argument as an array whose length the server does not see before the statement runs.
macro_rules! array {
    ($argument:literal, $item:literal) => {
        concat!("(SELECT ", $argument, "::", $item, "[])")
    };
}

/// The keys of calls as rows `i`, numbered from 1 in their order.
macro_rules! keys {
    () => {
        concat!(
            "unnest(",
            array!("$1", "text"),
            ", ",
            array!("$2", "text"),
            ") WITH ORDINALITY AS i (scope, key, n)"
        )
    };
}

/// The arguments of claims as rows `i`.
macro_rules! claims {
    () => {
        concat!(
            "unnest(",
            array!("$1", "text"),
            ", ",
            array!("$2", "text"),
            ", ",
            array!("$3", "int8"),
            ", ",
            array!("$4", "bytea"),
            ", ",
            array!("$5", "int8"),
            ", ",
            array!("$6", "bytea"),
            ", ",
            array!("$7", "int8"),
            ", ",
            array!("$8", "int8"),
            ", ",
            array!("$9", "int8"),
            ") WITH ORDINALITY AS i (scope, key, attempt, token, revision, fingerprint, lease_ms, created, \
             ttl, n)"
        )
    };
}

/// The arguments of whatever else creates a record as rows `i`.
macro_rules! creations {
    () => {
        concat!(
            "unnest(",
            array!("$1", "text"),
            ", ",
            array!("$2", "text"),
            ", ",
            array!("$3", "text"),
            ", ",
            array!("$4", "int8"),
            ", ",
            array!("$5", "bytea"),
            ", ",
            array!("$6", "int8"),
            ", ",
            array!("$7", "bytea"),
            ", ",
            array!("$8", "int8"),
            ", ",
            array!("$9", "bytea"),
            ", ",
            array!("$10", "bytea"),
            ", ",
            array!("$11", "int8"),
            ", ",
            array!("$12", "int8"),
            ") WITH ORDINALITY AS i (scope, key, status, attempt, token, revision, fingerprint, lease_ms, \
             checkpoint, payload, created, ttl, n)"
        )
    };
}

/// The arguments of endings as rows `i`.
macro_rules! endings {
    () => {
        concat!(
            "unnest(",
            array!("$1", "text"),
            ", ",
            array!("$2", "text"),
            ", ",
            array!("$3", "bytea"),
            ", ",
            array!("$4", "int8"),
            ", ",
            array!("$5", "text"),
            ", ",
            array!("$6", "int8"),
            ", ",
            array!("$7", "int8"),
            ", ",
            array!("$8", "bytea"),
            ", ",
            array!("$9", "bytea"),
            ", ",
            array!("$10", "int8"),
            ", ",
            array!("$11", "int8"),
            ") WITH ORDINALITY AS i (scope, key, old_token, old_revision, status, attempt, revision, \
             fingerprint, payload, created, ttl, n)"
        )
    };
}

/// The arguments of whatever else replaces a record as rows `i`.
macro_rules! updates {
    () => {
        concat!(
            "unnest(",
            array!("$1", "text"),
            ", ",
            array!("$2", "text"),
            ", ",
            array!("$3", "bytea"),
            ", ",
            array!("$4", "int8"),
            ", ",
            array!("$5", "text"),
            ", ",
            array!("$6", "int8"),
            ", ",
            array!("$7", "bytea"),
            ", ",
            array!("$8", "int8"),
            ", ",
            array!("$9", "bytea"),
            ", ",
            array!("$10", "int8"),
            ", ",
            array!("$11", "bytea"),
            ", ",
            array!("$12", "bytea"),
            ", ",
            array!("$13", "int8"),
            ", ",
            array!("$14", "int8"),
            ") WITH ORDINALITY AS i (scope, key, old_token, old_revision, status, attempt, token, revision, \
             fingerprint, lease_ms, checkpoint, payload, created, ttl, n)"
        )
    };
}

/// The arguments of deletions as rows `i`.
macro_rules! deletions {
    () => {
        concat!(
            "unnest(",
            array!("$1", "text"),
            ", ",
            array!("$2", "text"),
            ", ",
            array!("$3", "bytea"),
            ", ",
            array!("$4", "int8"),
            ") WITH ORDINALITY AS i (scope, key, old_token, old_revision, n)"
        )
    };
}

/// Beside each row `i` the row `r` of its key.
macro_rules! its_rows {
    () => {
        " CROSS JOIN LATERAL (SELECT * FROM idem.records r \
         WHERE r.scope = i.scope AND r.key = i.key OFFSET 0) r"
    };
}

/// Beside each row `i` where the row of its key is, locked, if it is of the expected version and what
/// else is asked, and if its lock could be had at once. One after the other, in their order.
macro_rules! its_rows_locked {
    ($condition:expr, $lock:literal) => {
        concat!(
            " CROSS JOIN LATERAL (SELECT r.ctid AS place, r.expires_at FROM idem.records r \
             WHERE r.scope = i.scope AND r.key = i.key AND r.token = i.old_token \
             AND r.revision = i.old_revision AND ",
            known!("r"),
            " AND ",
            $condition,
            " ",
            $lock,
            " SKIP LOCKED) h"
        )
    };
}
