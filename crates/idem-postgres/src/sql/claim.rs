//! The statements by which a key is claimed for the first time.
//!
//! In the common case nothing is there, so these insert without a look. Of a claim that they do not
//! make nothing is known: [`CREATE`](super::create::CREATE) makes it or tells what is there. Keys that
//! this process saw are looked at first, by [`GET`](super::read::GET).

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

/// Files one claim, if no row is there at all.
pub(super) const CLAIM: &str = concat!(
    insert!(),
    row!(),
    " WHERE ",
    bound_wait!("$10"),
    " IS NOT NULL ON CONFLICT (scope, key) DO NOTHING RETURNING 1::int8 AS n, NULL::text AS status"
);

/// [`CLAIM`] for distinct keys in ascending order, with one row if that was all of them.
pub(super) const CLAIM_MANY: &str = concat!(
    "WITH made AS (",
    insert!(),
    "SELECT i.scope, i.key, 'in-flight', i.attempt, i.token, i.revision, i.fingerprint, \
     i.lease_ms, ",
    date!("i.created"),
    ", clock_timestamp(), ",
    expires!("i.ttl"),
    " FROM ",
    claims!(),
    " WHERE (SELECT ",
    bound_wait!("$10"),
    ") IS NOT NULL \
     ORDER BY i.n ON CONFLICT (scope, key) DO NOTHING RETURNING scope, key), \
     all_made AS (SELECT count(*) = cardinality($1::text[]) AS yes FROM made) \
     SELECT 0::int8 AS n, NULL::text AS status FROM all_made WHERE yes \
     UNION ALL SELECT d.n, NULL::text FROM all_made a CROSS JOIN LATERAL (SELECT i.n FROM made m JOIN ",
    keys!(),
    " ON i.scope = m.scope AND i.key = m.key WHERE NOT a.yes OFFSET 0) d"
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
