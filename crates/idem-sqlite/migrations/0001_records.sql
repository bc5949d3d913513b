-- One row per idempotency key. Times are milliseconds of the store's clock (idem_clock), which is not
-- the wall clock: compare them with each other alone.
CREATE TABLE idem_records (
    key        TEXT    NOT NULL,
    scope      TEXT    NOT NULL,
    -- Claim token and revision, which every write compares.
    version    BLOB    NOT NULL,
    updated_at INTEGER NOT NULL,
    -- Past this the row counts as absent; sweeping gives its room back.
    expires_at INTEGER NOT NULL,
    -- For people: in-flight, retryable, released, completed or failed.
    status     TEXT    NOT NULL,
    -- The record itself, with a checksum.
    body       BLOB    NOT NULL,
    -- The key first: it is what differs.
    PRIMARY KEY (key, scope)
) STRICT, WITHOUT ROWID;

-- Which boot the clock was set in, and how far it had got. See clock.rs.
CREATE TABLE idem_clock (
    one       INTEGER PRIMARY KEY CHECK (one = 1),
    boot      TEXT    NOT NULL,
    offset_ms INTEGER NOT NULL,
    seen_ms   INTEGER NOT NULL,
    wall_ms   INTEGER NOT NULL
) STRICT;

-- Whose turn it is to remove expired rows, of all processes that offer to.
CREATE TABLE idem_sweeper (
    one      INTEGER PRIMARY KEY CHECK (one = 1),
    owner    INTEGER NOT NULL,
    until_ms INTEGER NOT NULL
) STRICT;
