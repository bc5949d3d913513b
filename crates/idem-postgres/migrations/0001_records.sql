-- One row per idempotency key. Times are the server's own (clock_timestamp()); created_ms alone is
-- the client's, and nothing is decided by it.
CREATE TABLE IF NOT EXISTS idem.records (
    updated_at  timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    created_ms  bigint      NOT NULL,
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
    PRIMARY KEY (scope, key)
) WITH (
    -- Every record is updated once or more soon after it was inserted: room for the new version on
    -- the same page keeps those updates out of the index (HOT).
    fillfactor = 60,
    -- Dead versions are made at the rate of the requests, so they are cleared away by number and
    -- not by a share of the table, and as fast as the disk can.
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_insert_scale_factor = 0.1,
    autovacuum_vacuum_insert_threshold = 50000,
    autovacuum_analyze_scale_factor = 0.1,
    autovacuum_analyze_threshold = 5000,
    autovacuum_vacuum_cost_delay = 0,
    -- Giving pages back to the system takes a lock that stops every request.
    vacuum_truncate = false,
    toast.vacuum_truncate = false,
    toast.autovacuum_vacuum_cost_delay = 0
);

COMMENT ON TABLE idem.records IS 'Idempotency records of idem-postgres';
COMMENT ON COLUMN idem.records.status IS 'in-flight, retryable, completed or failed';
COMMENT ON COLUMN idem.records.created_ms IS 'When the key was first claimed, ms since the Unix epoch by the clock of the claimer; unsigned 64 bits';
COMMENT ON COLUMN idem.records.attempt IS 'Fencing number: 1 for the first execution, one more for each later one';
COMMENT ON COLUMN idem.records.revision IS 'With token the version of the record, which every write compares; unsigned 64 bits';
COMMENT ON COLUMN idem.records.lease_ms IS 'In flight alone: how long after updated_at the holder is trusted; unsigned 64 bits';
COMMENT ON COLUMN idem.records.checkpoint IS 'What a holder left for a successor';
COMMENT ON COLUMN idem.records.payload IS 'The stored answer of a completed or failed key';
COMMENT ON COLUMN idem.records.expires_at IS 'Past this the row counts as absent; sweeping it gives back its room';
