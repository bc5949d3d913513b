//! The conformance suite against every way to reach a server: through a proxy, through PgBouncer in
//! transaction mode, at each isolation level, with timeouts set, and with defaults that change what
//! SQL means.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod deployment;
mod faults;
mod harness;
mod own_server;

use deployment::{Setting, Way};
use harness::PostgresHarness;

const REPEATABLE_READ: &[Setting] = &[("default_transaction_isolation", "repeatable read")];

const SERIALIZABLE: &[Setting] = &[("default_transaction_isolation", "serializable")];

const TIMEOUTS: &[Setting] = &[
    ("statement_timeout", "20s"),
    ("lock_timeout", "1ms"),
    ("idle_in_transaction_session_timeout", "5s"),
];

const ODD_DEFAULTS: &[Setting] = &[
    ("bytea_output", "escape"),
    ("standard_conforming_strings", "off"),
    ("search_path", "nowhere"),
    ("IntervalStyle", "sql_standard"),
    ("plan_cache_mode", "force_generic_plan"),
];

async fn proxied() -> Option<PostgresHarness> {
    PostgresHarness::of("a server behind a proxy", Way::Proxy, &[]).await
}

async fn pooled() -> Option<PostgresHarness> {
    PostgresHarness::of("PgBouncer in transaction mode", Way::PgBouncer, &[]).await
}

async fn repeatable_read() -> Option<PostgresHarness> {
    PostgresHarness::of("repeatable read", Way::Direct, REPEATABLE_READ).await
}

async fn serializable_and_pooled() -> Option<PostgresHarness> {
    PostgresHarness::of("serializable by PgBouncer", Way::PgBouncer, SERIALIZABLE).await
}

async fn with_timeouts() -> Option<PostgresHarness> {
    PostgresHarness::of("timeouts", Way::Direct, TIMEOUTS).await
}

async fn with_odd_defaults() -> Option<PostgresHarness> {
    PostgresHarness::of("odd defaults", Way::Text, ODD_DEFAULTS).await
}

idem_conformance::suite!(behind_proxy, proxied);
idem_conformance::suite!(behind_pgbouncer, pooled);
idem_conformance::suite!(at_repeatable_read, repeatable_read);
idem_conformance::suite!(at_serializable_behind_pgbouncer, serializable_and_pooled);
idem_conformance::suite!(under_timeouts, with_timeouts);
idem_conformance::suite!(under_odd_defaults, with_odd_defaults);
