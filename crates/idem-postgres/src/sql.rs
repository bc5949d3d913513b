//! The statements, written for the schema `idem`.
//!
//! Each is one statement and so one transaction of its own. Each answers in the rows that
//! [`rows`](crate::rows) reads: one with a NULL `status` for "done", else the record that was found.
//! There are two of each kind: for one call, and for many at once.
//!
//! A row that a statement sees past its ttl may have an update under way that read the clock in
//! time and is slow to commit, by a standby that confirms it late, say. So whoever would say
//! "absent" (S5) of a row that is there locks it first, and whoever updates it reads the clock once
//! more behind the lock: of the two, the one that has the lock later knows what the other did. A
//! statement that saw such a row without its lock answers with it, and that is
//! [`Answer::Expired`](crate::rows::Answer::Expired): nothing is known yet.

use std::sync::Arc;

use crate::config::Schema;

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
/// own. A statement that reads from it has set it before it writes its first row.
macro_rules! guard {
    ($timeout:literal) => {
        concat!(
            "guard AS MATERIALIZED (SELECT set_config('lock_timeout', ",
            $timeout,
            "::int8::text, true))"
        )
    };
}

/// [`guard!`] that notes in the transaction how it was before.
macro_rules! guard_in_tx {
    ($timeout:literal) => {
        concat!(
            "guard AS MATERIALIZED (SELECT \
             set_config('idem_postgres.before', current_setting('lock_timeout'), true), \
             set_config('lock_timeout', ",
            $timeout,
            "::int8::text, true))"
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
            ".status IN ('in-flight', 'retryable', 'completed', 'failed')"
        )
    };
}

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

/// The row of one call.
macro_rules! row {
    () => {
        concat!(
            "SELECT $1::text, $2::text, $3::text, $4::int8, $5::bytea, $6::int8, $7::bytea, \
             $8::int8, $9::bytea, $10::bytea, ",
            date!("$11"),
            ", clock_timestamp(), ",
            expires!("$12"),
            " FROM guard "
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
            "WHERE ",
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
const CREATE: &str = concat!(
    "WITH ",
    guard!("$13"),
    create!("NOT EXISTS (SELECT FROM found)")
);

/// Files the first claim of a key if there is no row at all, in a transaction that goes on, and if
/// no other transaction is at that.
///
/// Transactions that claim lock the key by its number before they insert its row, since a lock can
/// be tried without waiting and a row cannot; so no bound on the wait has to be set and taken back,
/// which is a tenth of the whole transaction. What this may still wait for are claims that commit by
/// themselves at once.
const INSERT_IN_TX: &str = concat!(
    "INSERT INTO idem.records (scope, key, status, attempt, token, revision, fingerprint, \
     lease_ms, created_at, updated_at, expires_at) \
     SELECT $1::text, $2::text, 'in-flight', $3::int8, $4::bytea, $5::int8, $6::bytea, $7::int8, ",
    date!("$8"),
    ", clock_timestamp(), ",
    expires!("$9"),
    " WHERE pg_try_advisory_xact_lock($10::int8) ON CONFLICT (scope, key) DO NOTHING"
);

/// [`CREATE`] behind [`INSERT_IN_TX`]: waits for another transaction that claims the key.
const CREATE_IN_TX: &str = concat!(
    "WITH ",
    guard_in_tx!("$13"),
    create!(
        "CASE WHEN EXISTS (SELECT FROM found) THEN false \
         ELSE pg_advisory_xact_lock($14::int8)::text IS NOT NULL END"
    ),
    unguard_after!("made")
);

/// [`CREATE`] for distinct keys in ascending order.
const CREATE_MANY: &str = concat!(
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

/// The columns of one call that replace those that are there.
macro_rules! set {
    () => {
        concat!(
            "UPDATE idem.records r SET status = $5::text, attempt = $6::int8, \
             token = $7::bytea, revision = $8::int8, fingerprint = $9::bytea, \
             lease_ms = $10::int8, checkpoint = $11::bytea, payload = $12::bytea, created_at = ",
            date!("$13"),
            ", updated_at = clock_timestamp(), expires_at = ",
            expires!("$14")
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

/// The row of one call, locked, if there is anything to be done or to be made sure of: it has the
/// expected version, or has expired.
macro_rules! held {
    ($lock:literal) => {
        concat!(
            ", held AS MATERIALIZED (SELECT r.ctid AS place, r.* FROM guard, idem.records r WHERE ",
            its_row!(),
            " AND (",
            expected!("r"),
            " OR NOT ",
            live!("r"),
            ") ",
            $lock,
            ")"
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

/// The answer of one call that locked its row or had no reason to.
///
/// A row that was locked is as it is now, and absent for sure past its ttl. One that was not is as
/// old as the statement.
macro_rules! done_or_found {
    () => {
        concat!(
            "SELECT ",
            done!("1"),
            " FROM done UNION ALL SELECT ",
            found!("1"),
            " FROM held r WHERE ",
            live!("r"),
            " AND NOT EXISTS (SELECT FROM done) UNION ALL SELECT ",
            found!("1"),
            " FROM idem.records r WHERE ",
            its_row!(),
            " AND NOT EXISTS (SELECT FROM held)"
        )
    };
}

/// [`UPDATE`] behind its guard.
macro_rules! update {
    () => {
        concat!(
            held!("FOR NO KEY UPDATE OF r"),
            ", done AS (",
            set!(),
            " FROM held h",
            where_held!(),
            " RETURNING 1) ",
            done_or_found!()
        )
    };
}

/// Replaces a live record of a version. Otherwise answers with what is there: with the expected
/// version, or with a row past its ttl, when another transaction changed it meanwhile.
const UPDATE: &str = concat!("WITH ", guard!("$15"), update!());

/// [`UPDATE`] in a transaction that goes on.
const UPDATE_IN_TX: &str = concat!(
    "WITH ",
    guard_in_tx!("$15"),
    update!(),
    unguard_after!("done")
);

/// The columns that an ending changes; the others stay as the claim wrote them.
macro_rules! end {
    () => {
        concat!(
            "UPDATE idem.records r SET status = $5::text, revision = $6::int8, lease_ms = NULL, \
             checkpoint = $7::bytea, payload = $8::bytea, updated_at = clock_timestamp(), \
             expires_at = ",
            expires!("$9")
        )
    };
}

/// Ends a live record of a version. [`UPDATE_IN_TX`] tells why if it changes nothing.
const END_IN_TX: &str = concat!(
    "WITH held AS MATERIALIZED (SELECT r.ctid AS place, r.* FROM idem.records r WHERE ",
    its_row!(),
    " AND ",
    expected!("r"),
    " FOR NO KEY UPDATE OF r) ",
    end!(),
    " FROM held h",
    where_held!()
);

/// [`END_IN_TX`] of a row that this very transaction has written, and so locked.
const END_OWN_IN_TX: &str = concat!(
    end!(),
    " WHERE ",
    its_row!(),
    " AND ",
    expected!("r"),
    " AND ",
    live!("r")
);

/// The answers of many calls, none of which waited for a lock.
macro_rules! done_or_found_many {
    () => {
        concat!(
            "SELECT ",
            done!("d.n"),
            " FROM done d UNION ALL SELECT ",
            found!("i.n"),
            " FROM input i JOIN idem.records r ON r.scope = i.scope AND r.key = i.key \
             WHERE NOT EXISTS (SELECT FROM done d WHERE d.n = i.n)"
        )
    };
}

/// [`UPDATE`] for distinct keys in ascending order. Rows are locked in that order, so that two of
/// these never wait for each other; one that is locked already, or has expired, is left as it is.
const UPDATE_MANY: &str = concat!(
    "WITH input AS MATERIALIZED (SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[], \
     $4::int8[], $5::text[], $6::int8[], $7::bytea[], $8::int8[], $9::bytea[], $10::int8[], \
     $11::bytea[], $12::bytea[], $13::int8[], $14::int8[]) WITH ORDINALITY AS i (scope, key, \
     old_token, old_revision, status, attempt, token, revision, fingerprint, lease_ms, \
     checkpoint, payload, created, ttl, n)), \
     mine AS MATERIALIZED (SELECT i.*, r.ctid AS place, r.expires_at FROM input i \
     JOIN idem.records r ON r.scope = i.scope AND r.key = i.key \
     WHERE r.token = i.old_token AND r.revision = i.old_revision AND ",
    known!("r"),
    " AND ",
    live!("r"),
    " ORDER BY i.n FOR NO KEY UPDATE OF r SKIP LOCKED), \
     done AS (UPDATE idem.records r SET status = i.status, attempt = i.attempt, token = i.token, \
     revision = i.revision, fingerprint = i.fingerprint, lease_ms = i.lease_ms, \
     checkpoint = i.checkpoint, payload = i.payload, created_at = ",
    date!("i.created"),
    ", updated_at = clock_timestamp(), expires_at = ",
    expires!("i.ttl"),
    " FROM mine i WHERE r.ctid = i.place AND ",
    live!("i"),
    " RETURNING i.n) ",
    done_or_found_many!()
);

/// Removes a live record of a version. Otherwise as [`UPDATE`].
const DELETE: &str = concat!(
    "WITH ",
    guard!("$5"),
    held!("FOR UPDATE OF r"),
    ", done AS (DELETE FROM idem.records r USING held h",
    where_held!(),
    " RETURNING 1) ",
    done_or_found!()
);

/// [`DELETE`] as [`UPDATE_MANY`].
const DELETE_MANY: &str = concat!(
    "WITH input AS MATERIALIZED (SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[], \
     $4::int8[]) WITH ORDINALITY AS i (scope, key, old_token, old_revision, n)), \
     mine AS MATERIALIZED (SELECT i.n, r.ctid AS place FROM input i \
     JOIN idem.records r ON r.scope = i.scope AND r.key = i.key \
     WHERE r.token = i.old_token AND r.revision = i.old_revision AND ",
    known!("r"),
    " AND ",
    live!("r"),
    " ORDER BY i.n FOR UPDATE OF r SKIP LOCKED), \
     done AS (DELETE FROM idem.records r USING mine i WHERE r.ctid = i.place RETURNING i.n) ",
    done_or_found_many!()
);

/// A record.
const GET: &str = concat!(
    "SELECT ",
    found!("1"),
    " FROM idem.records r WHERE ",
    its_row!()
);

/// [`GET`] for many keys.
const GET_MANY: &str = concat!(
    "SELECT ",
    found!("i.n"),
    " FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS i (scope, key, n) \
     JOIN idem.records r ON r.scope = i.scope AND r.key = i.key"
);

/// A record that [`GET`] saw past its ttl, if it is live after all, once whoever writes to it has
/// ended.
///
/// Its lock is a write, and one that nobody misses: its commit waits for no disk and no standby.
const GET_DECIDED: &str = concat!(
    "WITH ",
    guard!("$3"),
    ", hurry AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true) FROM guard), \
     held AS MATERIALIZED (SELECT r.* FROM hurry, idem.records r WHERE ",
    its_row!(),
    " FOR SHARE OF r) SELECT ",
    found!("1"),
    " FROM held r WHERE ",
    live!("r")
);

/// A live record, locked until the transaction ends.
const LOCK: &str = concat!(
    "WITH ",
    guard_in_tx!("$3"),
    ", held AS MATERIALIZED (SELECT r.* FROM guard, idem.records r WHERE ",
    its_row!(),
    " FOR UPDATE OF r) SELECT ",
    found!("1"),
    " FROM held r WHERE ",
    live!("r"),
    unguard_after!("held")
);

/// One page of live records behind a key, in the order of the primary key.
const BROWSE: &str = concat!(
    "SELECT ",
    found!("1"),
    ", r.scope, r.key FROM idem.records r WHERE (r.scope, r.key) > ($1::text, $2::text) AND ",
    live!("r"),
    " ORDER BY r.scope, r.key LIMIT $3::int8"
);

/// The first page of [`BROWSE`].
const BROWSE_FIRST: &str = concat!(
    "SELECT ",
    found!("1"),
    ", r.scope, r.key FROM idem.records r WHERE ",
    live!("r"),
    " ORDER BY r.scope, r.key LIMIT $1::int8"
);

/// Removes expired rows from a range of the table's pages, and says how many they were and how many
/// pages the table has.
///
/// There is no index on `expires_at`: every completion changes it, and would have to change the
/// index as well.
const SWEEP: &str = "WITH gone AS (DELETE FROM idem.records WHERE ctid = ANY (ARRAY(\
     SELECT r.ctid FROM idem.records r WHERE r.ctid >= $1::text::tid AND r.ctid < $2::text::tid \
     AND r.expires_at <= clock_timestamp() LIMIT $3::int8 FOR UPDATE SKIP LOCKED)) RETURNING 1) \
     SELECT count(*)::int8, \
     (pg_relation_size('idem.records') / current_setting('block_size')::int8)::int8 FROM gone";

/// A kind of statement: for one call, and for many.
#[derive(Debug, Clone)]
pub(crate) struct Statement {
    pub(crate) one: Arc<str>,
    pub(crate) many: Arc<str>,
}

/// The statements for one schema.
#[derive(Debug, Clone)]
pub(crate) struct Statements {
    pub(crate) create: Statement,
    pub(crate) update: Statement,
    pub(crate) delete: Statement,
    pub(crate) get: Statement,
    pub(crate) get_decided: Arc<str>,
    pub(crate) insert_in_tx: Arc<str>,
    pub(crate) create_in_tx: Arc<str>,
    pub(crate) update_in_tx: Arc<str>,
    pub(crate) end_in_tx: Arc<str>,
    pub(crate) end_own_in_tx: Arc<str>,
    pub(crate) lock: Arc<str>,
    pub(crate) browse: Arc<str>,
    pub(crate) browse_first: Arc<str>,
    pub(crate) sweep: Arc<str>,
}

impl Statements {
    pub(crate) fn new(schema: &Schema) -> Self {
        let only = |sql| Arc::from(schema.apply(sql));
        let of = |one, many| Statement {
            one: only(one),
            many: only(many),
        };
        Self {
            create: of(CREATE, CREATE_MANY),
            update: of(UPDATE, UPDATE_MANY),
            delete: of(DELETE, DELETE_MANY),
            get: of(GET, GET_MANY),
            get_decided: only(GET_DECIDED),
            insert_in_tx: only(INSERT_IN_TX),
            create_in_tx: only(CREATE_IN_TX),
            update_in_tx: only(UPDATE_IN_TX),
            end_in_tx: only(END_IN_TX),
            end_own_in_tx: only(END_OWN_IN_TX),
            lock: only(LOCK),
            browse: only(BROWSE),
            browse_first: only(BROWSE_FIRST),
            sweep: only(SWEEP),
        }
    }
}
