//! Statements that replace or remove a record of an expected version.

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
pub(super) const UPDATE: &str = concat!("WITH ", guard!("$15"), update!());

/// [`UPDATE`] in a transaction that goes on.
pub(super) const UPDATE_IN_TX: &str = concat!(
    "WITH ",
    guard_in_tx!("$15"),
    update!(),
    unguard_after!("done")
);

/// [`UPDATE`] for distinct keys in ascending order. Rows are locked in that order, so that two of
/// these never wait for each other; one that is locked already, or has expired, is left as it is.
pub(super) const UPDATE_MANY: &str = concat!(
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

/// Ends a live record of a version. [`UPDATE_IN_TX`] tells why if it changes nothing.
pub(super) const END_IN_TX: &str = concat!(
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
pub(super) const END_OWN_IN_TX: &str = concat!(
    end!(),
    " WHERE ",
    its_row!(),
    " AND ",
    expected!("r"),
    " AND ",
    live!("r")
);

/// Removes a live record of a version. Otherwise as [`UPDATE`].
pub(super) const DELETE: &str = concat!(
    "WITH ",
    guard!("$5"),
    held!("FOR UPDATE OF r"),
    ", done AS (DELETE FROM idem.records r USING held h",
    where_held!(),
    " RETURNING 1) ",
    done_or_found!()
);

/// [`DELETE`] as [`UPDATE_MANY`].
pub(super) const DELETE_MANY: &str = concat!(
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
