//! [`Harness`]: how the suite reaches a store.

use std::sync::Arc;

use async_trait::async_trait;
use idem_core::store::{Store, Watch};

use crate::{Browsing, Corrupt, Faults, Fill, Restart, Sweeping};

/// How the suite reaches a store, and what it may do to it.
///
/// Only [`name`](Self::name) and [`store`](Self::store) have to be there. Everything else is a
/// capability: the more of them a harness offers, the more cases run. A case that lacks one is
/// skipped aloud, never passed.
///
/// # Servers
/// A server is dear, so share one between the tests of a process: hold it in a `static`
/// [`OnceLock`](std::sync::OnceLock) that the constructor fills. All tests of a process run on one
/// runtime, so connections may be shared as well. Rust never drops a `static`: the server has to
/// die with the process by other means, such as a pipe that it (or its guardian) reads from.
///
/// Capabilities that would disturb other tests ([`restart`](Self::restart), [`fill`](Self::fill),
/// …) hand out a store of their own: give them a server, a database or a prefix of its own.
#[async_trait]
pub trait Harness: Send + Sync {
    /// What the store is called in reports: `"redis 7.0, cluster"`.
    fn name(&self) -> String;

    /// A fresh handle on the data, as another process would open one: with connections and caches
    /// of its own. All handles of one harness see the same data.
    ///
    /// The cases about concurrency open several handles, because most faults between processes (a
    /// lock, a cache or a clock of one process) never show within one. Where every call gives the
    /// same handle, as an embedded file that one process may open forces it, these faults stay
    /// unseen.
    ///
    /// Give it timeouts that a slow machine keeps to: a call that fails without a fault fails its
    /// case, and 16 MiB (or the [`payload_limit`](Self::payload_limit)) have to get through.
    async fn store(&self) -> Arc<dyn Store>;

    /// The scope under which all keys of the suite lie. Cases draw a random scope below it.
    fn namespace(&self) -> String {
        "conformance".to_owned()
    }

    /// How much longer every duration is than on a quick and idle machine.
    ///
    /// No case asserts that anything is quick: it scales how long records live in the cases about
    /// time, and how long a case waits before it calls a store hung. By default the environment's
    /// `IDEM_TIME_SCALE`, or 1.
    fn time_scale(&self) -> f64 {
        std::env::var("IDEM_TIME_SCALE")
            .ok()
            .and_then(|scale| scale.parse().ok())
            .filter(|scale: &f64| scale.is_finite() && *scale > 0.0)
            .unwrap_or(1.0)
    }

    /// The longest payload or checkpoint that the store takes, in bytes, where it has a limit: 400 KB
    /// less the rest of the record in DynamoDB, the column's length in MySQL.
    ///
    /// Payloads up to this length have to come back whole, and a longer one has to be refused with
    /// [`TooLarge`](idem_core::store::StoreErrorKind::TooLarge). By default there is none, and 16 MiB have to
    /// come back whole.
    fn payload_limit(&self) -> Option<usize> {
        None
    }

    /// How many records the case about eviction files before it looks for all of them: 20,000, twice
    /// as many as the caches that a store is most often built on keep by default.
    ///
    /// Give a smaller number only for a store that is slow *and* known to keep more: below the size
    /// of its cache the case shows nothing.
    fn records_to_keep(&self) -> usize {
        20_000
    }

    /// A server that can be restarted and keeps its data over it.
    async fn restart(&self) -> Option<Box<dyn Restart>> {
        None
    }

    /// A handle whose calls can be made to fail.
    async fn faults(&self) -> Option<Box<dyn Faults>> {
        None
    }

    /// A way to damage what is stored.
    async fn corrupt(&self) -> Option<Box<dyn Corrupt>> {
        None
    }

    /// A store that can be made full.
    async fn fill(&self) -> Option<Box<dyn Fill>> {
        None
    }

    /// The store's notifications, on the data of [`store`](Self::store).
    async fn watch(&self) -> Option<Arc<dyn Watch>> {
        None
    }

    /// The store's sweeper. Give it only where sweeping does something: the case counts what was
    /// purged.
    async fn sweep(&self) -> Option<Sweeping> {
        None
    }

    /// The store's listing.
    async fn browse(&self) -> Option<Browsing> {
        None
    }
}
