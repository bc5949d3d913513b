//! What an integration needs beside the engine: running work and learning how it ended, handing over
//! an open transaction, the stored form of typed answers, where tasks are spawned, what may be shown on
//! a terminal.
//!
//! For crates that end executions themselves, as an HTTP layer and a transactional mode do. An
//! application calls [`Idempotency::execute`](crate::Idempotency::execute), which does this for it.
//!
//! [`Ran`] and [`Stopped`] are deliberately not `#[non_exhaustive]`: each asks for an ending of its own.

pub use crate::{
    answer::{decode, encode},
    engine::{Ran, Spawner, Stopped, panic_message},
    fingerprint::FingerprintBuilder,
    open_transaction::OpenTransaction,
    redact::Printable,
    seen::SeenKeys,
};
