//! What can go wrong, in the words of whoever asked.

use std::fmt;

use crate::{Refused, machine::NotResolvable, store::StoreError};

pub use crate::{
    answer::{DecodeError, EncodeError},
    fingerprint::FingerprintError,
    key::KeyError,
    open_transaction::CommitError,
    policy::PolicyError,
};

/// A claim that got no answer from the store. Nothing runs (G6).
///
/// ```
/// use idem_core::{error::ClaimError, store::StoreErrorKind};
///
/// /// What an API answers: nothing ran, so the client may send the same request again.
/// fn status(error: &ClaimError) -> u16 {
///     match error.source.kind() {
///         StoreErrorKind::Unavailable | StoreErrorKind::Unknown | StoreErrorKind::Full => 503,
///         _ => 500, // the store's configuration, or a damaged record: for the operator
///     }
/// }
/// ```
#[derive(Debug, Clone, thiserror::Error)]
#[error("the key could not be claimed, nothing ran: {source}")]
pub struct ClaimError {
    /// What the store said last.
    #[source]
    pub source: StoreError,
}

/// Another execution owns the key, or its record is gone: nothing was written (G3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[error(
    "superseded: the lease ran out and another execution took the key over; stop, nothing was stored"
)]
pub struct Superseded;

/// A renewal or checkpoint that did not get through.
///
/// ```
/// use idem_core::{Context, error::HoldError};
///
/// # async fn example(context: Context) -> Result<(), HoldError> {
/// context.checkpoint("page 7").await?; // `?` stops work that has no right to run any more
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum HoldError {
    /// The execution has no right to run any more.
    #[error(transparent)]
    Superseded(#[from] Superseded),
    /// The store did not take it; the execution still holds the key as far as is known.
    #[error("the store did not take it; the key is still held as far as is known: {0}")]
    Store(#[source] StoreError),
}

/// A key that could not be settled by hand.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// The record is in no state to be settled.
    #[error(transparent)]
    NotResolvable(#[from] NotResolvable),
    /// Somebody else changed the record meanwhile; look again. After a lost reply it may have been
    /// settled as asked, and have been claimed anew since.
    #[error("the record changed meanwhile; look at it again")]
    Changed,
    /// The store did not answer in time; the outcome is unknown when its kind says so.
    #[error("the key could not be settled: {0}")]
    Store(#[source] StoreError),
}

/// Why [`execute`](crate::Idempotency::execute) has no value to give. `E` is the work's own error.
///
/// ```
/// use idem_core::{Refused, error::ExecuteError};
///
/// /// What an API answers.
/// fn status(error: &ExecuteError<String>) -> u16 {
///     match error {
///         ExecuteError::Failed { .. } => 402,
///         ExecuteError::Refused(Refused::Mismatch) => 422,
///         ExecuteError::Refused(_) | ExecuteError::Superseded => 409,
///         ExecuteError::Claim(_) | ExecuteError::Retryable(_) => 503, // nothing ran
///         _ => 500,
///     }
/// }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum ExecuteError<E> {
    /// The work failed for good, now or in an earlier execution; repeats get the same error.
    Failed {
        /// What the work reported.
        error: E,
        /// Whether this is the stored failure of an earlier execution.
        replayed: bool,
    },
    /// The work failed without effect, now; the next call with the same fingerprint runs.
    Retryable(E),
    /// The work refused before anything happened, now; the next call runs, whatever its fingerprint.
    Released(E),
    /// The work panicked, now or in an earlier execution.
    Panicked {
        /// The panic's message.
        message: String,
        /// Whether this is the stored panic of an earlier execution.
        replayed: bool,
    },
    /// The work ran, but its answer or error cannot be stored: it does not serialise as JSON, or
    /// its JSON does not read back. It will not run again, and repeats are told the same.
    Unstorable {
        /// What the serialiser said.
        message: String,
        /// Whether this is the stored outcome of an earlier execution.
        replayed: bool,
    },
    /// The work did not run, and there is no answer: the key is in flight, or belongs to another
    /// request, or has to be settled by hand.
    Refused(Refused),
    /// The lease ran out and another execution took over; the work was stopped or its result
    /// thrown away (G3).
    Superseded,
    /// The store did not let the claim through; nothing ran (G6).
    Claim(ClaimError),
    /// The stored answer does not read as the type that was asked for. It is still stored; see
    /// [`DecodeError`] for how to change the type of an answer.
    Unreadable(DecodeError),
    /// The runtime dropped the detached task before its end: it counts as a crash half-way.
    Lost,
}

impl<E: fmt::Display> fmt::Display for ExecuteError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed {
                error,
                replayed: false,
            } => write!(f, "the work failed: {error}"),
            Self::Failed {
                error,
                replayed: true,
            } => {
                write!(f, "the work failed in an earlier execution: {error}")
            }
            Self::Retryable(error) => write!(f, "the work failed without effect: {error}"),
            Self::Released(error) => write!(f, "the work refused, and the key is free: {error}"),
            Self::Panicked {
                message,
                replayed: false,
            } => write!(f, "the work panicked: {message}"),
            Self::Panicked {
                message,
                replayed: true,
            } => {
                write!(f, "the work panicked in an earlier execution: {message}")
            }
            Self::Unstorable { message, .. } => {
                write!(f, "the work ran, but its answer cannot be kept: {message}")
            }
            Self::Refused(refused) => refused.fmt(f),
            Self::Superseded => Superseded.fmt(f),
            Self::Claim(error) => error.fmt(f),
            Self::Unreadable(error) => error.fmt(f),
            Self::Lost => f.write_str("the runtime dropped the task before its end"),
        }
    }
}

/// The work's own error is part of the message, and there to be matched on. It is no `source`,
/// because it was made of stored bytes: it has no cause of its own, and need not be an `Error`.
impl<E: fmt::Debug + fmt::Display> std::error::Error for ExecuteError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Claim(error) => Some(&error.source),
            Self::Unreadable(error) => std::error::Error::source(error),
            _ => None,
        }
    }
}
