//! The knobs of a [`SqliteStore`](crate::SqliteStore).

use std::{num::NonZeroUsize, time::Duration};

/// How a [`SqliteStore`](crate::SqliteStore) works; the defaults are for production.
///
/// ```
/// use std::time::Duration;
/// use idem_sqlite::{Durability, SqliteConfig};
///
/// let config = SqliteConfig::default()
///     .durability(Durability::Normal)
///     .busy_timeout(Duration::from_millis(250));
/// ```
#[derive(Debug, Clone)]
pub struct SqliteConfig {
    pub(crate) durability: Durability,
    pub(crate) readers: NonZeroUsize,
    pub(crate) batch_rows: NonZeroUsize,
    pub(crate) batch_bytes: usize,
    pub(crate) busy_timeout: Duration,
    pub(crate) send_timeout: Duration,
    pub(crate) transaction_limit: Duration,
    pub(crate) largest_file: Option<u64>,
    pub(crate) sweep_every: Option<Duration>,
}

/// What a power cut can lose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Durability {
    /// Nothing that was answered: every commit waits until it is on the disk
    /// (`PRAGMA synchronous = FULL`).
    #[default]
    Full,
    /// The commits since the last checkpoint, often the last minutes, although they were answered
    /// (`PRAGMA synchronous = NORMAL`). The file stays sound, and a process that dies loses nothing;
    /// a power cut or a crash of the system may: **a claim or an answer is then gone, and the next
    /// request with its key runs again.** Choose it where running twice after a power cut is harmless.
    Normal,
}

impl Default for SqliteConfig {
    /// Full durability; two connections for reads; at most 256 calls or 4 MiB in a transaction of the
    /// store's; half a second to wait for another process' transaction, or to be sent; two seconds for
    /// a transaction of the transactional mode; a sweep about once a minute.
    fn default() -> Self {
        Self {
            durability: Durability::default(),
            readers: const { NonZeroUsize::new(2).unwrap() },
            batch_rows: const { NonZeroUsize::new(256).unwrap() },
            batch_bytes: 4 << 20,
            busy_timeout: Duration::from_millis(500),
            send_timeout: Duration::from_millis(500),
            transaction_limit: Duration::from_secs(2),
            largest_file: None,
            sweep_every: Some(Duration::from_secs(60)),
        }
    }
}

impl SqliteConfig {
    /// What a power cut can lose. Nothing, by default.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// How many connections read. Writes have one of their own.
    #[must_use]
    pub fn readers(mut self, readers: NonZeroUsize) -> Self {
        self.readers = readers;
        self
    }

    /// How many calls travel in one transaction at most.
    #[must_use]
    pub fn batch_rows(mut self, rows: NonZeroUsize) -> Self {
        self.batch_rows = rows;
        self
    }

    /// At how many bytes of payloads and checkpoints a transaction is full. One that is larger by
    /// itself travels alone.
    #[must_use]
    pub fn batch_bytes(mut self, bytes: usize) -> Self {
        self.batch_bytes = bytes;
        self
    }

    /// How long to wait for the transaction of another process, or of the application, that is
    /// writing. Past it a call answers [`Unavailable`](idem_core::store::StoreErrorKind::Unavailable).
    #[must_use]
    pub fn busy_timeout(mut self, timeout: Duration) -> Self {
        self.busy_timeout = timeout;
        self
    }

    /// How long a call may wait until it is sent. Past it the call is taken back and answers
    /// [`Unavailable`](idem_core::store::StoreErrorKind::Unavailable), since it is certain that nothing was
    /// applied. Keep it below the policy's `call_timeout`, after which an outcome counts as unknown.
    #[must_use]
    pub fn send_timeout(mut self, timeout: Duration) -> Self {
        self.send_timeout = timeout;
        self
    }

    /// How long a transaction of the transactional mode may last before it is rolled back, and no
    /// longer than a third of the lease whatever this says: while it lasts nobody else can write to
    /// the file, and no lease is renewed.
    #[must_use]
    pub fn transaction_limit(mut self, limit: Duration) -> Self {
        self.transaction_limit = limit;
        self
    }

    /// How large the file may grow, in bytes. Past it writes answer
    /// [`Full`](idem_core::store::StoreErrorKind::Full), and nothing is evicted. By default as large as the
    /// disk allows.
    #[must_use]
    pub fn largest_file(mut self, bytes: u64) -> Self {
        self.largest_file = Some(bytes);
        self
    }

    /// About how often the store removes expired records, and `None` for never. At most one process
    /// at a time sweeps a file.
    #[must_use]
    pub fn sweep_every(mut self, period: Option<Duration>) -> Self {
        self.sweep_every = period;
        self
    }
}
