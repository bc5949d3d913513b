//! Idempotency keys, storage-agnostic: a client retries, the server acts once.
//!
//! The first request with a key runs; every repeat gets *the same stored answer*; a different
//! request under the same key is refused; two at once never both run; and a crash half-way is told
//! apart from success.
//!
//! Start at [`Idempotency::execute`] for work in one call, or at [`Idempotency::claim`] for a job
//! runner with a life of its own. Pick a store (`idem-memory`, `idem-redis`, `idem-postgres`) or
//! write one: [`Store`]. All decisions are pure functions in [`machine`].

mod answer;
pub mod codec;
mod derive;
#[expect(
    clippy::disallowed_methods,
    reason = "the engine waits and asks again; it decides nothing"
)]
mod engine;
mod error;
mod execution;
mod fingerprint;
mod key;
pub mod machine;
pub mod observe;
mod optional;
mod policy;
mod prober;
mod record;
mod recorder;
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
mod store;

pub use bytes::Bytes;

pub use answer::{DecodeError, EncodeError};
pub use engine::{
    Builder, Claim, Context, Failure, Idempotency, Outcome, Ran, Recording, Spawner, Stopped,
};
pub use error::{ClaimError, ExecuteError, HoldError, ResolveError, Superseded};
pub use execution::Execution;
pub use fingerprint::{Fingerprint, FingerprintBuilder, FingerprintError};
pub use key::{IdempotencyKey, KeyError};
pub use machine::NotResolvable;
pub use optional::{Browse, Cursor, Page, Sweep, Watch, Watcher};
pub use policy::{OnAbandoned, OnBusy, OnOutage, OnPanic, Policy, PolicyError};
pub use prober::{Abandonment, Prober};
pub use record::{ClaimToken, Record, State, Stored, Version};
pub use recorder::{CommitError, OpenTransaction};
pub use refused::Refused;
pub use resolution::{ProbeResult, Resolution};
pub use scope::{RecordKey, Scope};
pub use seen::SeenKeys;
pub use stamp::Timestamp;
pub use store::{Created, Deleted, Store, StoreError, StoreErrorKind, Updated};
