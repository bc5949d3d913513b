//! Parts that several statements have in common.

/// The columns of a record `r` that was found, behind the number of its call.
macro_rules! found {
    ($n:literal) => {
        concat!(
            $n,
            "::int8 AS n, r.status, r.attempt, r.token, r.revision, r.fingerprint, r.lease_ms, \
             r.checkpoint, r.payload, \
             (date_part('epoch', r.created_at) * 1000)::int8 AS created, \
             (date_part('epoch', clock_timestamp() - r.updated_at) * 1000000)::int8 AS age, \
             (date_part('epoch', r.expires_at - clock_timestamp()) * 1000000)::int8 AS remaining"
        )
    };
}

/// As many columns as `found!`, for a call that was done.
macro_rules! done {
    ($n:literal) => {
        concat!(
            $n,
            "::int8 AS n, NULL::text AS status, NULL::int8, NULL::bytea, NULL::int8, NULL::bytea, \
             NULL::int8, NULL::bytea, NULL::bytea, NULL::int8, NULL::int8, NULL::int8"
        )
    };
}

/// Bounds how long this transaction waits for a lock, in milliseconds, without a round trip of its
/// own.
macro_rules! bound_wait {
    ($timeout:literal) => {
        concat!(
            "set_config('lock_timeout', ",
            $timeout,
            "::int8::text, true)"
        )
    };
}

/// [`bound_wait!`] as a part of a statement: one that reads from it has set it before it writes its
/// first row.
macro_rules! guard {
    ($timeout:literal) => {
        concat!("guard AS MATERIALIZED (SELECT ", bound_wait!($timeout), ")")
    };
}

/// [`guard!`] that notes in the transaction how it was before.
macro_rules! guard_in_tx {
    ($timeout:literal) => {
        concat!(
            "guard AS MATERIALIZED (SELECT \
             set_config('idem_postgres.before', current_setting('lock_timeout'), true), ",
            bound_wait!($timeout),
            ")"
        )
    };
}

/// Puts it back as it was.
macro_rules! unguard {
    () => {
        "set_config('lock_timeout', current_setting('idem_postgres.before'), true)"
    };
}

/// A row with the number 0 that puts it back as it was, once this part has been written.
macro_rules! unguard_after {
    ($part:literal) => {
        concat!(
            " UNION ALL SELECT 0::int8, ",
            unguard!(),
            ", NULL::int8, NULL::bytea, NULL::int8, NULL::bytea, NULL::int8, NULL::bytea, \
             NULL::bytea, NULL::int8, NULL::int8, NULL::int8 FROM guard \
             WHERE (SELECT count(*) FROM ",
            $part,
            ") >= 0"
        )
    };
}

/// The expiry date behind a ttl in milliseconds.
macro_rules! expires {
    ($ttl:literal) => {
        concat!(
            "clock_timestamp() + ",
            $ttl,
            "::int8 * interval '1 millisecond'"
        )
    };
}

/// The date behind milliseconds since the epoch.
macro_rules! date {
    ($ms:literal) => {
        concat!(
            "timestamptz 'epoch' + ",
            $ms,
            "::int8 * interval '1 millisecond'"
        )
    };
}

/// The row that one call is about.
macro_rules! its_row {
    () => {
        "r.scope = $1::text AND r.key = $2::text"
    };
}

/// A row that is not past its ttl (S5).
macro_rules! live {
    ($row:literal) => {
        concat!($row, ".expires_at > clock_timestamp()")
    };
}

/// A row of a format that this release may overwrite (S7).
macro_rules! known {
    ($row:literal) => {
        concat!(
            $row,
            ".status IN ('in-flight', 'retryable', 'released', 'completed', 'failed')"
        )
    };
}

/// Of a row of one call or of what was locked: its version is the expected one.
macro_rules! expected {
    ($row:literal) => {
        concat!(
            $row,
            ".token = $3::bytea AND ",
            $row,
            ".revision = $4::int8"
        )
    };
}

/// Where a locked row is, if it is still what the call expects.
macro_rules! where_held {
    () => {
        concat!(
            " WHERE r.ctid = h.place AND ",
            expected!("h"),
            " AND ",
            known!("h"),
            " AND ",
            live!("h")
        )
    };
}
