//! One byte for the state and a small attempt.
//!
//! ```text
//! bits 0–1   0 in flight, 1 retryable, 2 completed, 3 failed
//! bit  2     with a checkpoint
//! bits 3–7   the attempt; 31 when it is 31 or more, and a varint of what is more follows
//! ```

use bytes::BufMut;

use super::varint;
use crate::store::State;

const CHECKPOINT: u8 = 1 << 2;
const ATTEMPT_SHIFT: u32 = 3;
/// An attempt that does not fit.
const MANY: u32 = 31;

/// What kind of state a record is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    InFlight { checkpoint: bool },
    Retryable { checkpoint: bool },
    Completed,
    Failed,
}

impl Kind {
    pub(super) fn of(state: &State) -> Self {
        match state {
            State::InFlight { checkpoint, .. } => Self::InFlight {
                checkpoint: checkpoint.is_some(),
            },
            State::Retryable { checkpoint } => Self::Retryable {
                checkpoint: checkpoint.is_some(),
            },
            State::Completed { .. } => Self::Completed,
            State::Failed { .. } => Self::Failed,
        }
    }

    fn bits(self) -> u8 {
        let flag = |checkpoint| if checkpoint { CHECKPOINT } else { 0 };
        match self {
            Self::InFlight { checkpoint } => flag(checkpoint),
            Self::Retryable { checkpoint } => 1 | flag(checkpoint),
            Self::Completed => 2,
            Self::Failed => 3,
        }
    }

    fn from_bits(bits: u8) -> Option<Self> {
        let checkpoint = bits & CHECKPOINT != 0;
        match (bits & 3, checkpoint) {
            (0, checkpoint) => Some(Self::InFlight { checkpoint }),
            (1, checkpoint) => Some(Self::Retryable { checkpoint }),
            (2, false) => Some(Self::Completed),
            (3, false) => Some(Self::Failed),
            _ => None,
        }
    }
}

/// Bytes of the longest: a varint of 32 bits has five at most.
pub(super) const MAX_LEN: usize = 1 + 5;

/// What a record's state byte says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) kind: Kind,
    /// What is to be added to a varint that follows, if one does.
    pub(super) attempt: u32,
    pub(super) more_attempts: bool,
}

impl Head {
    pub(super) fn put(out: &mut impl BufMut, kind: Kind, attempt: u32) {
        let small = attempt.min(MANY);
        out.put_u8(kind.bits() | (small as u8) << ATTEMPT_SHIFT);
        if small == MANY {
            varint::put(out, u64::from(attempt - MANY));
        }
    }

    pub(super) fn from_byte(byte: u8) -> Option<Self> {
        let attempt = u32::from(byte >> ATTEMPT_SHIFT);
        Some(Self {
            kind: Kind::from_bits(byte & (CHECKPOINT | 3))?,
            attempt,
            more_attempts: attempt == MANY,
        })
    }
}
