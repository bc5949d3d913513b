//! What an integration needs beside the engine: the stored form of typed answers.
//!
//! For crates that end executions themselves, as `idem-postgres` does in the caller's transaction.
//! An application calls [`Idempotency::execute`](crate::Idempotency::execute), which does this for
//! it.

pub use crate::answer::{decode, encode};
