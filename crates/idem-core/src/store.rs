//! What a store is and what it keeps, for those who write one: [`Store`], four conditional operations
//! over a versioned [`Record`]; its errors; and what it may offer beside them ([`Browse`], [`Sweep`],
//! [`Watch`]).
//!
//! [`codec`] has the stored form of a record, for stores that keep bytes.
//!
//! The enums here are deliberately not `#[non_exhaustive]`: a store that does not know an outcome or a
//! state cannot keep the rules.

pub mod codec;
mod filter;
mod optional;
mod record;

use std::{borrow::Cow, error::Error, fmt, sync::Arc, time::Duration};

use async_trait::async_trait;

use crate::RecordKey;

pub use filter::{Filter, Within};
pub use optional::{Browse, Cursor, Page, Sweep, Unreadable, Watch, Watcher};
pub use record::{ClaimToken, Record, State, StateKind, Stored, Version};

/// Where records live. Implement it to plug in a store of your own, then run the suite of
/// `idem-conformance` against it.
///
/// A store knows nothing of leases, fingerprints or policy: all decisions are pure functions in
/// [`machine`](crate::machine). It keeps these rules:
///
/// | rule | |
/// |---|---|
/// | **S1** | Of concurrent creates on one absent key exactly one answers [`Created::New`]; the others answer `Exists` with the winner, never with nothing. |
/// | **S2** | [`update`](Self::update) applies if and only if the stored version equals `expected`, atomically. |
/// | **S3** | [`delete`](Self::delete) likewise. |
/// | **S4** | `age` is measured by the store's clock alone, survives its restart, and never runs backwards between two writes. A clock that *steps* breaks this: forward, it ends leases and retention early (a living holder is taken over); backward, it keeps the key of a dead holder for longer. Where the clock of a store's server can be set, its docs say so, and it warns of a step that it can see. |
/// | **S5** | Past its ttl a record is absent to all four operations, purged or not. |
/// | **S6** | Nothing goes before its ttl: no eviction, ever. A full store refuses with [`StoreErrorKind::Full`]. |
/// | **S7** | What was written is read back whole; an unknown format version is [`StoreErrorKind::Corrupt`] and is never overwritten. |
/// | **S8** | Distinct keys never collide, and no key can inject into a command, a pattern or a log line. |
/// | **S9** | Errors say whether the write was applied: [`StoreErrorKind`]. The source error is kept. |
/// | **S10** | A future dropped at any await leaves its write applied or not applied, never half, and the store usable. |
///
/// A write may be sent again with the very same arguments (G5): a second `create` then finds its
/// own version in `Exists`, a second `update` its own version in `Conflict`.
#[async_trait]
pub trait Store: Send + Sync {
    /// Files `record` under `key` for `ttl` unless something is there.
    ///
    /// # Contract
    /// S1, S5 (an expired record is not there), S6, S7, S8, S9, S10.
    async fn create(
        &self,
        key: &RecordKey,
        record: &Record,
        ttl: Duration,
    ) -> Result<Created, StoreError>;

    /// Replaces the record of `key`, and its ttl, if its version is still `expected`.
    ///
    /// The record's age starts anew. `record.version` differs from `expected`.
    ///
    /// # Contract
    /// S2, S4, S5, S6, S7, S9, S10.
    async fn update(
        &self,
        key: &RecordKey,
        expected: Version,
        record: &Record,
        ttl: Duration,
    ) -> Result<Updated, StoreError>;

    /// Removes the record of `key` if its version is still `expected`.
    ///
    /// # Contract
    /// S3, S5, S9, S10.
    async fn delete(&self, key: &RecordKey, expected: Version) -> Result<Deleted, StoreError>;

    /// The record of `key`, or `None`.
    ///
    /// # Contract
    /// S4, S5, S7, S9, S10. Never an older record than one that a finished write left.
    async fn get(&self, key: &RecordKey) -> Result<Option<Stored>, StoreError>;
}

/// What [`Store::create`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Created {
    /// The record was filed.
    New,
    /// Something was there; nothing was written.
    Exists(Stored),
}

/// What [`Store::update`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Updated {
    /// The record was replaced.
    Done,
    /// Another version, or nothing, was there; nothing was written.
    Conflict(Option<Stored>),
}

/// What [`Store::delete`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deleted {
    /// The record was removed.
    Done,
    /// Another version, or nothing, was there; nothing was removed.
    Conflict(Option<Stored>),
}

/// What is known of the write after an error (rule S9).
///
/// ```
/// use idem_core::store::{StoreError, StoreErrorKind};
///
/// /// How a store sorts what its driver reports.
/// fn sorted(error: std::io::Error, sent: bool) -> StoreError {
///     let kind = match sent {
///         false => StoreErrorKind::Unavailable, // no connection: nothing was written
///         true => StoreErrorKind::Unknown,      // the reply is lost, the write perhaps is not
///     };
///     StoreError::new(kind, "the connection failed").with_source(error)
/// }
/// let lost = sorted(std::io::ErrorKind::ConnectionReset.into(), true);
/// assert_eq!(lost.kind(), StoreErrorKind::Unknown);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StoreErrorKind {
    /// Certainly not applied: the store could not be reached or refused. Asking again may help.
    Unavailable,
    /// It may have been applied: the reply was lost. Ask again with the same arguments.
    Unknown,
    /// Certainly not applied: no room. Nothing was evicted to make some.
    Full,
    /// Certainly not applied, and never will be: the record is larger than this store can hold.
    TooLarge,
    /// What is stored cannot be read: damaged, or written by a newer release.
    Corrupt,
    /// The store is set up in a way that can never work, or the arguments can never be stored.
    Config,
}

impl StoreErrorKind {
    /// Whether the same call may succeed a moment later.
    #[must_use]
    pub const fn is_transient(self) -> bool {
        matches!(self, Self::Unavailable | Self::Unknown)
    }

    /// `unavailable`, `unknown`, `full`, `too-large`, `corrupt` or `config`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unavailable => "unavailable",
            Self::Unknown => "unknown",
            Self::Full => "full",
            Self::TooLarge => "too-large",
            Self::Corrupt => "corrupt",
            Self::Config => "config",
        }
    }

    const fn meaning(self) -> &'static str {
        match self {
            Self::Unavailable => "the store is unavailable, nothing was written",
            Self::Unknown => "the store did not answer, the write may have been applied",
            Self::Full => "the store is full, nothing was written",
            Self::TooLarge => "the record is too large for the store, nothing was written",
            Self::Corrupt => "the stored record cannot be read",
            Self::Config => "the store is not set up for this",
        }
    }
}

/// A store call that failed, what that means for its write, and the cause.
///
/// ```
/// use std::error::Error;
/// use idem_core::store::StoreError;
///
/// let error = StoreError::unavailable("no connection within 500 ms")
///     .with_source(std::io::Error::other("connection refused"));
/// assert!(error.kind().is_transient());
/// assert_eq!(error.source().map(ToString::to_string).as_deref(), Some("connection refused"));
/// ```
#[derive(Debug, Clone)]
pub struct StoreError {
    kind: StoreErrorKind,
    message: Cow<'static, str>,
    source: Option<Cause>,
}

impl StoreError {
    /// An error of this kind. The message says what to do, and holds no key and no payload.
    pub fn new(kind: StoreErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
        }
    }

    /// [`StoreErrorKind::Unavailable`]: certainly not applied.
    pub fn unavailable(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StoreErrorKind::Unavailable, message)
    }

    /// [`StoreErrorKind::Unknown`]: may have been applied.
    pub fn unknown(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StoreErrorKind::Unknown, message)
    }

    /// [`StoreErrorKind::Full`]: refused for want of room.
    pub fn full(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StoreErrorKind::Full, message)
    }

    /// [`StoreErrorKind::TooLarge`]: a record that this store can never hold.
    pub fn too_large(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StoreErrorKind::TooLarge, message)
    }

    /// [`StoreErrorKind::Corrupt`]: what is there cannot be read.
    pub fn corrupt(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StoreErrorKind::Corrupt, message)
    }

    /// [`StoreErrorKind::Config`]: can never work as it is set up.
    pub fn config(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StoreErrorKind::Config, message)
    }

    /// Keeps the error that caused this one.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(Arc::from(source.into()));
        self
    }

    /// What is known of the write.
    #[must_use]
    pub fn kind(&self) -> StoreErrorKind {
        self.kind
    }
}

/// A shared cause: one failed batch fails many callers, and each keeps the reason.
type Cause = Arc<dyn Error + Send + Sync>;

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.meaning(), self.message)
    }
}

impl Error for StoreError {
    /// The very error that caused it, so that it can be told by its type.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        let source = self.source.as_deref()?;
        Some(source)
    }
}

#[async_trait]
impl<S: Store + ?Sized> Store for Arc<S> {
    async fn create(
        &self,
        key: &RecordKey,
        record: &Record,
        ttl: Duration,
    ) -> Result<Created, StoreError> {
        (**self).create(key, record, ttl).await
    }

    async fn update(
        &self,
        key: &RecordKey,
        expected: Version,
        record: &Record,
        ttl: Duration,
    ) -> Result<Updated, StoreError> {
        (**self).update(key, expected, record, ttl).await
    }

    async fn delete(&self, key: &RecordKey, expected: Version) -> Result<Deleted, StoreError> {
        (**self).delete(key, expected).await
    }

    async fn get(&self, key: &RecordKey) -> Result<Option<Stored>, StoreError> {
        (**self).get(key).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s9_an_error_keeps_its_cause() {
        let error = StoreError::unknown("no reply in 500 ms")
            .with_source(std::io::Error::other("connection reset"));
        assert_eq!(error.kind(), StoreErrorKind::Unknown);
        assert_eq!(
            error.to_string(),
            "the store did not answer, the write may have been applied: no reply in 500 ms"
        );
        let source = error.source().unwrap();
        assert_eq!(source.to_string(), "connection reset");
        assert!(source.is::<std::io::Error>(), "it can be told by its type");
        assert!(error.clone().source().is_some());
    }
}
