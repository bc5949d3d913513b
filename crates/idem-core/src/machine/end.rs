//! [`End`]: an ending that is wanted and has not landed.

use super::Ending;
use crate::store::StoreErrorKind;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum End {
    Write {
        ending: Ending,
        fallback: Option<Ending>,
        /// The revisions from this one on are the fallback's.
        fallback_from: u64,
    },
    Release {
        /// A delete was given out, and no reply has come since.
        awaiting: bool,
        /// A delete may have landed, or there never was a record.
        maybe: bool,
    },
}

impl End {
    pub(super) const fn write(ending: Ending, fallback: Option<Ending>) -> Self {
        Self::Write {
            ending,
            fallback,
            fallback_from: u64::MAX,
        }
    }

    /// A release; `maybe` where the record may be gone already.
    pub(super) const fn release(maybe: bool) -> Self {
        Self::Release {
            awaiting: false,
            maybe,
        }
    }

    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Write { ending, .. } => ending.name(),
            Self::Release { .. } => "released",
        }
    }

    /// Gives up on the reply to a delete that was sent.
    pub(super) fn stop_awaiting(&mut self) {
        if let Self::Release { awaiting, maybe } = self {
            *maybe |= std::mem::take(awaiting);
        }
    }

    /// The delete was answered: it was not applied.
    pub(super) fn not_deleted(&mut self) {
        if let Self::Release { awaiting, .. } = self {
            *awaiting = false;
        }
    }

    /// Whether a record that is gone, or was claimed anew, is what this ending leaves.
    pub(super) const fn may_have_released(&self) -> bool {
        matches!(self, Self::Release { maybe: true, .. })
    }

    pub(super) const fn is_fallback(&self, revision: u64) -> bool {
        matches!(self, Self::Write { fallback_from, .. } if revision >= *fallback_from)
    }

    /// Takes note of a failed call. Whether the fallback takes the place of the ending, from
    /// revision `next` on.
    pub(super) fn failed(&mut self, kind: StoreErrorKind, next: u64) -> bool {
        match self {
            Self::Release { awaiting, maybe } => {
                *maybe |= kind.may_have_landed();
                *awaiting = false;
                false
            }
            Self::Write {
                ending,
                fallback,
                fallback_from,
            } => {
                let Some(instead) = fallback.take_if(|_| kind.refuses()) else {
                    return false;
                };
                *ending = instead;
                *fallback_from = next;
                true
            }
        }
    }
}
