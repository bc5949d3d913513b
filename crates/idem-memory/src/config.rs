//! [`MemoryConfig`]: how much a store in memory may hold.

use std::{fmt, sync::Arc};

use crate::clock::{Clock, MonotonicClock};

/// The knobs of a [`MemoryStore`](crate::MemoryStore).
///
/// ```
/// use idem_memory::{MemoryConfig, MemoryStore};
///
/// let store = MemoryStore::with_config(
///     MemoryConfig::default()
///         .max_bytes(64 << 20)
///         .max_records(100_000),
/// );
/// # drop(store);
/// ```
#[derive(Clone)]
pub struct MemoryConfig {
    pub(crate) max_bytes: usize,
    pub(crate) max_records: usize,
    pub(crate) shards: usize,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Default for MemoryConfig {
    /// 1 GiB, any number of records, 16 shards per core, the system's monotonic clock.
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            max_bytes: 1 << 30,
            max_records: usize::MAX,
            shards: cores.saturating_mul(16),
            clock: Arc::new(MonotonicClock::new()),
        }
    }
}

impl MemoryConfig {
    /// The most shards there can be.
    pub const MAX_SHARDS: usize = 1 << 12;

    /// The most memory that records may take: keys, payloads and checkpoints as they are, and
    /// [`RECORD_OVERHEAD`](crate::MemoryStore::RECORD_OVERHEAD) for each.
    ///
    /// Nothing is ever evicted (rule S6), so a client that can draw keys can fill a store. This
    /// bound makes it meet a refusal instead of the end of the machine's memory. Size it for a
    /// whole retention: requests per second × retention × (bytes of an answer + overhead).
    #[must_use]
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// The most records there may be.
    #[must_use]
    pub fn max_records(mut self, records: usize) -> Self {
        self.max_records = records;
        self
    }

    /// How many parts the store has, each under a lock of its own. Rounded up to a power of two,
    /// at most [`MAX_SHARDS`](Self::MAX_SHARDS).
    #[must_use]
    pub fn shards(mut self, shards: usize) -> Self {
        self.shards = shards;
        self
    }

    /// The clock that ages and expiry are measured by.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }
}

impl fmt::Debug for MemoryConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryConfig")
            .field("max_bytes", &self.max_bytes)
            .field("max_records", &self.max_records)
            .field("shards", &self.shards)
            .finish_non_exhaustive()
    }
}
