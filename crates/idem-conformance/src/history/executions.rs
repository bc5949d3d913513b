//! [`Executions`]: what the engine promises of one key.

use std::time::Duration;

use bytes::Bytes;

use super::{Call, KeyCall, KeyReply, Model};

/// G1 to G5 as a model: one execution at a time unless a lease ran out, one ending, replayed byte
/// for byte, and nothing from whoever was superseded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Executions {
    /// How long a holder is trusted after its last write.
    pub lease: Duration,
    /// How long an ending is kept.
    pub retention: Duration,
    /// What becomes of a lapsed lease.
    pub lapsed: Lapsed,
    /// By how much the store's clock may differ from the history's over the length of a lease.
    pub slack: Duration,
}

/// What becomes of a lease that ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lapsed {
    /// It is taken over.
    TakenOver,
    /// It is reported as abandoned until somebody resolves it.
    Halted,
    /// A prober is asked: it is taken over, completed by a [`KeyCall::Resolve`], or reported.
    Probed,
}

/// Where a key stands.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Stand {
    /// Nobody claimed it, or its claim was taken back, or its retention is over.
    Vacant,
    /// It was claimed.
    Claimed {
        /// By whose request.
        request: u64,
        /// Its last write came no earlier.
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
    /// It is free for any request.
    Released {
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

    fn step(&self, state: &Stand, call: &Observed, by: Duration) -> Vec<Stand> {
        let mut next = self.effects(state, call, by);
        if self.may_have_passed(state, by, self.retention) {
            next.extend(self.effects(&Stand::Vacant, call, by));
        }
        if call.replied.is_none() {
            next.retain(|next| next != state);
        }
        next
    }
}

type Observed = Call<KeyCall, KeyReply>;

impl Executions {
    fn effects(&self, state: &Stand, call: &Observed, by: Duration) -> Vec<Stand> {
        match &call.call {
            KeyCall::Claim { execution, request } => {
                self.claim(state, call, by, (*execution, *request))
            }
            KeyCall::Disown { execution } => {
                let undone = |stage: fn(u32) -> Stage| {
                    end(state, call, *execution, |attempt| {
                        (attempt > 1).then(|| stage(attempt))
                    })
                };
                let mut next = undone(|attempt| Stage::Retryable { attempt });
                // A key that it found released is released again.
                next.extend(undone(|attempt| Stage::Released { attempt }));
                next.dedup();
                next
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
            KeyCall::FailRetryable { execution } => free(state, call, *execution, |attempt| {
                Some(Stage::Retryable { attempt })
            }),
            KeyCall::Release { execution } => free(state, call, *execution, |attempt| {
                Some(Stage::Released { attempt })
            }),
            KeyCall::Resolve { attempt, answer } => {
                let resolved = self.resolve(state, call, by, (*attempt, answer.as_ref()));
                resolved.into_iter().collect()
            }
        }
    }

    /// What a resolution leaves: it is applied only to the execution that it is about, and only
    /// when that one's lease is over.
    fn resolve(
        &self,
        state: &Stand,
        call: &Observed,
        by: Duration,
        (attempt, answer): (u32, Option<&Bytes>),
    ) -> Option<Stand> {
        let told = call.replied.as_ref().map(|(_, reply)| reply);
        let Stand::Claimed {
            request,
            since,
            stage: Stage::InFlight { attempt: n, .. },
        } = state
        else {
            return None;
        };
        let fits = *n == attempt && matches!(told, None | Some(KeyReply::Stored));
        (fits && self.may_have_passed(state, by, self.lease)).then(|| Stand::Claimed {
            request: *request,
            since: call.invoked.max(self.lapses(*since)),
            stage: answer.map_or(Stage::Retryable { attempt }, |answer| {
                Stage::Completed(answer.clone())
            }),
        })
    }

    /// The earliest time at which a lease can be over.
    fn lapses(&self, since: Duration) -> Duration {
        (since + self.lease).saturating_sub(self.slack)
    }

    fn claim(
        &self,
        state: &Stand,
        call: &Observed,
        by: Duration,
        (holder, request): (u64, u64),
    ) -> Vec<Stand> {
        let won = self.winning(state, by, request).map(|(attempt, earliest)| {
            let stage = Stage::InFlight { holder, attempt };
            let stand = Stand::Claimed {
                request,
                since: call.invoked.max(earliest),
                stage,
            };
            (attempt, stand)
        });
        let told = match (&call.replied, won) {
            (None, won) => return won.into_iter().map(|(_, stand)| stand).collect(),
            (Some((_, KeyReply::Acquired { attempt })), Some((n, stand))) if *attempt == n => {
                return vec![stand];
            }
            (Some((_, reply)), _) => self.is_told(state, reply, request, by),
        };
        told.then(|| state.clone()).into_iter().collect()
    }

    /// Whether a claim that does not win may be told this.
    fn is_told(&self, state: &Stand, reply: &KeyReply, request: u64, by: Duration) -> bool {
        let Stand::Claimed {
            request: theirs,
            stage,
            ..
        } = state
        else {
            return false;
        };
        if matches!(stage, Stage::Released { .. }) {
            return false;
        }
        if request != *theirs {
            return *reply == KeyReply::Mismatch;
        }
        match (reply, stage) {
            (KeyReply::InFlight, Stage::InFlight { .. }) => true,
            (KeyReply::Replay(told), Stage::Completed(payload)) => told == payload,
            (KeyReply::ReplayFailure(told), Stage::Failed(payload)) => told == payload,
            (KeyReply::Abandoned { attempt }, Stage::InFlight { attempt: n, .. }) => {
                let lapsed = self.may_have_passed(state, by, self.lease);
                self.lapsed != Lapsed::TakenOver && attempt == n && lapsed
            }
            _ => false,
        }
    }

    /// The fencing number that a claim for this request wins in this state, and the earliest time
    /// at which it can (G1).
    fn winning(&self, state: &Stand, by: Duration, request: u64) -> Option<(u32, Duration)> {
        match state {
            Stand::Vacant => Some((1, Duration::ZERO)),
            Stand::Claimed {
                since,
                stage: Stage::Released { attempt },
                ..
            } => Some((attempt + 1, *since)),
            Stand::Claimed {
                request: theirs, ..
            } if request != *theirs => None,
            Stand::Claimed { since, stage, .. } => match stage {
                Stage::Retryable { attempt } => Some((attempt + 1, *since)),
                Stage::InFlight { attempt, .. } => {
                    let lapsed = self.may_have_passed(state, by, self.lease);
                    let wins = lapsed && self.lapsed != Lapsed::Halted;
                    wins.then_some((attempt + 1, self.lapses(*since)))
                }
                Stage::Released { .. } | Stage::Completed(_) | Stage::Failed(_) => None,
            },
        }
    }

    fn may_have_passed(&self, state: &Stand, by: Duration, time: Duration) -> bool {
        match state {
            Stand::Vacant => false,
            Stand::Claimed { since, .. } => {
                by.saturating_add(self.slack) >= since.saturating_add(time)
            }
        }
    }
}

/// An ending that lets the next claim run. Taken over between a lost reply and the second try, its
/// holder is told so although it had been applied.
fn free(
    state: &Stand,
    call: &Observed,
    execution: u64,
    stage: impl Fn(u32) -> Option<Stage>,
) -> Vec<Stand> {
    let mut next = end(state, call, execution, &stage);
    if let Some((at, KeyReply::Superseded)) = &call.replied {
        let lost = Call {
            replied: Some((*at, KeyReply::Stored)),
            ..call.clone()
        };
        next.extend(end(state, &lost, execution, &stage));
    }
    next
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
            since,
            stage: Stage::InFlight { holder, attempt },
        } if *holder == execution => Some((*request, *attempt, *since)),
        _ => None,
    };
    let applied = held.map(|(request, attempt, since)| match stage(attempt) {
        Some(stage) => Stand::Claimed {
            request,
            since: call.invoked.max(since),
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
