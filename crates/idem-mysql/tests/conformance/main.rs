//! The conformance suite against MariaDB: at each isolation level (repeatable read is the default),
//! through a proxy, with odd defaults, and with a small `max_allowed_packet`.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod connecting;
mod deployment;
mod faults;
mod harness;
mod own_server;

use deployment::{Setting, Way};
use harness::MySqlHarness;

/// The default holds just 16 MiB, which is less than the suite's largest payload in its frame.
const ROOMY: &[Setting] = &[("max-allowed-packet", "64M")];

const READ_COMMITTED: &[Setting] = &[
    ("max-allowed-packet", "64M"),
    ("transaction-isolation", "READ-COMMITTED"),
];

const SERIALIZABLE: &[Setting] = &[
    ("max-allowed-packet", "64M"),
    ("transaction-isolation", "SERIALIZABLE"),
];

const ODD_DEFAULTS: &[Setting] = &[
    ("max-allowed-packet", "64M"),
    (
        "sql-mode",
        "ANSI,NO_BACKSLASH_ESCAPES,SIMULTANEOUS_ASSIGNMENT,STRICT_ALL_TABLES",
    ),
    ("default-time-zone", "+13:00"),
    ("character-set-server", "latin1"),
    ("innodb-snapshot-isolation", "ON"),
    ("innodb-rollback-on-timeout", "ON"),
    ("autocommit", "0"),
];

async fn read_committed() -> Option<MySqlHarness> {
    MySqlHarness::of("read committed", Way::Direct, READ_COMMITTED).await
}

async fn serializable() -> Option<MySqlHarness> {
    MySqlHarness::of("serializable", Way::Direct, SERIALIZABLE).await
}

async fn proxied() -> Option<MySqlHarness> {
    MySqlHarness::of("a server behind a proxy", Way::Proxy, ROOMY).await
}

async fn with_odd_defaults() -> Option<MySqlHarness> {
    MySqlHarness::of("odd defaults", Way::Direct, ODD_DEFAULTS).await
}

async fn with_default_packets() -> Option<MySqlHarness> {
    MySqlHarness::of("packets of 16 MiB", Way::Direct, &[]).await
}

idem_conformance::suite!(at_read_committed, read_committed);
idem_conformance::suite!(at_serializable, serializable);
idem_conformance::suite!(behind_proxy, proxied);
idem_conformance::suite!(under_odd_defaults, with_odd_defaults);
idem_conformance::suite!(in_default_packets, with_default_packets);
