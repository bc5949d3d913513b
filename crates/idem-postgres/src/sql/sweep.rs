//! The statements that remove what has expired.

/// Removes expired rows from a range of the table's pages, and says how many they were and how many
/// pages the table has.
///
/// There is no index on `expires_at`: every completion changes it, and would have to change the
/// index as well.
pub(super) const SWEEP: &str = "WITH gone AS (DELETE FROM idem.records WHERE ctid = ANY (ARRAY(\
     SELECT r.ctid FROM idem.records r WHERE r.ctid >= $1::text::tid AND r.ctid < $2::text::tid \
     AND r.expires_at <= clock_timestamp() LIMIT $3::int8 FOR UPDATE SKIP LOCKED)) RETURNING 1) \
     SELECT count(*)::int8, \
     (pg_relation_size('idem.records') / current_setting('block_size')::int8)::int8 FROM gone";

/// Takes or keeps the turn to sweep, unless another process had it a moment ago: one row if so.
pub(super) const SWEEP_TURN: &str = "INSERT INTO idem.sweeper AS s (one, owner, until) \
     VALUES (true, $1::int8, clock_timestamp() + $2::int8 * interval '1 millisecond') \
     ON CONFLICT (one) DO UPDATE SET owner = excluded.owner, until = excluded.until \
     WHERE s.owner = excluded.owner OR s.until <= clock_timestamp() RETURNING 1::int8";
