//! Idempotency records in MySQL and MariaDB.
//!
//! Claims commit before work starts, and with the [transactional mode](Transactional) the user's own
//! rows commit together with the record that says they are there (G7).
//!
//! ```no_run
//! use idem_core::Idempotency;
//! use idem_mysql::MySqlStore;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let store = MySqlStore::connect("mysql://app@db.example/shop").await?;
//! store.migrate().await?;
//! let idem = Idempotency::builder(store.clone()).build()?;
//! # Ok(()) }
//! ```
//!
//! Time is the server's `SYSDATE` alone. Tested with MariaDB 10.11. The statements keep to what MySQL
//! 8.0 documents as well; **it was not tested with MySQL.**
//!
//! What the server has to be set to:
//!
//! | setting | why |
//! |---|---|
//! | `sysdate_is_now = OFF`, the default | A clock that stands still while a statement waits would take an expired record for a live one. A server that has it on is refused. |
//! | `innodb_flush_log_at_trx_commit = 1`, the default | With any other value a crash loses answers that were given. |
//! | `binlog_format` other than `STATEMENT` | A replica would run the statements by its own clock. |
//! | `max_allowed_packet` | The largest answer is 8 KiB less; a larger one is refused as [`TooLarge`](idem_core::store::StoreErrorKind::TooLarge). |

mod batch;
mod browse;
mod config;
mod error;
mod inspect;
mod migrate;
mod read;
mod session;
mod sql;
mod store;
mod sweep;
mod tx;

pub use config::MySqlConfig;
pub use error::is_transient;
pub use idem_core::error::CommitError;
pub use idem_sql::{
    Migrations, Sweeper,
    tx::{Committed, InTx, Once, TxError},
};
pub use inspect::{MySqlFacts, inspect, migrations};
pub use store::MySqlStore;
pub use tx::{Completion, OpenTx, Transactional};
