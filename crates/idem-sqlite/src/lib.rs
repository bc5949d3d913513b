#![doc = include_str!("../README.md")]
//!
//! Any number of processes of one host may share the file. An answer that was stored survives the
//! process, the system and, with the default [`Durability::Full`], the power. With the
//! [transactional mode](Transactional) the user's own rows commit together with the record that says
//! they are there (G7).
//!
//! SQLite lets one transaction write at a time, so all writes of a process travel together in the
//! transactions of one connection.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod batch;
mod browse;
mod clock;
mod config;
mod error;
mod files;
mod inspect;
mod migrate;
mod place;
mod read;
mod sql;
mod store;
mod sweep;
mod tx;

pub use config::{Durability, SqliteConfig};
pub use error::is_transient;
pub use idem_core::error::CommitError;
pub use idem_sql::{
    Migrations, Sweeper,
    tx::{Committed, InTx, Once, TxError},
};
pub use inspect::{SqliteFacts, WriteAccess, inspect, migrations};
pub use store::SqliteStore;
pub use tx::{Completion, OpenTx, Transactional};
