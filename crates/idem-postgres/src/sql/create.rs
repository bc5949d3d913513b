//! Statements that file a record where there is none.

/// The end of every insert: an expired row is as good as none.
macro_rules! over_expired {
    () => {
        "ON CONFLICT (scope, key) DO UPDATE SET status = excluded.status, \
         attempt = excluded.attempt, token = excluded.token, revision = excluded.revision, \
         fingerprint = excluded.fingerprint, lease_ms = excluded.lease_ms, \
         checkpoint = excluded.checkpoint, payload = excluded.payload, \
         created_at = excluded.created_at, updated_at = excluded.updated_at, \
         expires_at = excluded.expires_at WHERE r.expires_at <= clock_timestamp()"
    };
}

macro_rules! insert {
    () => {
        "INSERT INTO idem.records AS r (scope, key, status, attempt, token, revision, fingerprint, \
         lease_ms, checkpoint, payload, created_at, updated_at, expires_at) "
    };
}

/// The columns of one call.
macro_rules! row {
    () => {
        concat!(
            "SELECT $1::text, $2::text, $3::text, $4::int8, $5::bytea, $6::int8, $7::bytea, \
             $8::int8, $9::bytea, $10::bytea, ",
            date!("$11"),
            ", clock_timestamp(), ",
            expires!("$12")
        )
    };
}

/// [`CREATE`] behind its guard.
macro_rules! create {
    ($if_none:literal) => {
        concat!(
            ", found AS MATERIALIZED (SELECT ",
            found!("1"),
            " FROM idem.records r WHERE ",
            its_row!(),
            " AND ",
            live!("r"),
            "), made AS (",
            insert!(),
            row!(),
            " FROM guard WHERE ",
            $if_none,
            " ",
            over_expired!(),
            " RETURNING 1) SELECT * FROM found UNION ALL SELECT ",
            done!("1"),
            " FROM made"
        )
    };
}

/// Files a record unless a live one is there.
///
/// The look comes first, so that a replay writes nothing: `ON CONFLICT DO UPDATE` locks the row
/// that it finds even where its condition does not hold. A row that another transaction inserted
/// between the look and the insert is in neither part: no row at all, ask again.
pub(super) const CREATE: &str = concat!(
    "WITH ",
    guard!("$13"),
    create!("NOT EXISTS (SELECT FROM found)")
);

/// [`CREATE`] in a transaction that goes on.
///
/// Transactions that claim lock the key by its number before they insert its row, since a lock can be
/// tried without waiting and a row cannot. The lock is tried first; only `$15` above 0 waits for the
/// transaction that has it. No row at all: that transaction goes on, or the statement raced.
pub(super) const CREATE_IN_TX: &str = concat!(
    "WITH ",
    guard_in_tx!("$13"),
    create!(
        "CASE WHEN EXISTS (SELECT FROM found) THEN false \
         WHEN pg_try_advisory_xact_lock($14::int8) THEN true \
         WHEN $15::int8 = 0 THEN false \
         ELSE pg_advisory_xact_lock($14::int8)::text IS NOT NULL END"
    ),
    unguard_after!("made")
);

/// [`CREATE`] for distinct keys in ascending order.
pub(super) const CREATE_MANY: &str = concat!(
    "WITH ",
    guard!("$13"),
    ", found AS MATERIALIZED (SELECT ",
    found!("i.n"),
    " FROM ",
    keys!(),
    its_rows!(),
    " WHERE ",
    live!("r"),
    "), made AS (",
    insert!(),
    "SELECT i.scope, i.key, i.status, i.attempt, i.token, i.revision, i.fingerprint, i.lease_ms, \
     i.checkpoint, i.payload, ",
    date!("i.created"),
    ", clock_timestamp(), ",
    expires!("i.ttl"),
    " FROM guard, ",
    creations!(),
    " WHERE i.n NOT IN (SELECT f.n FROM found f) ORDER BY i.n ",
    over_expired!(),
    " RETURNING scope, key) SELECT * FROM found UNION ALL SELECT ",
    done!("i.n"),
    " FROM made m JOIN ",
    keys!(),
    " ON i.scope = m.scope AND i.key = m.key"
);
