//! What is actix-web's own: extractors, errors as answers, scopes, workers and shutdown.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests too")]

mod chain;
mod extractors;
mod shutdown;
#[path = "../support/mod.rs"]
mod support;
mod wire;
mod workers;
