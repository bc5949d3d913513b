#![doc = include_str!("../README.md")]
//!
//! What the server has to be set to:
//!
//! | setting | why |
//! |---|---|
//! | `sysdate_is_now = OFF`, the default | A clock that stands still while a statement waits would take an expired record for a live one. A server that has it on is refused. |
//! | `innodb_flush_log_at_trx_commit = 1`, the default | With any other value a crash loses answers that were given. |
//! | `binlog_format` other than `STATEMENT` | A replica would run the statements by its own clock. |
//! | `max_allowed_packet` | The largest answer is 8 KiB less; a larger one is refused as [`TooLarge`](idem_core::store::StoreErrorKind::TooLarge). |
#![cfg_attr(docsrs, feature(doc_cfg))]

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
