//! What a holder asks for, and what a reply means to it.

use bytes::Bytes;

use super::{Ending, Landed};

/// What a holder asks for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Want {
    /// Start the lease anew.
    Renew,
    /// Leave bytes for a successor, and start the lease anew.
    Checkpoint(Bytes),
    /// End the execution.
    End {
        /// What to store.
        ending: Ending,
        /// What to store instead when the store refuses `ending` for good: it is too large for the
        /// store, or there is no room for it.
        fallback: Option<Ending>,
    },
}

impl Want {
    /// An ending without a fallback.
    #[must_use]
    pub const fn end(ending: Ending) -> Self {
        Self::End {
            ending,
            fallback: None,
        }
    }

    /// The size of the answer or failure that it stores.
    pub(crate) fn answer_bytes(&self) -> Option<usize> {
        match self {
            Self::End {
                ending: Ending::Complete(payload) | Ending::Fail(payload),
                ..
            } => Some(payload.len()),
            _ => None,
        }
    }

    /// `renewed`, `checkpointed`, `completed`, `failed`, `retryable` or `released`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Renew => "renewed",
            Self::Checkpoint(_) => "checkpointed",
            Self::End { ending, .. } => ending.name(),
        }
    }
}

/// What a reply means to a holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Held {
    /// Perform [`Holding::next`](super::Holding::next) now.
    Again,
    /// The call failed. Pause and perform [`Holding::next`](super::Holding::next). With an ending
    /// wanted, a renewal may come first, so that the key stays held.
    Later,
    /// The renewal or checkpoint landed: the key is held.
    Kept,
    /// The execution is over, and the store has this ending.
    Ended(Landed),
    /// Another execution owns the key, or its record is gone: nothing was written (G3).
    Superseded,
}
