//! [`Journal`]: where intents are kept, so that they survive a crash.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;
use bytes::Bytes;
use idem_core::IdempotencyKey;

use super::{Intent, RetryRules};

/// An intent as a [`Journal`] keeps it: its key, when it was first sent, and what is sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: IdempotencyKey,
    /// A time no later than the first sending, in milliseconds since 1970 by the wall clock.
    pub first_sent_ms: u64,
    /// What to send, in the caller's own form. A repeat has to be the same bytes.
    pub request: Bytes,
}

impl Entry {
    /// A new intent, with a random key, that is about to be sent.
    #[must_use]
    pub fn new(request: impl Into<Bytes>, now: SystemTime) -> Self {
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            key: IdempotencyKey::random(),
            first_sent_ms: u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
            request: request.into(),
        }
    }

    /// The intent before its first sending, by the process that has just written it down. All
    /// others [`resume`](Self::resume) it.
    #[must_use]
    pub fn intent(&self, rules: RetryRules) -> Intent {
        Intent::fresh(self.key.clone(), rules)
    }

    /// The intent in a later process: it may have run.
    #[must_use]
    pub fn resume(&self, now: SystemTime, rules: RetryRules) -> Intent {
        let first_sent = UNIX_EPOCH.checked_add(Duration::from_millis(self.first_sent_ms));
        Intent::resumed(self.key.clone(), first_sent, now, rules)
    }
}

impl fmt::Debug for Entry {
    /// Without the request, which never reaches a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("key", &self.key)
            .field("first_sent_ms", &self.first_sent_ms)
            .finish_non_exhaustive()
    }
}

/// Where intents are kept, so that a client goes on with them after a crash.
///
/// 1. [`write`](Self::write) an [`Entry`] before the first sending.
/// 2. Send under [`Entry::intent`].
/// 3. [`remove`](Self::remove) it once there is an outcome, and what follows from that is safe.
///
/// At the start, [`resume`](Entry::resume) all that are [`open`](Self::open), and send their requests
/// again. `examples/intent-journal` has one in a file and one in SQLite, and a client that is killed
/// between sending and answer.
///
/// ```
/// use std::time::SystemTime;
/// use idem_http::client::{Entry, Intent, Journal, RetryRules};
///
/// type Error = Box<dyn std::error::Error + Send + Sync>;
///
/// /// Sends a request under an intent until there is an outcome.
/// async fn send(intent: Intent, request: &[u8]) -> Result<(), Error> {
/// #   let _ = (intent, request);
///     // through the reqwest middleware or the tower layer
///     Ok(())
/// }
///
/// async fn pay(journal: &impl Journal<Error = Error>, order: &'static str) -> Result<(), Error> {
///     let entry = Entry::new(order, SystemTime::now());
///     journal.write(&entry).await?;
///     send(entry.intent(RetryRules::default()), &entry.request).await?;
///     journal.remove(&entry.key).await
/// }
///
/// async fn start(journal: &impl Journal<Error = Error>) -> Result<(), Error> {
///     for entry in journal.open().await? {
///         let intent = entry.resume(SystemTime::now(), RetryRules::default());
///         // One without an outcome stays, and holds up no other.
///         if send(intent, &entry.request).await.is_ok() {
///             journal.remove(&entry.key).await?;
///         }
///     }
///     Ok(())
/// }
/// ```
///
/// An intent without an outcome stays: a person looks it up, or a later start sends it again as long as
/// the server remembers its key. Where [`GaveUp::NothingRan`](super::GaveUp::NothingRan) says that it
/// never ran, it may be removed.
///
/// One process at a time may resume the entries of a journal. Two that do are safe (both send the same
/// key), and do the work twice.
#[async_trait]
pub trait Journal: Send + Sync {
    /// What can go wrong.
    type Error;

    /// Keeps an entry. When this returns, it survives a crash of the process, and of the machine if
    /// that is what the journal is for.
    ///
    /// # Errors
    /// When that is not certain. Do not send then.
    async fn write(&self, entry: &Entry) -> Result<(), Self::Error>;

    /// Forgets an entry. One that is not there is no error.
    ///
    /// # Errors
    /// When that is not certain: the intent may be resumed once more, which is safe as long as the
    /// server remembers its key.
    async fn remove(&self, key: &IdempotencyKey) -> Result<(), Self::Error>;

    /// The entries that were written and not removed.
    ///
    /// # Errors
    /// When they cannot be read.
    async fn open(&self) -> Result<Vec<Entry>, Self::Error>;
}
