-- Applied at every start, by whichever process is first: it changes nothing that is there.
CREATE SCHEMA IF NOT EXISTS payments;

CREATE TABLE IF NOT EXISTS payments.transfers (
    id text PRIMARY KEY,
    merchant text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('payment', 'refund')),
    amount bigint NOT NULL CHECK (amount > 0),
    currency text NOT NULL,
    description text,
    status text NOT NULL,
    -- The run of the key; null for a request without one. Not unique: that it comes once is what
    -- the page wants to show, and a table that refused a second charge would hide it.
    attempt bigint,
    bank_key text,
    created_at timestamptz NOT NULL
);

CREATE INDEX IF NOT EXISTS transfers_of_merchant ON payments.transfers (merchant, kind, id);
