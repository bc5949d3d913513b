#![doc = include_str!("../README.md")]
//!
//! | here | what it does | what the store says |
//! |---|---|---|
//! | [`batch`] | queues calls and sends them together, over one or more lanes | which calls fit together ([`Kind`](batch::Kind)), and how a batch is sent ([`Lanes`](batch::Lanes)) |
//! | [`tx`] | the transactional mode: the user's rows and the record commit together (G7) | the statements in a transaction ([`TxStore`](tx::TxStore)) |
//! | [`Connections`] | connections of the store's own, apart from the application's pool | how to open one ([`Open`]) |
//! | [`Ledger`] | refuses tables that a newer release has changed | the query for the number of migrations |
//! | [`Sweeper`] | the background loop of sweeping | one round ([`Round`]) |
//! | [`Walk`] | how far a sweeper that follows the keys has got | the rows of a range, and which are expired |
//! | [`error`](mod@error) | sorts errors that are not the database's own (S9) | what the database's own errors say |
//! | [`listing`] | a page of rows, some of which cannot be read | the rows behind a place |
//! | [`row`] | a record as a few columns, for stores that keep it as one checksummed value | |
//!
//! There is no SQL here: statements, errors and configuration differ, and stay in their stores.
//!
//! # How to add a store
//! 1. `config.rs`: the knobs. `error.rs`: a [`StoreError`](idem_core::store::StoreError) from a
//!    `sqlx::Error` and a [`Stage`]; say [`Unknown`](idem_core::store::StoreErrorKind::Unknown) only for
//!    what may have been applied.
//! 2. `connections`: implement [`Open`] and keep a [`Connections`].
//! 3. `migrate.rs`: the steps, and a [`Ledger`] that is looked at before a connection is used.
//! 4. `batch.rs`: an enum of [`Kind`](batch::Kind)s, one for each multi-row statement, and
//!    [`Lanes::serve`](batch::Lanes::serve), which sends a batch and hands the replies to
//!    [`UnderWay::settle`](batch::UnderWay::settle). A batch is in ascending order of its keys and has
//!    each key once, so rows are locked in one order.
//! 5. `store.rs`: [`Store`](idem_core::store::Store) by [`Batcher::submit`](batch::Batcher::submit) of a
//!    [`Job`](batch::Job); [`batch::created`] and its likes turn the reply into the answer.
//! 6. `sweep.rs` and `browse.rs`: `Sweep`, `Browse` and [`Round`].
//! 7. `tx.rs`: [`TxStore`](tx::TxStore), and `pub type Transactional = idem_sql::tx::Transactional<MyStore>`.
//! 8. `tests/conformance`: the whole suite, with restart, faults, a full disk and damage. For a server,
//!    `tests/transactional`: a `world` for the tests of this crate's folder of that name.
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod batch;
mod connections;
pub mod error;
mod ledger;
pub mod listing;
pub mod row;
mod stage;
mod sweeper;
pub mod tx;
mod walk;

pub use connections::{Connection, Connections, Open};
pub use ledger::{Ledger, Migrations};
pub use stage::Stage;
pub use sweeper::{Round, Sweeper};
pub use walk::{Range, Walk};
