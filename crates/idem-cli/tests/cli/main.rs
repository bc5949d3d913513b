//! The real program, run as an operator runs it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod doctor;
mod help;
mod idem;
mod planted;
mod prometheus;
mod serve;
mod sqlite;
mod story;
