//! What an integration needs beside the engine: the stored form of typed answers, and the message of
//! a caught panic.
//!
//! For crates that end executions themselves, as `idem-postgres` does in the caller's transaction.
//! An application calls [`Idempotency::execute`](crate::Idempotency::execute), which does this for
//! it.

pub use crate::{
    answer::{decode, encode},
    engine::panic_message,
};
