-- One row per idempotency key. Times are the server's own (clock_timestamp()); created_at alone is
-- the claimer's, and nothing is decided by it.
CREATE TABLE IF NOT EXISTS idem.records (
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    attempt     bigint      NOT NULL,
    revision    bigint      NOT NULL,
    lease_ms    bigint,
    token       bytea       NOT NULL,
    fingerprint bytea       NOT NULL,
    status      text        NOT NULL COLLATE "C",
    scope       text        NOT NULL COLLATE "C",
    key         text        NOT NULL COLLATE "C",
    checkpoint  bytea,
    payload     bytea,
    -- The key first: it is what differs, and a look-up compares it at every step of its way down.
    PRIMARY KEY (key, scope)
) WITH (
    -- Every record is updated once or more soon after it was inserted: room for the new version on
    -- the same page keeps those updates out of the index (HOT). Lower it where answers are long.
    fillfactor = 45,
    -- Dead versions are made at the rate of the requests, so they are cleared away by number and
    -- not by a share of the table, and as fast as the disk can.
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_insert_scale_factor = 0.1,
    autovacuum_vacuum_insert_threshold = 50000,
    autovacuum_analyze_scale_factor = 0.1,
    autovacuum_analyze_threshold = 5000,
    autovacuum_vacuum_cost_delay = 0,
    toast.autovacuum_vacuum_cost_delay = 0,
    -- Giving pages back to the system takes a lock that stops every request.
    vacuum_truncate = false,
    toast.vacuum_truncate = false
);

COMMENT ON TABLE idem.records IS 'Idempotency records of idem-postgres';
COMMENT ON COLUMN idem.records.created_at IS 'When the key was first claimed, by the clock of the claimer; for people';
COMMENT ON COLUMN idem.records.expires_at IS 'Past this the row counts as absent; sweeping gives its room back';
COMMENT ON COLUMN idem.records.status IS 'in-flight, retryable, released, completed or failed';
COMMENT ON COLUMN idem.records.attempt IS 'Fencing number: 1 for the first execution, one more for each later one';
COMMENT ON COLUMN idem.records.revision IS 'With token the version of the record, which every write compares; unsigned 64 bits';
COMMENT ON COLUMN idem.records.lease_ms IS 'In flight alone: how long after updated_at the holder is trusted; unsigned 64 bits';
COMMENT ON COLUMN idem.records.checkpoint IS 'What a holder left for a successor';
COMMENT ON COLUMN idem.records.payload IS 'The stored answer of a completed or failed key';

-- A table of a few pages is read whole rather than through its index, and a prepared statement
-- keeps such a plan for as long as the server does not look at the table again, while the table
-- grows by a million rows. So it starts out with a megabyte of empty pages.
INSERT INTO idem.records
    (created_at, updated_at, expires_at, attempt, revision, token, fingerprint, status, scope, key, payload)
SELECT now(), now(), now(), 0, 0, '', '', 'filler', ':filler', n::text, convert_to(repeat('x', 1700), 'UTF8')
FROM generate_series(1, 256) AS n
WHERE pg_relation_size('idem.records') < 1000000;
DELETE FROM idem.records WHERE status = 'filler';

-- Whose turn it is to remove expired rows, of all processes that offer to.
CREATE TABLE IF NOT EXISTS idem.sweeper (
    one   bool        PRIMARY KEY DEFAULT true CHECK (one),
    owner bigint      NOT NULL,
    until timestamptz NOT NULL
);
COMMENT ON TABLE idem.sweeper IS 'The process that removes expired records, and until when no other does';
