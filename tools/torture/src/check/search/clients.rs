//! What clients were told, as calls of the engine's model, with an operator beside them.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use bytes::Bytes;
use idem_conformance::history::{Call, Executions, KeyCall, KeyReply, Lapsed, Model, Stage, Stand};

use super::time;
use crate::{
    clock::Nanos,
    event::{Action, Call as StoreAsked, Digest, Ending, Fault, Id, Phase, Reply, Told},
    history::{History, Question, StoreCall, WorkSpan},
    key::{Class, KeyId, LEASE},
    worker::fallback,
};

/// What clients, holders and operators may do.
#[derive(Debug, Clone)]
pub(super) enum Asked {
    Key(KeyCall),
    /// Settles an execution whose lease is over.
    Resolve(Ending),
}

#[derive(Debug, Clone)]
pub(super) enum Answered {
    Key(KeyReply),
    Resolved,
}

/// The promises of the engine, and those to operators.
pub(super) struct Clients {
    executions: Executions,
}

impl Clients {
    pub(super) fn of(key: KeyId, slack: Duration) -> Self {
        Self {
            executions: Executions {
                lease: LEASE,
                retention: key.policy().retention_time(),
                lapsed: match key.class() {
                    Class::Halt => Lapsed::Halted,
                    _ => Lapsed::TakenOver,
                },
                slack,
            },
        }
    }

    fn resolve(&self, state: &Stand, ending: Ending, call: &Call<Asked, Answered>) -> Vec<Stand> {
        let Stand::Claimed {
            request,
            since,
            stage: Stage::InFlight { attempt, .. },
        } = state
        else {
            return Vec::new();
        };
        let until = call.replied.as_ref().map_or(Duration::MAX, |(at, _)| *at);
        let slack = self.executions.slack;
        if until.saturating_add(slack) < since.saturating_add(self.executions.lease) {
            return Vec::new();
        }
        let stage = match ending {
            Ending::Complete(payload) => Stage::Completed(bytes(payload)),
            Ending::Fail(payload) => Stage::Failed(bytes(payload)),
            Ending::Retry => Stage::Retryable { attempt: *attempt },
            Ending::Release => Stage::Released { attempt: *attempt },
        };
        vec![Stand::Claimed {
            request: *request,
            since: call.invoked,
            stage,
        }]
    }
}

impl Model for Clients {
    type State = Stand;
    type Call = Asked;
    type Reply = Answered;

    fn start(&self) -> Stand {
        self.executions.start()
    }

    fn step(&self, state: &Stand, call: &Call<Asked, Answered>, by: Duration) -> Vec<Stand> {
        match &call.call {
            Asked::Resolve(ending) => self.resolve(state, *ending, call),
            Asked::Key(key_call) => {
                let replied = call.replied.as_ref().and_then(|(at, reply)| match reply {
                    Answered::Key(reply) => Some((*at, reply.clone())),
                    Answered::Resolved => None,
                });
                let call = Call {
                    client: call.client,
                    invoked: call.invoked,
                    replied,
                    void_after: call.void_after,
                    call: key_call.clone(),
                };
                self.executions.step(state, &call, by)
            }
        }
    }
}

/// What clients asked and were told, in the order in which it was asked.
pub(super) fn calls(key: KeyId, history: &History) -> Vec<Call<Asked, Answered>> {
    let works: HashMap<Id, &WorkSpan> = history.works.iter().map(|w| (w.execution, w)).collect();
    let mut collected = Calls {
        calls: Vec::new(),
        lost: lost(&history.calls),
        fell_back: fell_back(history),
        retention: key.policy().retention_time(),
    };
    for question in &history.questions {
        collected.add(question, works.get(&question.id).copied());
    }
    let mut calls = collected.calls;
    calls.sort_by_key(|call| call.invoked);
    calls
}

struct Calls {
    calls: Vec<Call<Asked, Answered>>,
    /// See [`lost`].
    lost: HashMap<Id, u64>,
    /// See [`fell_back`].
    fell_back: HashSet<Id>,
    /// How long an ending is kept.
    retention: Duration,
}

/// The questions to which replies of the store were lost, and how many of them to writes that claim.
fn lost(calls: &[StoreCall]) -> HashMap<Id, u64> {
    let mut all: HashMap<Id, u64> = HashMap::new();
    for call in calls {
        let reply = call.reply.map(|(_, reply)| reply);
        if let (Some(by), None | Some(Reply::Failed(Fault::Unknown))) = (call.by, reply) {
            let creates = matches!(call.what, StoreAsked::Create { .. });
            let claims = creates || call.takes_over().is_some();
            *all.entry(by).or_default() += u64::from(claims);
        }
    }
    all
}

/// The executions whose typed answers the store had no room for, so that the fallback stands.
fn fell_back(history: &History) -> HashSet<Id> {
    let written = history.calls.iter().filter_map(|call| match call.what {
        StoreAsked::Update { record, .. } => Some(record),
        _ => None,
    });
    let fallbacks = written.filter(|record| record.state == Phase::Failed(fallback()));
    let standing = fallbacks.filter(|record| history.stands(record.ver));
    let tokens: HashSet<u64> = standing.map(|record| record.ver.0).collect();
    let executions = history.tokens().into_iter();
    let fell_back = executions.filter(|(_, token)| tokens.contains(token));
    fell_back.map(|(execution, _)| execution).collect()
}

impl Calls {
    fn add(&mut self, question: &Question, work: Option<&WorkSpan>) {
        let asked = question.asked;
        match question.what {
            Action::Claim { request } => {
                let reply = question
                    .told
                    .and_then(|(at, told)| Some((at, to_claim(told)?)));
                self.claim(question.id, request, asked, reply);
            }
            Action::Execute { request } => self.execute(question, request, work),
            Action::Renew { execution } | Action::Checkpoint { execution, .. } => {
                let reply = question
                    .told
                    .and_then(|(at, told)| Some((at, to_holder(told)?)));
                self.key(asked, reply, KeyCall::Hold { execution });
            }
            Action::End { execution, ending } => {
                let told = question.told;
                let told = told.filter(|_| self.is_told(question, asked));
                let reply = told.and_then(|(at, told)| Some((at, to_holder(told)?)));
                self.key(asked, reply, ended(execution, ending));
            }
            Action::Resolve { resolution } => self.resolve(question, resolution),
            Action::Lookup => {}
        }
    }

    /// Whether the answer to an ending that was sent at `sent` tells what became of it. After a lost
    /// reply, an ending that was stored and has expired before it was sent again counts as
    /// superseded.
    fn is_told(&self, question: &Question, sent: Nanos) -> bool {
        match (self.lost.contains_key(&question.id), question.told) {
            (true, Some((at, Told::Superseded))) => time(at) - time(sent) < self.retention,
            _ => true,
        }
    }

    fn claim(
        &mut self,
        execution: Id,
        request: u8,
        asked: Nanos,
        reply: Option<(Nanos, KeyReply)>,
    ) {
        if reply.is_none() {
            // It may have gone through, and is taken back then.
            self.key(asked, None, KeyCall::Disown { execution });
        }
        let request = u64::from(request);
        // A create or take-over whose reply was lost may arrive when the claim has long been answered,
        // and the key is free again: then nobody runs it, for a lease. Or it was applied at once, and
        // another claim has taken the key over before this one asked again.
        let late = self.lost.get(&execution).copied().unwrap_or_default();
        let refused = matches!(reply, Some((_, KeyReply::InFlight)));
        for number in 1..=late.min(15) {
            let execution = execution | number << 60;
            self.key(asked, None, KeyCall::Claim { execution, request });
            if refused {
                // A take-over that may come through still is given back.
                self.key(asked, None, KeyCall::Disown { execution });
            }
        }
        self.key(asked, reply, KeyCall::Claim { execution, request });
    }

    /// A claim, and an ending if it came to that.
    fn execute(&mut self, question: &Question, request: u8, work: Option<&WorkSpan>) {
        let (id, asked) = (question.id, question.asked);
        let Some(work) = work else {
            let reply = question
                .told
                .and_then(|(at, told)| Some((at, to_claim(told)?)));
            return self.claim(id, request, asked, reply);
        };
        let acquired = KeyReply::Acquired {
            attempt: work.attempt,
        };
        self.claim(id, request, asked, Some((work.start, acquired)));
        let told = question
            .told
            .and_then(|(at, told)| Some((at, to_holder(told)?)));
        match work.stop {
            Some((stopped, Some(ending))) => {
                let ending = match self.fell_back.contains(&id) {
                    true => Ending::Fail(fallback()),
                    false => ending,
                };
                let told = told.filter(|_| self.is_told(question, stopped));
                self.key(stopped, told, ended(id, ending));
            }
            // It was dropped, because a renewal had found that it was superseded, or with its caller.
            Some((stopped, None)) if matches!(told, Some((_, KeyReply::Superseded))) => {
                let renewed = KeyCall::Hold { execution: id };
                self.key(work.start, Some((stopped, KeyReply::Superseded)), renewed);
            }
            _ => {}
        }
    }

    fn resolve(&mut self, question: &Question, resolution: Ending) {
        // After a lost reply it may have been settled as asked, and have changed since.
        let is_lost = self.lost.contains_key(&question.id);
        let replied = match question.told {
            Some((_, Told::Changed)) if is_lost => None,
            Some((_, Told::Refused | Told::Changed)) => return,
            Some((at, Told::Done)) => Some((time(at), Answered::Resolved)),
            _ => None,
        };
        self.calls.push(Call {
            client: 0,
            invoked: time(question.asked),
            replied,
            void_after: None,
            call: Asked::Resolve(resolution),
        });
    }

    fn key(&mut self, asked: Nanos, reply: Option<(Nanos, KeyReply)>, call: KeyCall) {
        self.calls.push(Call {
            client: 0,
            invoked: time(asked),
            replied: reply.map(|(at, reply)| (time(at), Answered::Key(reply))),
            void_after: None,
            call: Asked::Key(call),
        });
    }
}

fn to_claim(told: Told) -> Option<KeyReply> {
    match told {
        Told::Acquired { attempt, .. } => Some(KeyReply::Acquired { attempt }),
        Told::Replay(payload) => Some(KeyReply::Replay(bytes(payload))),
        Told::ReplayFailure(payload) => Some(KeyReply::ReplayFailure(bytes(payload))),
        Told::InFlight => Some(KeyReply::InFlight),
        Told::Mismatch => Some(KeyReply::Mismatch),
        Told::Abandoned { attempt } => Some(KeyReply::Abandoned { attempt }),
        _ => None,
    }
}

fn to_holder(told: Told) -> Option<KeyReply> {
    match told {
        Told::Stored | Told::Done => Some(KeyReply::Stored),
        Told::Superseded => Some(KeyReply::Superseded),
        _ => None,
    }
}

fn ended(execution: Id, ending: Ending) -> KeyCall {
    match ending {
        Ending::Complete(payload) => KeyCall::Complete {
            execution,
            payload: bytes(payload),
        },
        Ending::Fail(payload) => KeyCall::Fail {
            execution,
            payload: bytes(payload),
        },
        Ending::Retry => KeyCall::FailRetryable { execution },
        Ending::Release => KeyCall::Release { execution },
    }
}

fn bytes(digest: Digest) -> Bytes {
    Bytes::copy_from_slice(&digest.to_be_bytes())
}
