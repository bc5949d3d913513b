//! [`Record`]: all that a store keeps of one key.

use std::{fmt, time::Duration};

use bytes::Bytes;

use crate::{Fingerprint, Timestamp};

/// 128 random bits that name one claim. Whoever holds the token of a record owns it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClaimToken([u8; 16]);

impl ClaimToken {
    /// Takes 16 bytes drawn at random by the claimer.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for ClaimToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClaimToken({:08x}…)", u128::from_be_bytes(self.0) >> 96)
    }
}

/// Names one write of one record: no two writes share a version.
///
/// The token changes with every claim, the revision with every write, so a version that is still
/// there proves that nothing happened in between (rules S2, S3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Version {
    /// Whose write.
    pub token: ClaimToken,
    /// Which of the record's writes; grows, not always by one.
    pub revision: u64,
}

/// What a store keeps under one [`RecordKey`](crate::RecordKey).
///
/// ```
/// use std::time::Duration;
/// use idem_core::{Fingerprint, Timestamp, store::{ClaimToken, Record, State, Version}};
///
/// // What the first claim of a key files.
/// let record = Record {
///     fingerprint: Fingerprint::of("payments/v1", b"500 usd"),
///     attempt: 1,
///     version: Version { token: ClaimToken::from_bytes([7; 16]), revision: 0 },
///     created_at: Timestamp::now(),
///     state: State::InFlight { lease: Duration::from_secs(30), checkpoint: None },
/// };
/// assert!(!record.state.is_ended());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Record {
    /// The request that the key belongs to. No longer once it is [`Released`](State::Released).
    pub fingerprint: Fingerprint,
    /// The fencing number: 1 for the first claim, one more with each later one.
    pub attempt: u32,
    /// The write that left this record.
    pub version: Version,
    /// When the key was first claimed, for people. No decision reads it.
    pub created_at: Timestamp,
    /// Where the request stands.
    pub state: State,
}

/// Where a request stands.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum State {
    /// Somebody runs it, or died running it: the record's age against `lease` tells which.
    InFlight {
        /// How long the holder is trusted after its last write.
        lease: Duration,
        /// What the holder left for a successor.
        checkpoint: Option<Bytes>,
    },
    /// It ended without effect; the next claim with the same fingerprint runs.
    Retryable {
        /// What the last holder left for a successor.
        checkpoint: Option<Bytes>,
    },
    /// Nothing happened, and the key is free: the next claim runs, whatever its fingerprint. The
    /// record is kept for its attempt, so that fencing numbers never go back.
    Released,
    /// It succeeded; every repeat gets these bytes.
    Completed {
        /// The answer, opaque to the store.
        payload: Bytes,
    },
    /// It failed for good; every repeat gets these bytes.
    Failed {
        /// The failure, opaque to the store.
        payload: Bytes,
    },
}

impl State {
    /// Whether this is an ending that is replayed for ever: completed or failed.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::Completed { .. } | Self::Failed { .. })
    }

    /// Whether the execution that wrote it is over: anything but in flight.
    #[must_use]
    pub const fn is_ended(&self) -> bool {
        !matches!(self, Self::InFlight { .. })
    }

    /// The bytes of its payload or checkpoint.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::InFlight { checkpoint, .. } | Self::Retryable { checkpoint } => {
                checkpoint.as_ref().map_or(0, Bytes::len)
            }
            Self::Released => 0,
            Self::Completed { payload } | Self::Failed { payload } => payload.len(),
        }
    }

    /// Which state it is, without what it holds.
    #[must_use]
    pub const fn kind(&self) -> StateKind {
        match self {
            Self::InFlight { .. } => StateKind::InFlight,
            Self::Retryable { .. } => StateKind::Retryable,
            Self::Released => StateKind::Released,
            Self::Completed { .. } => StateKind::Completed,
            Self::Failed { .. } => StateKind::Failed,
        }
    }

    /// `in-flight`, `retryable`, `released`, `completed` or `failed`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.kind().name()
    }
}

/// A [`State`] without what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StateKind {
    /// [`State::InFlight`].
    InFlight,
    /// [`State::Retryable`].
    Retryable,
    /// [`State::Released`].
    Released,
    /// [`State::Completed`].
    Completed,
    /// [`State::Failed`].
    Failed,
}

impl StateKind {
    /// `in-flight`, `retryable`, `released`, `completed` or `failed`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::InFlight => "in-flight",
            Self::Retryable => "retryable",
            Self::Released => "released",
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Debug for State {
    /// Sizes instead of contents: payloads never reach a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InFlight { lease, checkpoint } => f
                .debug_struct("InFlight")
                .field("lease", lease)
                .field("checkpoint_bytes", &checkpoint.as_ref().map(Bytes::len))
                .finish(),
            Self::Retryable { checkpoint } => f
                .debug_struct("Retryable")
                .field("checkpoint_bytes", &checkpoint.as_ref().map(Bytes::len))
                .finish(),
            Self::Released => f.write_str("Released"),
            Self::Completed { payload } => f
                .debug_struct("Completed")
                .field("payload_bytes", &payload.len())
                .finish(),
            Self::Failed { payload } => f
                .debug_struct("Failed")
                .field("payload_bytes", &payload.len())
                .finish(),
        }
    }
}

/// A record as a store answers with it: the record, and what the store's clock says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The record.
    pub record: Record,
    /// Time since the record's last write, by the store's clock (rule S4).
    ///
    /// Always `Some` for a record that is in flight. `None` is allowed in every other state, where
    /// no decision reads it and a store may save itself the question.
    pub age: Option<Duration>,
    /// Time until the record is gone, by the store's clock; `None` where asking costs extra.
    pub remaining: Option<Duration>,
}
