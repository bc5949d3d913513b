#![doc = include_str!("../README.md")]
//!
//! Start at [`Idempotency::execute`] for work in one call, or at [`Idempotency::claim`] for a job
//! runner with a life of its own. Pick a store (`idem-memory`, `idem-sqlite`, `idem-redis`,
//! `idem-postgres`, `idem-mysql`) or write one: [`Store`](store::Store). All decisions are pure
//! functions in [`machine`].
#![cfg_attr(docsrs, feature(doc_cfg))]

mod answer;
mod derive;
#[expect(
    clippy::disallowed_methods,
    reason = "the engine waits and asks again; it decides nothing"
)]
mod engine;
pub mod error;
mod execution;
mod fingerprint;
mod key;
pub mod machine;
pub mod observe;
mod open_transaction;
mod policy;
mod prober;
mod redact;
mod refused;
mod resolution;
mod scope;
mod seen;
pub mod spi;
#[expect(
    clippy::disallowed_methods,
    reason = "the one reading of the wall clock, for people"
)]
mod stamp;
pub mod store;
pub mod testing;

pub use bytes::Bytes;

pub use engine::{Builder, Claim, Context, Failure, Idempotency, Outcome, Recording};
pub use execution::Execution;
pub use fingerprint::Fingerprint;
pub use key::IdempotencyKey;
pub use policy::{OnAbandoned, OnBusy, OnOutage, OnPanic, Policy};
pub use prober::{Abandonment, Prober};
pub use refused::Refused;
pub use resolution::{ProbeResult, Resolution};
pub use scope::{RecordKey, Scope};
pub use stamp::Timestamp;
