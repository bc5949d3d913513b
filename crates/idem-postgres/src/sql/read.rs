//! Statements that look at records and leave them as they are.

/// A record.
pub(super) const GET: &str = concat!(
    "SELECT ",
    found!("1"),
    " FROM idem.records r WHERE ",
    its_row!()
);

/// [`GET`] for many keys.
pub(super) const GET_MANY: &str = concat!("SELECT ", found!("i.n"), " FROM ", keys!(), its_rows!());

/// A record that [`GET`] saw past its ttl, if it is live after all, once whoever writes to it has
/// ended.
///
/// Its lock is a write, and one that nobody misses: its commit waits for no disk and no standby.
pub(super) const GET_DECIDED: &str = concat!(
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
pub(super) const LOCK: &str = concat!(
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
pub(super) const BROWSE: &str = concat!(
    "SELECT ",
    found!("1"),
    ", r.scope, r.key FROM (SELECT l.status, l.attempt, l.token, l.revision, l.fingerprint, l.lease_ms, \
     CASE WHEN $4::text = '' OR strpos($4::text, ',' || l.status || ',') > 0 THEN l.checkpoint END \
     AS checkpoint, \
     CASE WHEN $4::text = '' OR strpos($4::text, ',' || l.status || ',') > 0 THEN l.payload END \
     AS payload, \
     l.created_at, l.updated_at, l.expires_at, l.scope, l.key FROM idem.records l) r \
     WHERE (r.key, r.scope) > ($2::text, $1::text) AND ",
    live!("r"),
    " ORDER BY r.key, r.scope LIMIT $3::int8"
);
