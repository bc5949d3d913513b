//! [`Executions`]: what the engine promises of one key.

use std::time::Duration;

use bytes::Bytes;

use super::{Call, Model};

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
    /// What the engine does in the background after a claim that failed or was dropped: take it
    /// back. Its reply is never known; note it beside the claim, as invoked at the same time.
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
    /// A release.
    Release {
        /// Names the execution.
        execution: u64,
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

/// G1 to G5 as a model: one execution at a time unless a lease ran out, one ending, replayed byte
/// for byte, and nothing from whoever was superseded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Executions {
    /// How long a holder is trusted after its last write.
    pub lease: Duration,
    /// How long an ending is kept.
    pub retention: Duration,
    /// Whether a lapsed lease is taken over; otherwise it is reported as abandoned.
    pub reclaims: bool,
    /// By how much the store's clock may differ from the history's over the length of a lease.
    pub slack: Duration,
}

/// Where a key stands.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Stand {
    /// Nobody claimed it, or it was released, or its retention is over.
    Vacant,
    /// It was claimed.
    Claimed {
        /// By whose request.
        request: u64,
        /// The invocation of its last write, which came no earlier.
        since: Duration,
        /// What came of it.
        stage: Stage,
    },
}

/// What came of a claim.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Nothing yet.
    InFlight {
        /// Who holds it.
        holder: u64,
        /// The fencing number.
        attempt: u32,
    },
    /// It ended without effect.
    Retryable {
        /// The fencing number.
        attempt: u32,
    },
    /// It succeeded.
    Completed(Bytes),
    /// It failed.
    Failed(Bytes),
}

impl Model for Executions {
    type State = Stand;
    type Call = KeyCall;
    type Reply = KeyReply;

    fn start(&self) -> Stand {
        Stand::Vacant
    }

    fn step(&self, state: &Stand, call: &Call<KeyCall, KeyReply>) -> Vec<Stand> {
        let mut next = self.effects(state, call);
        if self.may_be_gone(state, call) {
            next.extend(self.effects(&Stand::Vacant, call));
        }
        if call.replied.is_none() {
            next.retain(|next| next != state);
        }
        next
    }
}

type Observed = Call<KeyCall, KeyReply>;

impl Executions {
    fn effects(&self, state: &Stand, call: &Observed) -> Vec<Stand> {
        match &call.call {
            KeyCall::Claim { execution, request } => self.claim(state, call, *execution, *request),
            KeyCall::Disown { execution } => {
                end(state, call, *execution, |attempt| match attempt {
                    1 => None,
                    _ => Some(Stage::Retryable { attempt }),
                })
            }
            KeyCall::Hold { execution } => {
                let holder = *execution;
                end(state, call, holder, |attempt| {
                    Some(Stage::InFlight { holder, attempt })
                })
            }
            KeyCall::Complete { execution, payload } => end(state, call, *execution, |_| {
                Some(Stage::Completed(payload.clone()))
            }),
            KeyCall::Fail { execution, payload } => end(state, call, *execution, |_| {
                Some(Stage::Failed(payload.clone()))
            }),
            KeyCall::FailRetryable { execution } => {
                let mut next = end(state, call, *execution, |attempt| {
                    Some(Stage::Retryable { attempt })
                });
                // Taken over between a lost reply and the second try, it is told so although it
                // had been applied.
                if let Some((at, KeyReply::Superseded)) = &call.replied {
                    let lost = Call {
                        replied: Some((*at, KeyReply::Stored)),
                        ..call.clone()
                    };
                    next.extend(end(state, &lost, *execution, |attempt| {
                        Some(Stage::Retryable { attempt })
                    }));
                }
                next
            }
            KeyCall::Release { execution } => end(state, call, *execution, |_| None),
        }
    }

    fn claim(&self, state: &Stand, call: &Observed, holder: u64, request: u64) -> Vec<Stand> {
        let won = |attempt| Stand::Claimed {
            request,
            since: call.invoked,
            stage: Stage::InFlight { holder, attempt },
        };
        let winning = self.winning_attempt(state, call, request);
        let Some((_, reply)) = &call.replied else {
            return winning.map(won).into_iter().collect();
        };
        let explained = match (reply, state) {
            (KeyReply::Acquired { attempt }, _) => {
                return winning
                    .filter(|n| n == attempt)
                    .map(won)
                    .into_iter()
                    .collect();
            }
            (_, Stand::Vacant) => false,
            (
                KeyReply::Mismatch,
                Stand::Claimed {
                    request: theirs, ..
                },
            ) => request != *theirs,
            (
                _,
                Stand::Claimed {
                    request: theirs, ..
                },
            ) if request != *theirs => false,
            (reply, Stand::Claimed { stage, .. }) => match (reply, stage) {
                (KeyReply::InFlight, Stage::InFlight { .. }) => true,
                (KeyReply::Replay(told), Stage::Completed(payload)) => told == payload,
                (KeyReply::ReplayFailure(told), Stage::Failed(payload)) => told == payload,
                (KeyReply::Abandoned { attempt }, Stage::InFlight { attempt: n, .. }) => {
                    !self.reclaims && attempt == n && self.may_have_lapsed(state, call)
                }
                _ => false,
            },
        };
        explained.then(|| state.clone()).into_iter().collect()
    }

    /// The fencing number that a claim for this request wins in this state.
    fn winning_attempt(&self, state: &Stand, call: &Observed, request: u64) -> Option<u32> {
        match state {
            Stand::Vacant => Some(1),
            Stand::Claimed {
                request: theirs, ..
            } if request != *theirs => None,
            Stand::Claimed { stage, .. } => match stage {
                Stage::Retryable { attempt } => Some(attempt + 1),
                Stage::InFlight { attempt, .. } => {
                    let lapsed = self.reclaims && self.may_have_lapsed(state, call);
                    lapsed.then_some(attempt + 1)
                }
                Stage::Completed(_) | Stage::Failed(_) => None,
            },
        }
    }

    /// Whether the lease can have run out by the time that the call took effect (G1).
    fn may_have_lapsed(&self, state: &Stand, call: &Observed) -> bool {
        self.may_have_passed(state, call, self.lease)
    }

    fn may_be_gone(&self, state: &Stand, call: &Observed) -> bool {
        self.may_have_passed(state, call, self.retention)
    }

    fn may_have_passed(&self, state: &Stand, call: &Observed, time: Duration) -> bool {
        let Stand::Claimed { since, .. } = state else {
            return false;
        };
        match &call.replied {
            Some((at, _)) => at.saturating_add(self.slack) >= since.saturating_add(time),
            None => true,
        }
    }
}

/// A write of a holder: applied if and only if it holds the key (G3).
fn end(
    state: &Stand,
    call: &Observed,
    execution: u64,
    stage: impl Fn(u32) -> Option<Stage>,
) -> Vec<Stand> {
    let held = match state {
        Stand::Claimed {
            request,
            stage: Stage::InFlight { holder, attempt },
            ..
        } if *holder == execution => Some((*request, *attempt)),
        _ => None,
    };
    let applied = held.map(|(request, attempt)| match stage(attempt) {
        Some(stage) => Stand::Claimed {
            request,
            since: call.invoked,
            stage,
        },
        None => Stand::Vacant,
    });
    match &call.replied {
        Some((_, KeyReply::Stored)) => applied.into_iter().collect(),
        Some((_, KeyReply::Superseded)) if held.is_none() => vec![state.clone()],
        Some(_) => Vec::new(),
        None => applied.into_iter().collect(),
    }
}
