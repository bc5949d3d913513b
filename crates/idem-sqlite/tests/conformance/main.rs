//! The conformance suite, on files of their own: with full durability, and shared by a child process
//! that is killed.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod child;
mod harness;

use harness::SqliteHarness;
use idem_sqlite::Durability;

async fn full() -> SqliteHarness {
    SqliteHarness::new("SQLite, full", Durability::Full)
}

async fn normal() -> SqliteHarness {
    SqliteHarness::new("SQLite, normal", Durability::Normal)
}

idem_conformance::suite!(full_durability, full);
idem_conformance::suite!(normal_durability, normal);
