//! The arguments of many calls, and the rows that they are about.
//!
//! A server that plans a join for these plans it for what it takes the table and the arguments to be:
//! a table that was swept empty it reads from one end to the other, and goes on so while the table
//! grows; and it plans a statement of a few calls anew each time, which costs more than the calls. So
//! arguments are such that it cannot see how many they are, and each row is looked up by itself.

/// Lists as rows `i` of these columns, numbered from 1 in their order as `n`. How long they are the
/// server does not see before the statement runs.
macro_rules! rows {
    ($first:ident $first_list:literal $(, $column:ident $list:literal)* $(,)?) => {
        concat!(
            "unnest((SELECT ",
            $first_list,
            ")",
            $(", (SELECT ", $list, ")",)*
            ") WITH ORDINALITY AS i (",
            stringify!($first),
            $(", ", stringify!($column),)*
            ", n)"
        )
    };
}

/// The keys of calls.
macro_rules! keys {
    () => {
        rows!(
            scope "$1::text[]",
            key "$2::text[]",
        )
    };
}

/// The arguments of claims.
macro_rules! claims {
    () => {
        rows!(
            scope "$1::text[]",
            key "$2::text[]",
            attempt "$3::int8[]",
            token "$4::bytea[]",
            revision "$5::int8[]",
            fingerprint "$6::bytea[]",
            lease_ms "$7::int8[]",
            created "$8::int8[]",
            ttl "$9::int8[]",
        )
    };
}

/// The arguments of whatever else creates a record.
macro_rules! creations {
    () => {
        rows!(
            scope "$1::text[]",
            key "$2::text[]",
            status "$3::text[]",
            attempt "$4::int8[]",
            token "$5::bytea[]",
            revision "$6::int8[]",
            fingerprint "$7::bytea[]",
            lease_ms "$8::int8[]",
            checkpoint "$9::bytea[]",
            payload "$10::bytea[]",
            created "$11::int8[]",
            ttl "$12::int8[]",
        )
    };
}

/// The arguments of endings.
macro_rules! endings {
    () => {
        rows!(
            scope "$1::text[]",
            key "$2::text[]",
            old_token "$3::bytea[]",
            old_revision "$4::int8[]",
            status "$5::text[]",
            attempt "$6::int8[]",
            revision "$7::int8[]",
            fingerprint "$8::bytea[]",
            payload "$9::bytea[]",
            created "$10::int8[]",
            ttl "$11::int8[]",
        )
    };
}

/// The arguments of whatever else replaces a record.
macro_rules! updates {
    () => {
        rows!(
            scope "$1::text[]",
            key "$2::text[]",
            old_token "$3::bytea[]",
            old_revision "$4::int8[]",
            status "$5::text[]",
            attempt "$6::int8[]",
            token "$7::bytea[]",
            revision "$8::int8[]",
            fingerprint "$9::bytea[]",
            lease_ms "$10::int8[]",
            checkpoint "$11::bytea[]",
            payload "$12::bytea[]",
            created "$13::int8[]",
            ttl "$14::int8[]",
        )
    };
}

/// The arguments of deletions.
macro_rules! deletions {
    () => {
        rows!(
            scope "$1::text[]",
            key "$2::text[]",
            old_token "$3::bytea[]",
            old_revision "$4::int8[]",
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
