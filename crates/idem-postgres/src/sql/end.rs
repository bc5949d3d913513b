//! The statements by which a holder ends its own execution.
//!
//! In the common case nothing is in its way. So these change the columns that it changes, and answer
//! with what was done alone.

/// The columns that an ending changes; the others stay as the claim wrote them.
macro_rules! end {
    ($status:literal, $revision:literal, $checkpoint:literal, $payload:literal, $ttl:literal) => {
        concat!(
            "UPDATE idem.records r SET status = ",
            $status,
            ", revision = ",
            $revision,
            ", lease_ms = NULL, checkpoint = ",
            $checkpoint,
            ", payload = ",
            $payload,
            ", updated_at = clock_timestamp(), expires_at = ",
            expires!($ttl)
        )
    };
}

/// Ends one live record of a version with an answer, where what stays is as the arguments say, and
/// waits for no lock. [`UPDATE`](super::replace::UPDATE) does it or tells why it changes nothing.
pub(super) const END: &str = concat!(
    "WITH held AS MATERIALIZED (SELECT r.ctid AS place, r.expires_at FROM idem.records r WHERE ",
    its_row!(),
    " AND ",
    expected!("r"),
    " AND r.attempt = $6::int8 AND r.fingerprint = $8::bytea AND r.created_at = ",
    date!("$10"),
    " AND ",
    known!("r"),
    " FOR NO KEY UPDATE OF r SKIP LOCKED) ",
    end!("$5::text", "$7::int8", "NULL", "$9::bytea", "$11"),
    " FROM held h WHERE r.ctid = h.place AND ",
    live!("h"),
    " RETURNING 1::int8 AS n, NULL::text AS status"
);

/// [`END`] for distinct keys in ascending order, with one row if that was all of them.
pub(super) const END_MANY: &str = concat!(
    "WITH done AS (",
    end!("i.status", "i.revision", "NULL", "i.payload", "i.ttl"),
    " FROM ",
    endings!(),
    its_rows_locked!(
        concat!(
            "r.attempt = i.attempt AND r.fingerprint = i.fingerprint AND r.created_at = ",
            date!("i.created")
        ),
        "FOR NO KEY UPDATE"
    ),
    " WHERE r.ctid = h.place AND ",
    live!("h"),
    " RETURNING i.n), all_done AS (SELECT count(*) = cardinality($1::text[]) AS yes FROM done) \
     SELECT 0::int8 AS n, NULL::text AS status FROM all_done WHERE yes \
     UNION ALL SELECT d.n, NULL::text FROM all_done, done d WHERE NOT yes"
);

/// Ends a live record of a version. [`UPDATE_IN_TX`](super::replace::UPDATE_IN_TX) tells why if it
/// changes nothing.
pub(super) const END_IN_TX: &str = concat!(
    "WITH held AS MATERIALIZED (SELECT r.ctid AS place, r.* FROM idem.records r WHERE ",
    its_row!(),
    " AND ",
    expected!("r"),
    " FOR NO KEY UPDATE OF r) ",
    end!("$5::text", "$6::int8", "$7::bytea", "$8::bytea", "$9"),
    " FROM held h",
    where_held!()
);

/// [`END_IN_TX`] of a row that this very transaction has written, and so locked.
pub(super) const END_OWN_IN_TX: &str = concat!(
    end!("$5::text", "$6::int8", "$7::bytea", "$8::bytea", "$9"),
    " WHERE ",
    its_row!(),
    " AND ",
    expected!("r"),
    " AND ",
    live!("r")
);
