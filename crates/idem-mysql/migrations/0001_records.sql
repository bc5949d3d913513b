-- One row per idempotency key. Times are microseconds since 1970 by the server's clock (SYSDATE). Every
-- string is compared byte by byte.
CREATE TABLE IF NOT EXISTS idem_records (
    `key`      VARBINARY(255)  NOT NULL,
    scope      VARBINARY(1024) NOT NULL,
    -- Claim token and revision, which every write compares.
    version    VARBINARY(32)   NOT NULL,
    -- The number of the statement that wrote the row last, drawn for each.
    writer     BIGINT          NOT NULL,
    updated_at BIGINT          NOT NULL,
    -- Past this the row counts as absent; sweeping gives its room back. 0 in one that was released.
    expires_at BIGINT          NOT NULL,
    -- For people: in-flight, retryable, completed, failed or released.
    status     VARBINARY(16)   NOT NULL,
    -- The record itself, with a checksum.
    body       LONGBLOB        NOT NULL,
    -- The key first: it is what differs.
    PRIMARY KEY (`key`, scope)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;
