//! How an execution ends, and which ending landed.

use bytes::Bytes;

use crate::store::State;

/// How an execution ends. The first ending wins (G2).
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Ending {
    /// Store a success: every repeat gets these bytes.
    Complete(Bytes),
    /// Store a failure: every repeat gets these bytes.
    Fail(Bytes),
    /// It had no effect: the next claim with the same fingerprint runs.
    Retry,
}

impl Ending {
    /// `completed`, `failed` or `retryable`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Complete(_) => "completed",
            Self::Fail(_) => "failed",
            Self::Retry => "retryable",
        }
    }

    /// The state that this ending stores.
    pub(super) fn state(&self, checkpoint: Option<&Bytes>) -> State {
        match self {
            Self::Complete(payload) => State::Completed {
                payload: payload.clone(),
            },
            Self::Fail(payload) => State::Failed {
                payload: payload.clone(),
            },
            Self::Retry => State::Retryable {
                checkpoint: checkpoint.cloned(),
            },
        }
    }
}

impl std::fmt::Debug for Ending {
    /// The kind alone: payloads never reach a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Which ending the store has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Landed {
    /// The success.
    Completed,
    /// The failure.
    Failed,
    /// The note that it had no effect.
    Retryable,
    /// The record is gone.
    Released,
    /// The fallback, because the store refused the ending itself.
    Fallback,
}

impl Landed {
    /// `completed`, `failed`, `retryable`, `released` or `fallback`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Retryable => "retryable",
            Self::Released => "released",
            Self::Fallback => "fallback",
        }
    }

    /// The ending that left this state; `None` while it is in flight.
    pub(super) const fn of(state: &State) -> Option<Self> {
        match state {
            State::InFlight { .. } => None,
            State::Completed { .. } => Some(Self::Completed),
            State::Failed { .. } => Some(Self::Failed),
            State::Retryable { .. } => Some(Self::Retryable),
        }
    }
}
