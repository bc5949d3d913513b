//! What holds behind every integration, said once. Each integration compiles this into its tests, beside
//! a `support` of its own that opens a shop behind it.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests too")]

mod busy;
mod connection;
mod endings;
mod key;
mod large;
mod mismatch;
mod outage;
mod profile;
mod replay;
mod routes;
mod scope;
mod streams;
mod too_large;
