//! A store of your own, as you would write it: [`RedbStore`] keeps records in one file, by means of
//! the embedded database `redb`.
//!
//! A store is four conditional writes and a clock that outlives it; everything else is in
//! idem-core. What there is to decide, and where it is decided here:
//!
//! | question | answer | file |
//! |---|---|---|
//! | how is a write conditional? (S1–S3) | look and write in one transaction; redb has one writer at a time | `store.rs` |
//! | whose clock, and does it survive? (S4) | the machine's, read once at the start and never earlier than the last write | `clock.rs` |
//! | when is a record gone? (S5, S6) | its row says when; a look at it compares, a sweep deletes | `tables.rs`, `sweep.rs` |
//! | what was written, whole? (S7) | the core's codec with its checksum | `tables.rs` |
//! | was it applied? (S9) | before the commit: certainly not; at the commit: unknown | `error.rs` |
//! | what if the caller hangs up? (S10) | the transaction runs on a thread of its own, to its end | `store.rs` |
//!
//! `tests/conformance.rs` puts it to the suite of idem-conformance.

mod browse;
mod clock;
mod error;
mod store;
mod sweep;
mod tables;

pub use store::RedbStore;
