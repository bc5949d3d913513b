#![doc = include_str!("../README.md")]
//!
//! PostgreSQL 14 and later; see [`PostgresConfig`] for the knobs and for poolers.
#![cfg_attr(docsrs, feature(doc_cfg))]

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
