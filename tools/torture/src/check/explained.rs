//! Every answer to a client follows from what the store answered on behalf of that very question.

use std::collections::HashMap;

use super::{Findings, Rule};
use crate::{
    event::{Action, Call, Digest, Ending, Id, Phase, Reply, Summary, Told, first},
    history::{History, Question, StoreCall, WorkSpan},
    key::fingerprint,
};

pub(super) fn check(history: &History, found: &mut Findings) {
    let mut calls: HashMap<Id, Vec<&StoreCall>> = HashMap::new();
    for call in &history.calls {
        if let Some(by) = call.by {
            calls.entry(by).or_default().push(call);
        }
    }
    let of = |id| Evidence(calls.get(&id).map_or(&[][..], Vec::as_slice));
    for question in &history.questions {
        check_answer(question, of(question.id), found);
    }
    for work in &history.works {
        check_work(work, of(work.execution), found);
    }
}

/// What the store answered on behalf of one question.
#[derive(Clone, Copy)]
struct Evidence<'a>(&'a [&'a StoreCall]);

impl Evidence<'_> {
    fn found(&self) -> impl Iterator<Item = Summary> {
        self.0.iter().filter_map(|call| match call.reply {
            Some((_, Reply::Found(seen))) => Some(seen.record),
            _ => None,
        })
    }

    /// The writes that were sent, and whether they were applied at once.
    fn written(&self) -> impl Iterator<Item = (Summary, bool)> {
        self.0.iter().filter_map(|call| match call.what {
            Call::Create { record, .. } | Call::Update { record, .. } => {
                let applied = matches!(call.reply, Some((_, Reply::Applied)));
                Some((record, applied))
            }
            Call::Delete { .. } | Call::Get => None,
        })
    }

    /// Whether a write like this was applied: at once, or as it turned out later.
    fn has_written(&self, like: impl Fn(Summary) -> bool) -> bool {
        self.written().any(|(record, applied)| {
            like(record) && (applied || self.found().any(|seen| seen.ver == record.ver))
        })
    }

    /// Whether a record of this request was found in such a state.
    fn has_found(&self, request: Digest, like: impl Fn(Phase) -> bool) -> bool {
        self.found()
            .any(|record| record.fingerprint == request && like(record.state))
    }
}

fn check_answer(question: &Question, evidence: Evidence<'_>, found: &mut Findings) {
    let Some((told, answer)) = question.told else {
        return;
    };
    let request = match question.what {
        Action::Claim { request } | Action::Execute { request } => Some(of_request(request)),
        _ => None,
    };
    let in_flight = |phase| matches!(phase, Phase::InFlight { .. });
    let (rule, holds) = match (answer, request) {
        (Told::Replay(p), Some(r)) => (
            Rule::G2,
            evidence.has_found(r, |phase| phase == Phase::Completed(p)),
        ),
        (Told::ReplayFailure(p), Some(r)) => (
            Rule::G2,
            evidence.has_found(r, |phase| phase == Phase::Failed(p)),
        ),
        (Told::InFlight | Told::Abandoned { .. }, Some(r)) => {
            (Rule::G4, evidence.has_found(r, in_flight))
        }
        (Told::Mismatch, Some(r)) => (
            Rule::G4,
            evidence.found().any(|record| record.fingerprint != r),
        ),
        (Told::Stored, _) => (Rule::G5, is_stored(question, evidence)),
        (Told::Nonsense, _) => (Rule::G2, false),
        (Told::Exhausted, _) => (Rule::G4, false),
        _ => return,
    };
    if !holds {
        let what = format!("{answer:?} does not follow from what the store answered");
        found.add(rule, told, what);
    }
}

/// Whether an ending that is called stored was.
fn is_stored(question: &Question, evidence: Evidence<'_>) -> bool {
    match question.what {
        Action::Execute { .. } => {
            evidence.has_written(|record| matches!(record.state, Phase::Completed(_)))
        }
        Action::End { ending, .. } => match ending {
            Ending::Complete(p) => evidence.has_written(|r| r.state == Phase::Completed(p)),
            Ending::Fail(p) => evidence.has_written(|r| r.state == Phase::Failed(p)),
            Ending::Retry => evidence.has_written(|r| r.state == Phase::Retryable),
            Ending::Release => evidence.has_written(|r| r.state == Phase::Released),
        },
        _ => false,
    }
}

/// Nobody works without a claim of his own.
fn check_work(work: &WorkSpan, evidence: Evidence<'_>, found: &mut Findings) {
    let request = of_request(work.request);
    let claims = |record: Summary| {
        matches!(record.state, Phase::InFlight { .. })
            && record.attempt == work.attempt
            && record.fingerprint == request
    };
    if !evidence.has_written(claims) {
        let what = format!(
            "attempt {} works without a claim in the store",
            work.attempt
        );
        found.add(Rule::G1, work.start, what);
    }
}

fn of_request(request: u8) -> Digest {
    first(&fingerprint(request))
}
