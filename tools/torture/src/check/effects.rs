//! What executions did: whether two were at work at once that should not have been, and whether
//! effects and completions agree.

use std::collections::HashMap;

use super::{Findings, Rule, Rules};
use crate::{
    clock::{MILLISECOND, Nanos},
    event::{Action, Call, Id, Phase, Reply, Told},
    history::{History, Question, StoreCall, WorkSpan},
    key::{Class, KeyId},
    worker::Entry,
};

pub(super) fn check(
    key: KeyId,
    history: &History,
    rules: &Rules,
    ledger: &[Entry],
    found: &mut Findings,
) {
    check_alone(history, rules, found);
    if key.class() == Class::Halt {
        check_ledger(history, rules, ledger, found);
    }
}

/// G1: whoever starts while another is at work does so because that one's lease had run out.
fn check_alone(history: &History, rules: &Rules, found: &mut Findings) {
    let signs = SignsOfLife::of(history);
    for later in &history.works {
        for earlier in &history.works {
            let is_at_work = earlier.start < later.start
                && earlier.stop.is_none_or(|(stop, _)| stop > later.start);
            if !is_at_work || rules.may_have_lost(earlier.start, later.start) {
                continue;
            }
            let Some(trusted) = signs.trusted_until(earlier, later) else {
                continue;
            };
            if later.start.saturating_add(rules.slack) < trusted {
                let what = format!(
                    "attempt {} started while attempt {} was at work and trusted for another {} ms",
                    later.attempt,
                    earlier.attempt,
                    (trusted - later.start) / MILLISECOND
                );
                found.add(Rule::G1, later.start, what);
            }
        }
    }
}

/// The claims, renewals and checkpoints of every execution that were acknowledged.
struct SignsOfLife {
    claimed: HashMap<Id, Nanos>,
    by_execution: HashMap<Id, Vec<Sign>>,
}

struct Sign {
    sent: Nanos,
    got: Nanos,
    lease: Nanos,
}

impl SignsOfLife {
    fn of(history: &History) -> Self {
        let mut claimed = HashMap::new();
        let mut execution_of = HashMap::new();
        for question in &history.questions {
            let execution = match question.what {
                Action::Renew { execution } | Action::Checkpoint { execution, .. } => execution,
                _ => question.id,
            };
            claimed.insert(question.id, question.asked);
            execution_of.insert(question.id, execution);
        }
        let mut by_execution: HashMap<Id, Vec<Sign>> = HashMap::new();
        for call in &history.calls {
            let execution = call.by.and_then(|by| execution_of.get(&by));
            if let (Some(execution), Some(sign)) = (execution, Sign::of(call)) {
                by_execution.entry(*execution).or_default().push(sign);
            }
        }
        Self {
            claimed,
            by_execution,
        }
    }

    /// Until when the earlier execution was trusted, by what it had heard when the later one was
    /// claimed.
    fn trusted_until(&self, earlier: &WorkSpan, later: &WorkSpan) -> Option<Nanos> {
        let claimed = self.claimed.get(&later.execution).copied();
        let by = claimed.unwrap_or(later.start);
        let signs = self.by_execution.get(&earlier.execution)?.iter();
        signs
            .filter(|sign| sign.got <= by)
            .map(|sign| sign.sent.saturating_add(sign.lease))
            .max()
    }
}

impl Sign {
    fn of(call: &StoreCall) -> Option<Self> {
        let (Call::Create { record, .. } | Call::Update { record, .. }) = call.what else {
            return None;
        };
        let (Phase::InFlight { lease_ms }, Some((got, Reply::Applied))) =
            (record.state, call.reply)
        else {
            return None;
        };
        Some(Self {
            sent: call.sent,
            got,
            lease: lease_ms.saturating_mul(MILLISECOND),
        })
    }
}

/// Under `Halt`, with an operator who looks before he settles: one effect for one completion.
fn check_ledger(history: &History, rules: &Rules, ledger: &[Entry], found: &mut Findings) {
    let asked = history.questions.iter().map(|question| question.asked);
    let (Some(first), Some(last)) = (asked.clone().min(), asked.max()) else {
        return;
    };
    if rules.may_have_lost(first, last) {
        return;
    }
    let effects: Vec<&str> = ledger
        .iter()
        .filter_map(|entry| match entry {
            Entry::Effect { answer, .. } => Some(answer.as_str()),
            Entry::Fence { .. } => None,
        })
        .collect();
    if effects.len() > 1 {
        let what = format!("{} effects: {effects:?}", effects.len());
        found.add(Rule::Effects, last, what);
        return;
    }
    let Some((at, end)) = last_look(history) else {
        return;
    };
    let effect = effects
        .first()
        .map(|answer| crate::worker::payload_of(answer));
    match (effect, end) {
        (Some(effect), Some(Phase::Completed(payload))) if effect == payload => {}
        (None, Some(Phase::Completed(_))) => {
            found.add(Rule::Effects, at, "completed without an effect");
        }
        (Some(_), Some(Phase::Completed(_))) => {
            found.add(
                Rule::Effects,
                at,
                "completed with the answer of another effect",
            );
        }
        (Some(_), Some(Phase::Retryable | Phase::Released) | None) => {
            found.add(
                Rule::Effects,
                at,
                "there was an effect, and it may happen again",
            );
        }
        _ => {}
    }
}

/// How the key was found when it was looked up last.
fn last_look(history: &History) -> Option<(Nanos, Option<Phase>)> {
    let look = |question: &Question| match question.told {
        Some((at, Told::Found(record))) => Some((at, record.map(|record| record.state))),
        _ => None,
    };
    history
        .questions
        .iter()
        .filter_map(look)
        .max_by_key(|(at, _)| *at)
}
