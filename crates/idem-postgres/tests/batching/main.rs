//! Calls that travel together: how many statements they are, and who is harmed by whom.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod alone;
mod locks;
mod plans;
mod seen;
mod together;
mod undecided;
mod world;
