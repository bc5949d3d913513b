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
    /// Remove the record of a claim that may never have gone through, and that nobody runs under.
    Undo,
}

impl End {
    pub(super) const fn write(ending: Ending, fallback: Option<Ending>) -> Self {
        Self::Write {
            ending,
            fallback,
            fallback_from: u64::MAX,
        }
    }

    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Write { ending, .. } => ending.name(),
            Self::Undo => "released",
        }
    }

    pub(super) const fn is_fallback(&self, revision: u64) -> bool {
        matches!(self, Self::Write { fallback_from, .. } if revision >= *fallback_from)
    }

    /// Takes note of a failed call. Whether the fallback takes the place of the ending, from
    /// revision `next` on.
    pub(super) fn failed(&mut self, kind: StoreErrorKind, next: u64) -> bool {
        let Self::Write {
            ending,
            fallback,
            fallback_from,
        } = self
        else {
            return false;
        };
        let Some(instead) = fallback.take_if(|_| kind.refuses()) else {
            return false;
        };
        *ending = instead;
        *fallback_from = next;
        true
    }
}
