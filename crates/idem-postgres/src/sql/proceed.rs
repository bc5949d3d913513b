//! The statements by which a holder goes on from its own write: an ending, a renewal, a checkpoint.
//!
//! In the common case nothing is in its way. So these change the columns that it changes, where the
//! others are as it says, wait for no lock, and answer with what was done alone. Of a call that they
//! do not answer nothing is known: [`UPDATE`](super::replace::UPDATE), which takes the same
//! arguments, does it or tells what is there.

/// The columns that change.
macro_rules! set {
    ($status:literal, $revision:literal, $lease:literal, $checkpoint:literal, $payload:literal,
     $ttl:literal) => {
        concat!(
            "UPDATE idem.records r SET status = ",
            $status,
            ", revision = ",
            $revision,
            ", lease_ms = ",
            $lease,
            ", checkpoint = ",
            $checkpoint,
            ", payload = ",
            $payload,
            ", updated_at = clock_timestamp(), expires_at = ",
            expires!($ttl)
        )
    };
}

/// Goes on with one record.
pub(super) const PROCEED: &str = concat!(
    "WITH held AS MATERIALIZED (SELECT r.ctid AS place, r.expires_at FROM idem.records r WHERE ",
    its_row!(),
    " AND r.token = $3::bytea AND r.revision = $4::int8 AND r.attempt = $6::int8 \
     AND r.token = $7::bytea AND r.fingerprint = $9::bytea AND r.created_at = ",
    date!("$13"),
    " AND ",
    known!("r"),
    " FOR NO KEY UPDATE OF r SKIP LOCKED) ",
    set!(
        "$5::text",
        "$8::int8",
        "$10::int8",
        "$11::bytea",
        "$12::bytea",
        "$14"
    ),
    " FROM held h WHERE r.ctid = h.place AND ",
    live!("h"),
    " RETURNING 1::int8 AS n, NULL::text AS status"
);

/// [`PROCEED`] for distinct keys in ascending order.
pub(super) const PROCEED_MANY: &str = concat!(
    "WITH mine AS MATERIALIZED (SELECT i.n, r.ctid AS place, r.expires_at, i.status, \
     i.revision, i.lease_ms, i.checkpoint, i.payload, i.ttl \
     FROM unnest($1::text[], $2::text[], $3::bytea[], $4::int8[], $5::text[], $6::int8[], \
     $7::bytea[], $8::int8[], $9::bytea[], $10::int8[], $11::bytea[], $12::bytea[], $13::int8[], \
     $14::int8[]) WITH ORDINALITY AS i (scope, key, old_token, old_revision, status, attempt, \
     token, revision, fingerprint, lease_ms, checkpoint, payload, created, ttl, n) \
     JOIN idem.records r ON r.scope = i.scope AND r.key = i.key \
     WHERE r.token = i.old_token AND r.revision = i.old_revision AND r.attempt = i.attempt \
     AND r.token = i.token AND r.fingerprint = i.fingerprint AND r.created_at = ",
    date!("i.created"),
    " AND ",
    known!("r"),
    " ORDER BY i.n FOR NO KEY UPDATE OF r SKIP LOCKED) ",
    set!(
        "i.status",
        "i.revision",
        "i.lease_ms",
        "i.checkpoint",
        "i.payload",
        "i.ttl"
    ),
    " FROM mine i WHERE r.ctid = i.place AND ",
    live!("i"),
    " RETURNING i.n, NULL::text AS status"
);
