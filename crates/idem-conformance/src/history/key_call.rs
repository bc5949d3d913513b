//! What is called and replied on one key, as clients of an engine see it.

use bytes::Bytes;

/// A call to the engine, on one key. Claims are numbered by the caller; the number names the
/// execution that a claim may have won.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyCall {
    /// A claim for a request, which the number `request` stands for.
    Claim {
        /// Names the execution.
        execution: u64,
        /// Stands for the fingerprint.
        request: u64,
    },
    /// What the engine does in the background after a claim that failed or was dropped, or was refused
    /// while a take-over of its own might come through still: take it back. Its reply is never known;
    /// note it beside the claim, as invoked at the same time.
    Disown {
        /// Names the execution.
        execution: u64,
    },
    /// A renewal or checkpoint.
    Hold {
        /// Names the execution.
        execution: u64,
    },
    /// A success.
    Complete {
        /// Names the execution.
        execution: u64,
        /// The answer.
        payload: Bytes,
    },
    /// A failure.
    Fail {
        /// Names the execution.
        execution: u64,
        /// The failure.
        payload: Bytes,
    },
    /// A retryable ending.
    FailRetryable {
        /// Names the execution.
        execution: u64,
    },
    /// A release: the key is free for any request.
    Release {
        /// Names the execution.
        execution: u64,
    },
    /// What a prober or an operator found out about an abandoned execution, on its way into the
    /// store. The reply to a prober's is never known; note it as invoked when the prober answers.
    Resolve {
        /// The fencing number of the abandoned execution.
        attempt: u32,
        /// The answer, where it had its effect; otherwise it may run again.
        answer: Option<Bytes>,
    },
}

/// What the engine replied. An error, and an ending that is *pending*, is no reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyReply {
    /// The claim won.
    Acquired {
        /// The fencing number.
        attempt: u32,
    },
    /// The stored success.
    Replay(Bytes),
    /// The stored failure.
    ReplayFailure(Bytes),
    /// Somebody else runs it.
    InFlight,
    /// The key belongs to another request.
    Mismatch,
    /// Somebody ran it and vanished.
    Abandoned {
        /// The lost execution's fencing number.
        attempt: u32,
    },
    /// The renewal, checkpoint or ending is stored.
    Stored,
    /// Another execution owns the key.
    Superseded,
}
