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

/// [`CREATE`] as it is asked first: a third of its work where there is no row, and a look at the row
/// where there is one, which it leaves as it is also past its ttl.
pub(super) const CREATE_FIRST: &str = concat!(
    "WITH made AS (",
    insert!(),
    row!(),
    " WHERE NOT EXISTS (SELECT FROM idem.records r WHERE ",
    its_row!(),
    ") AND set_config('lock_timeout', $13::int8::text, true) IS NOT NULL \
     ON CONFLICT (scope, key) DO NOTHING RETURNING 1) SELECT ",
    done!("1"),
    " FROM made UNION ALL SELECT ",
    found!("1"),
    " FROM idem.records r WHERE ",
    its_row!(),
    " AND NOT EXISTS (SELECT FROM made)"
);

/// Files the first claim of a key if there is no row at all, in a transaction that goes on, and if
/// no other transaction is at that.
///
/// Transactions that claim lock the key by its number before they insert its row, since a lock can
/// be tried without waiting and a row cannot; so no bound on the wait has to be set and taken back,
/// which is a tenth of the whole transaction. What this may still wait for are claims that commit by
/// themselves at once.
pub(super) const INSERT_IN_TX: &str = concat!(
    "INSERT INTO idem.records (scope, key, status, attempt, token, revision, fingerprint, \
     lease_ms, created_at, updated_at, expires_at) \
     SELECT $1::text, $2::text, 'in-flight', $3::int8, $4::bytea, $5::int8, $6::bytea, $7::int8, ",
    date!("$8"),
    ", clock_timestamp(), ",
    expires!("$9"),
    " WHERE pg_try_advisory_xact_lock($10::int8) ON CONFLICT (scope, key) DO NOTHING"
);

/// [`CREATE`] behind [`INSERT_IN_TX`]: waits for another transaction that claims the key.
pub(super) const CREATE_IN_TX: &str = concat!(
    "WITH ",
    guard_in_tx!("$13"),
    create!(
        "CASE WHEN EXISTS (SELECT FROM found) THEN false \
         ELSE pg_advisory_xact_lock($14::int8)::text IS NOT NULL END"
    ),
    unguard_after!("made")
);

/// [`CREATE`] for distinct keys in ascending order.
pub(super) const CREATE_MANY: &str = concat!(
    "WITH ",
    guard!("$13"),
    ", input AS MATERIALIZED (SELECT * FROM unnest($1::text[], $2::text[], $3::text[], \
     $4::int8[], $5::bytea[], $6::int8[], $7::bytea[], $8::int8[], $9::bytea[], $10::bytea[], \
     $11::int8[], $12::int8[]) WITH ORDINALITY AS i (scope, key, status, attempt, token, \
     revision, fingerprint, lease_ms, checkpoint, payload, created, ttl, n)), \
     found AS MATERIALIZED (SELECT ",
    found!("i.n"),
    " FROM input i JOIN idem.records r ON r.scope = i.scope AND r.key = i.key WHERE ",
    live!("r"),
    "), made AS (",
    insert!(),
    "SELECT i.scope, i.key, i.status, i.attempt, i.token, i.revision, i.fingerprint, i.lease_ms, \
     i.checkpoint, i.payload, ",
    date!("i.created"),
    ", clock_timestamp(), ",
    expires!("i.ttl"),
    " FROM guard, input i WHERE NOT EXISTS (SELECT FROM found f WHERE f.n = i.n) ORDER BY i.n ",
    over_expired!(),
    " RETURNING scope, key) SELECT * FROM found UNION ALL SELECT ",
    done!("i.n"),
    " FROM made m JOIN input i ON i.scope = m.scope AND i.key = m.key"
);
