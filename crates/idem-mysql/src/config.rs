//! The knobs of a [`MySqlStore`](crate::MySqlStore).

use std::{num::NonZeroUsize, time::Duration};

/// How a [`MySqlStore`](crate::MySqlStore) works; the defaults are for production.
///
/// ```
/// use std::time::Duration;
/// use idem_mysql::MySqlConfig;
///
/// let config = MySqlConfig::default()
///     .lock_timeout(Duration::from_secs(2))
///     .sweep_every(None);
/// ```
#[derive(Debug, Clone)]
pub struct MySqlConfig {
    pub(crate) lanes: NonZeroUsize,
    pub(crate) spare: NonZeroUsize,
    pub(crate) batch_rows: NonZeroUsize,
    pub(crate) batch_bytes: usize,
    pub(crate) lock_timeout: Duration,
    pub(crate) send_timeout: Duration,
    pub(crate) patience: Duration,
    pub(crate) sweep_every: Option<Duration>,
}

impl Default for MySqlConfig {
    /// Two lanes of at most 64 rows or 1 MiB a statement, and two spare connections; a second for a
    /// duplicate to wait in a transaction; half a second to be sent, and five seconds for a silent
    /// server; a sweep about once a minute.
    fn default() -> Self {
        Self {
            lanes: const { NonZeroUsize::new(2).unwrap() },
            spare: const { NonZeroUsize::new(2).unwrap() },
            batch_rows: const { NonZeroUsize::new(64).unwrap() },
            batch_bytes: 1 << 20,
            lock_timeout: Duration::from_secs(1),
            send_timeout: Duration::from_millis(500),
            patience: Duration::from_secs(5),
            sweep_every: Some(Duration::from_secs(60)),
        }
    }
}

impl MySqlConfig {
    /// How many statements this store has under way at once, each on a connection of the store's own.
    /// Answers of 64 KiB and more have one further connection, so that they hold up nobody else.
    ///
    /// Calls that come while all of them are busy travel together in the next one, so one or two do
    /// more than many.
    #[must_use]
    pub fn lanes(mut self, lanes: NonZeroUsize) -> Self {
        self.lanes = lanes;
        self
    }

    /// How many further connections the store may open: for sweeping, for listing, and to find out
    /// what became of a commit.
    #[must_use]
    pub fn spare(mut self, connections: NonZeroUsize) -> Self {
        self.spare = connections;
        self
    }

    /// How many calls travel in one statement at most.
    #[must_use]
    pub fn batch_rows(mut self, rows: NonZeroUsize) -> Self {
        self.batch_rows = rows;
        self
    }

    /// At how many bytes of payloads and checkpoints a statement is full. One that is larger by
    /// itself travels alone.
    #[must_use]
    pub fn batch_bytes(mut self, bytes: usize) -> Self {
        self.batch_bytes = bytes;
        self
    }

    /// How long a duplicate in the transactional mode waits for the transaction that holds its key.
    /// The server counts whole seconds, so this is rounded up to them, and knows no wait of more than
    /// three years.
    ///
    /// The store's own statements wait one second for a row that somebody's open transaction holds.
    #[must_use]
    pub fn lock_timeout(mut self, timeout: Duration) -> Self {
        self.lock_timeout = timeout;
        self
    }

    /// How long a call may wait until it is sent: for a connection, and for a place in a statement.
    /// Past it the call is taken back and answers
    /// [`Unavailable`](idem_core::store::StoreErrorKind::Unavailable), since it is certain that nothing
    /// was applied. Keep it below the policy's `call_timeout`, after which an outcome counts as unknown.
    #[must_use]
    pub fn send_timeout(mut self, timeout: Duration) -> Self {
        self.send_timeout = timeout;
        self
    }

    /// How long the server may keep silent about a statement before its connection is given up, and a
    /// second more for each megabyte that is sent; also how long to wait for a connection. Longer than
    /// a second, which a statement may wait for a lock.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// About how often a store that was made by [`connect`](crate::MySqlStore::connect) removes expired
    /// records, and `None` for never. At most one process at a time sweeps a table.
    #[must_use]
    pub fn sweep_every(mut self, period: Option<Duration>) -> Self {
        self.sweep_every = period;
        self
    }
}
