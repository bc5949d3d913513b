//! What an inbox takes, and how often it runs.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests too")]

mod actix;
mod left;
mod once;
mod refused;
mod signatures;
mod support;
