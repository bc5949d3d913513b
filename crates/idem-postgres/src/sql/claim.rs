//! The statements by which a key is claimed for the first time.
//!
//! In the common case nothing is there. So these do a third of the work where there is no row, and
//! take a look at the row where there is one, which they leave as it is also past its ttl. Of a claim
//! that they do not answer nothing is known: [`CREATE`](super::create::CREATE) makes it or tells what
//! is there.

macro_rules! insert {
    () => {
        "INSERT INTO idem.records (scope, key, status, attempt, token, revision, fingerprint, \
         lease_ms, created_at, updated_at, expires_at) "
    };
}

/// The columns of one claim.
macro_rules! row {
    () => {
        concat!(
            "SELECT $1::text, $2::text, 'in-flight', $3::int8, $4::bytea, $5::int8, $6::bytea, \
             $7::int8, ",
            date!("$8"),
            ", clock_timestamp(), ",
            expires!("$9")
        )
    };
}

/// Files one claim.
pub(super) const CLAIM: &str = concat!(
    "WITH made AS (",
    insert!(),
    row!(),
    " WHERE NOT EXISTS (SELECT FROM idem.records r WHERE ",
    its_row!(),
    ") AND ",
    bound_wait!("$10"),
    " IS NOT NULL ON CONFLICT (scope, key) DO NOTHING RETURNING 1) SELECT ",
    done!("1"),
    " FROM made UNION ALL SELECT ",
    found!("1"),
    " FROM idem.records r WHERE ",
    its_row!(),
    " AND NOT EXISTS (SELECT FROM made)"
);

/// [`CLAIM`] for distinct keys in ascending order, with one row for all that were made.
///
/// Where another transaction was faster with one of them that row is missing, and none is known to be
/// made: [`CREATE`](super::create::CREATE) will find those that are.
pub(super) const CLAIM_MANY: &str = concat!(
    "WITH found AS MATERIALIZED (SELECT ",
    found!("i.n"),
    " FROM ",
    keys!(),
    its_rows!(),
    "), made AS (",
    insert!(),
    "SELECT i.scope, i.key, 'in-flight', i.attempt, i.token, i.revision, i.fingerprint, \
     i.lease_ms, ",
    date!("i.created"),
    ", clock_timestamp(), ",
    expires!("i.ttl"),
    " FROM ",
    claims!(),
    " WHERE i.n NOT IN (SELECT f.n FROM found f) \
     AND (SELECT ",
    bound_wait!("$10"),
    ") IS NOT NULL \
     ORDER BY i.n ON CONFLICT (scope, key) DO NOTHING RETURNING 1) SELECT ",
    done!("0"),
    " WHERE (SELECT count(*) FROM found) + (SELECT count(*) FROM made) = cardinality($1::text[]) \
     UNION ALL SELECT * FROM found"
);

/// Files the first claim of a key if there is no row at all, in a transaction that goes on, and if
/// no other transaction is at that.
///
/// Transactions that claim lock the key by its number before they insert its row, since a lock can
/// be tried without waiting and a row cannot; so no bound on the wait has to be set and taken back,
/// which is a tenth of the whole transaction. What this may still wait for are claims that commit by
/// themselves at once.
pub(super) const CLAIM_IN_TX: &str = concat!(
    insert!(),
    row!(),
    " WHERE pg_try_advisory_xact_lock($10::int8) ON CONFLICT (scope, key) DO NOTHING"
);
