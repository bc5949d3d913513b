//! What a harness can do to its store beyond calling it.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use idem_core::{
    RecordKey,
    store::{Browse, Store, Sweep},
};

use crate::Skipped;

/// A server that can be restarted and keeps its data over it.
///
/// Restart the process that serves, and give its [`run`](Self::run): a restart that does nothing passes
/// every other case and shows nothing. Opening a file again in the same process hides what the process
/// remembers, such as a monotonic clock; the case over [`Harness::elsewhere`](crate::Harness::elsewhere)
/// shows that.
#[async_trait]
pub trait Restart: Send + Sync {
    /// A handle on the data. Handles from before a restart have to work after it.
    async fn store(&self) -> Arc<dyn Store>;

    /// Stops the server, starts it over the same data, and returns when it serves.
    async fn restart(&self);

    /// What tells this run of the server from all others, such as the number of its process. By default
    /// nothing, and the case that asks for it is skipped.
    async fn run(&self) -> Option<String> {
        None
    }
}

/// A clock that a store reads, and that can be made to step, as an administrator or a virtual machine
/// that wakes up lets it.
///
/// For stores that promise an age which no step changes, because they read a clock that does not step
/// or guard against it. A server that measures ages by its wall clock cannot promise that.
#[async_trait]
pub trait SteppedClock: Send + Sync {
    /// A handle on data whose ages are measured by this clock.
    async fn store(&self) -> Arc<dyn Store>;

    /// Sets the clock forward.
    async fn forward(&self, by: Duration);

    /// Sets the clock back.
    async fn back(&self, by: Duration);
}

/// What can go wrong between a caller and its store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// The next call is applied, and its reply is lost.
    LoseReply,
    /// The next call is lost before it is applied.
    LoseRequest,
    /// No call is answered until [`heal`](Faults::heal); it may be applied or not.
    Hang,
    /// The store cannot be reached until [`heal`](Faults::heal).
    Down,
}

/// A handle whose calls can be made to fail.
///
/// A store in the same process can be wrapped; one behind a connection is best reached through a
/// proxy that looks for requests and replies.
#[async_trait]
pub trait Faults: Send + Sync {
    /// The handle that the faults hit; every call gives the same one, or one that is hit alike.
    async fn store(&self) -> Arc<dyn Store>;

    /// A handle on the same data that no fault hits.
    async fn truth(&self) -> Arc<dyn Store>;

    /// Arms a fault. The suite sends one call at a time, over a handle that was used before.
    ///
    /// # Errors
    /// [`Skipped`] when this harness cannot make that fault happen.
    async fn inject(&self, fault: Fault) -> Result<(), Skipped>;

    /// Ends every fault, also one that did not strike yet. The handle may take a moment to find
    /// its way back.
    async fn heal(&self);
}

/// A way to damage what is stored.
#[async_trait]
pub trait Corrupt: Send + Sync {
    /// A handle on the data.
    async fn store(&self) -> Arc<dyn Store>;

    /// Puts a record in a format of a future release under the key, in place of what is there. Its ttl
    /// stays.
    async fn write_unknown_format(&self, key: &RecordKey);

    /// Damages the record under the key, as a failing disk would.
    async fn damage(&self, key: &RecordKey);

    /// What lies under the key, as raw as it can be had, to be compared for equality.
    async fn raw(&self, key: &RecordKey) -> Option<Vec<u8>>;

    /// The listing of the same data; the case about it is skipped where there is none.
    async fn browse(&self) -> Option<Arc<dyn Browse>> {
        None
    }
}

/// A store that can be made full.
#[async_trait]
pub trait Fill: Send + Sync {
    /// A handle on the data.
    async fn store(&self) -> Arc<dyn Store>;

    /// Takes the room away, so that a new record of 64 KiB does not fit any more. What was written
    /// before has to stay.
    async fn fill(&self);
}

/// A store and its sweeper; nobody else sweeps it.
#[derive(Clone)]
pub struct Sweeping {
    /// A handle on the data.
    pub store: Arc<dyn Store>,
    /// The sweeper of the same data.
    pub sweep: Arc<dyn Sweep>,
}

/// A store and its listing; nothing in it is damaged.
#[derive(Clone)]
pub struct Browsing {
    /// A handle on the data.
    pub store: Arc<dyn Store>,
    /// The listing of the same data.
    pub browse: Arc<dyn Browse>,
}
