//! What is written down of a run: calls on the store, and what clients asked and were told.
//!
//! All of it is numbers: a run writes millions of these. Payloads and contents appear as the first
//! 64 bits of their hash.

mod record;

use idem_core::store::StoreErrorKind;
use serde::{Deserialize, Serialize};

use crate::{clock::Nanos, key::KeyId};
pub(crate) use record::{Digest, Phase, Seen, Summary, Ver, digest, first};

/// An event and when it was written down: a question right before it was asked, an answer right
/// after it was there.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Line(pub(crate) Nanos, pub(crate) Event);

/// Names a question; its answer bears the same. Unique in a run.
pub(crate) type Id = u64;

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) enum Event {
    /// A client asks.
    #[serde(rename = "a")]
    Ask { id: Id, key: KeyId, what: Action },
    /// A client is told. A question without an answer has an unknown outcome.
    #[serde(rename = "t")]
    Told { id: Id, answer: Told },
    /// Something happened to an execution.
    #[serde(rename = "x")]
    Work {
        execution: Id,
        key: KeyId,
        what: Work,
    },
    /// A store is called, on behalf of a client's question or, without one, in the background.
    #[serde(rename = "c")]
    Call {
        id: Id,
        by: Option<Id>,
        key: KeyId,
        what: Call,
    },
    /// A store answers. A call without an answer has an unknown outcome.
    #[serde(rename = "r")]
    Reply { id: Id, reply: Reply },
    /// A task of the worker panicked, and not because it was told to.
    #[serde(rename = "p")]
    Panicked { message: Digest },
}

/// What a client asks for. An execution is named by the question that acquired it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) enum Action {
    Claim {
        request: u8,
    },
    /// Claim, run and end in one call.
    Execute {
        request: u8,
    },
    Renew {
        execution: Id,
    },
    Checkpoint {
        execution: Id,
        mark: Digest,
    },
    End {
        execution: Id,
        ending: Ending,
    },
    Resolve {
        resolution: Ending,
    },
    Lookup,
}

/// How an execution is ended, by its holder or by an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Ending {
    Complete(Digest),
    Fail(Digest),
    Retry,
    Release,
}

/// What a client is told.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) enum Told {
    /// It may run.
    Acquired {
        attempt: u32,
        resumed: Option<Digest>,
    },
    Replay(Digest),
    ReplayFailure(Digest),
    InFlight,
    Mismatch,
    Abandoned {
        attempt: u32,
    },
    Exhausted,
    /// It ran, and its ending is stored.
    Stored,
    /// It ran, and its ending is to be stored later.
    Pending,
    Superseded,
    /// Renewed, checkpointed, resolved.
    Done,
    /// Not resolved, because of what the record is.
    Refused,
    /// Not resolved, because somebody else was faster.
    Changed,
    /// Looked up.
    Found(Option<Summary>),
    /// The store gave no answer that helps.
    Failed(Fault),
    /// The answer cannot be, by the types of what is stored.
    Nonsense,
    /// The client went away before the answer was there.
    Gone,
}

impl Told {
    /// For counting.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Acquired { .. } => "acquired",
            Self::Replay(_) => "replay",
            Self::ReplayFailure(_) => "replayed failure",
            Self::InFlight => "in flight",
            Self::Mismatch => "mismatch",
            Self::Abandoned { .. } => "abandoned",
            Self::Exhausted => "exhausted",
            Self::Stored => "stored",
            Self::Pending => "pending",
            Self::Superseded => "superseded",
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Changed => "changed",
            Self::Found(_) => "found",
            Self::Failed(_) => "store error",
            Self::Nonsense => "nonsense",
            Self::Gone => "gone",
        }
    }
}

/// A [`StoreErrorKind`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Fault {
    Unavailable,
    Unknown,
    Full,
    TooLarge,
    Corrupt,
    Config,
}

/// What happens to an execution between its claim and its ending.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) enum Work {
    /// The work starts.
    Start { attempt: u32, request: u8 },
    /// It had its effect in the ledger.
    Effect { payload: Digest },
    /// It stops, and is about to be ended so; without an ending it is abandoned.
    Stop { ending: Option<Ending> },
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) enum Call {
    Create {
        record: Summary,
        ttl_ms: u64,
    },
    Update {
        expected: Ver,
        record: Summary,
        ttl_ms: u64,
    },
    Delete {
        expected: Ver,
    },
    Get,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) enum Reply {
    /// Created, updated, deleted.
    Applied,
    Found(Seen),
    Vacant,
    Failed(Fault),
}

impl From<StoreErrorKind> for Fault {
    fn from(kind: StoreErrorKind) -> Self {
        match kind {
            StoreErrorKind::Unavailable => Self::Unavailable,
            StoreErrorKind::Unknown => Self::Unknown,
            StoreErrorKind::Full => Self::Full,
            StoreErrorKind::TooLarge => Self::TooLarge,
            StoreErrorKind::Corrupt => Self::Corrupt,
            StoreErrorKind::Config => Self::Config,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_back() {
        let record = Summary {
            ver: Ver(u64::MAX, 1),
            attempt: 1,
            fingerprint: 2,
            state: Phase::InFlight { lease_ms: 1000 },
            digest: 3,
        };
        let key = KeyId { era: 1, index: 2 };
        let lines = [
            Event::Ask {
                id: 1,
                key,
                what: Action::Claim { request: 0 },
            },
            Event::Told {
                id: 1,
                answer: Told::Found(Some(record)),
            },
            Event::Call {
                id: 2,
                by: Some(1),
                key,
                what: Call::Create { record, ttl_ms: 5 },
            },
            Event::Reply {
                id: 2,
                reply: Reply::Vacant,
            },
        ];
        for (at, event) in lines.into_iter().enumerate() {
            let line = Line(at as u64, event);
            let text = serde_json::to_string(&line).unwrap();
            assert_eq!(serde_json::from_str::<Line>(&text).unwrap(), line);
        }
    }
}
