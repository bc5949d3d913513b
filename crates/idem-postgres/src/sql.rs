//! The statements, written for the schema `idem`.
//!
//! Each is one statement and so one transaction of its own. Each answers in the rows of
//! [`rows`](crate::rows): one with a NULL `status` for "done", else the record that was found.

use std::sync::Arc;

use crate::config::Schema;

/// The columns of a record that was found in `r`, behind its number in the call.
macro_rules! found {
    ($n:literal) => {
        concat!(
            $n,
            "::int8 AS n, r.status, r.attempt, r.token, r.revision, r.fingerprint, r.lease_ms, ",
            "r.checkpoint, r.payload, r.created_ms, ",
            "(date_part('epoch', clock_timestamp() - r.updated_at) * 1000000)::int8 AS age, ",
            "(date_part('epoch', r.expires_at - clock_timestamp()) * 1000000)::int8 AS remaining"
        )
    };
}

/// As many columns as `found!`, for a call that was done.
macro_rules! done {
    ($n:literal) => {
        concat!(
            $n,
            "::int8 AS n, NULL::text AS status, NULL::int8, NULL::bytea, NULL::int8, NULL::bytea, ",
            "NULL::int8, NULL::bytea, NULL::bytea, NULL::int8, NULL::int8, NULL::int8"
        )
    };
}

/// Files a record unless a live one is there. An expired row is overwritten.
///
/// The look comes first, so that a replay writes nothing: `ON CONFLICT DO UPDATE` locks the row
/// that it finds even where its condition does not hold. A row that another transaction inserted
/// between the look and the insert is in neither part: no row at all, ask again.
const CREATE: &str = concat!(
    "WITH found AS MATERIALIZED (SELECT ",
    found!("1"),
    " FROM idem.records r WHERE r.scope = $1::text AND r.key = $2::text \
        AND r.expires_at > clock_timestamp()), \
     made AS (INSERT INTO idem.records AS r (scope, key, status, attempt, token, revision, \
        fingerprint, lease_ms, checkpoint, payload, created_ms, updated_at, expires_at) \
        SELECT $1::text, $2::text, $3::text, $4::int8, $5::bytea, $6::int8, $7::bytea, $8::int8, \
        $9::bytea, $10::bytea, $11::int8, clock_timestamp(), \
        clock_timestamp() + $12::int8 * interval '1 millisecond' \
        WHERE NOT EXISTS (SELECT FROM found) \
        ON CONFLICT (scope, key) DO UPDATE SET status = excluded.status, \
        attempt = excluded.attempt, token = excluded.token, revision = excluded.revision, \
        fingerprint = excluded.fingerprint, lease_ms = excluded.lease_ms, \
        checkpoint = excluded.checkpoint, payload = excluded.payload, \
        created_ms = excluded.created_ms, updated_at = excluded.updated_at, \
        expires_at = excluded.expires_at \
        WHERE r.expires_at <= clock_timestamp() RETURNING 1) \
     SELECT * FROM found UNION ALL SELECT ",
    done!("1"),
    " FROM made"
);

/// Replaces a live record of a version. Otherwise answers with what is there.
const UPDATE: &str = concat!(
    "WITH done AS (UPDATE idem.records r SET status = $5::text, attempt = $6::int8, \
        token = $7::bytea, revision = $8::int8, fingerprint = $9::bytea, lease_ms = $10::int8, \
        checkpoint = $11::bytea, payload = $12::bytea, created_ms = $13::int8, \
        updated_at = clock_timestamp(), \
        expires_at = clock_timestamp() + $14::int8 * interval '1 millisecond' \
        WHERE r.scope = $1::text AND r.key = $2::text AND r.token = $3::bytea \
        AND r.revision = $4::int8 AND r.expires_at > clock_timestamp() RETURNING 1) \
     SELECT ",
    done!("1"),
    " FROM done UNION ALL SELECT ",
    found!("1"),
    " FROM idem.records r WHERE r.scope = $1::text AND r.key = $2::text \
        AND r.expires_at > clock_timestamp() AND NOT EXISTS (SELECT FROM done)"
);

/// Removes a live record of a version. Otherwise answers with what is there.
const DELETE: &str = concat!(
    "WITH done AS (DELETE FROM idem.records r \
        WHERE r.scope = $1::text AND r.key = $2::text AND r.token = $3::bytea \
        AND r.revision = $4::int8 AND r.expires_at > clock_timestamp() RETURNING 1) \
     SELECT ",
    done!("1"),
    " FROM done UNION ALL SELECT ",
    found!("1"),
    " FROM idem.records r WHERE r.scope = $1::text AND r.key = $2::text \
        AND r.expires_at > clock_timestamp() AND NOT EXISTS (SELECT FROM done)"
);

/// A live record.
const GET: &str = concat!(
    "SELECT ",
    found!("1"),
    " FROM idem.records r WHERE r.scope = $1::text AND r.key = $2::text \
        AND r.expires_at > clock_timestamp()"
);

/// The statements for one schema; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Statements {
    pub(crate) create: Arc<str>,
    pub(crate) update: Arc<str>,
    pub(crate) delete: Arc<str>,
    pub(crate) get: Arc<str>,
}

impl Statements {
    pub(crate) fn new(schema: &Schema) -> Self {
        let of = |sql| Arc::from(schema.apply(sql));
        Self {
            create: of(CREATE),
            update: of(UPDATE),
            delete: of(DELETE),
            get: of(GET),
        }
    }
}
