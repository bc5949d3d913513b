//! G7: the user's rows and the idempotency record commit together, or not at all.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod by_hand;
mod execute;
mod limits;
mod once;
mod recorder;
mod world;
