//! Idempotency records in PostgreSQL.
//!
//! Claims commit before work starts, and with the [transactional mode](Transactional) the user's own
//! rows commit together with the record that says they are there (G7).
//!
//! ```no_run
//! use idem_core::Idempotency;
//! use idem_postgres::PostgresStore;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let store = PostgresStore::connect("postgres://app@db.example/app").await?;
//! store.migrate().await?;
//! let idem = Idempotency::builder(store.clone()).build()?;
//! # Ok(()) }
//! ```
//!
//! Time is the server's `clock_timestamp()` alone (rule S4). Where that clock is set forward, leases and
//! retention end early; where it is set back, a crashed holder keeps its key for so much longer. Have
//! NTP slew it.
//!
//! PostgreSQL 14 and later; see [`PostgresConfig`] for the knobs and for poolers.

mod batch;
mod browse;
mod call;
mod config;
mod error;
mod inspect;
mod literal;
mod migrate;
mod rows;
mod session;
mod sql;
mod store;
mod sweep;
mod tx;

pub use config::{ConfigError, PostgresConfig, Protocol};
pub use error::is_transient;
pub use idem_core::error::CommitError;
pub use idem_sql::{
    Migrations, Sweeper,
    tx::{Committed, InTx, Once, TxError},
};
pub use inspect::{PostgresFacts, inspect, migrations};
pub use store::PostgresStore;
pub use tx::{Completion, OpenTx, Transactional};
