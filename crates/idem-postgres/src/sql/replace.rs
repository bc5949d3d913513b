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
            " FROM ",
            keys!(),
            its_rows!(),
            " WHERE NOT EXISTS (SELECT FROM done d WHERE d.n = i.n)"
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
    "WITH mine AS MATERIALIZED (SELECT i.*, h.place, h.expires_at FROM ",
    updates!(),
    its_rows_locked!(live!("r"), "FOR NO KEY UPDATE"),
    "), done AS (UPDATE idem.records r SET status = i.status, attempt = i.attempt, token = i.token, \
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
    "WITH mine AS MATERIALIZED (SELECT i.n, h.place, h.expires_at FROM ",
    deletions!(),
    its_rows_locked!(live!("r"), "FOR UPDATE"),
    "), done AS (DELETE FROM idem.records r USING mine i WHERE r.ctid = i.place AND ",
    live!("i"),
    " RETURNING i.n) ",
    done_or_found_many!()
);
