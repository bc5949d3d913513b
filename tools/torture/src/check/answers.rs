//! The promises to clients, by what clients were told alone.

use std::collections::{BTreeMap, HashMap};

use super::{Findings, Rule, Rules};
use crate::{
    clock::Nanos,
    event::{Action, Digest, Ending, Id, Phase, Told},
    history::{History, Question, WorkSpan},
    key::{Class, KeyId, SHORT_RETENTION},
    worker::fallback,
};

/// A final answer: a success or a failure, and its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Final {
    Success(Digest),
    Failure(Digest),
}

impl Final {
    fn of_ending(ending: Ending) -> Option<Self> {
        match ending {
            Ending::Complete(p) => Some(Self::Success(p)),
            Ending::Fail(p) => Some(Self::Failure(p)),
            Ending::Retry | Ending::Release => None,
        }
    }

    fn of_answer(told: Told) -> Option<Self> {
        match told {
            Told::Replay(p) => Some(Self::Success(p)),
            Told::ReplayFailure(p) => Some(Self::Failure(p)),
            Told::Found(Some(record)) => match record.state {
                Phase::Completed(p) => Some(Self::Success(p)),
                Phase::Failed(p) => Some(Self::Failure(p)),
                _ => None,
            },
            _ => None,
        }
    }
}

/// An attempt to store a final answer.
#[derive(Debug, Clone, Copy)]
struct Attempt {
    answer: Final,
    /// Whose request it answers; nobody says so of one that was settled by hand.
    request: Option<u8>,
    asked: Nanos,
    told: Option<(Nanos, Told)>,
}

impl Attempt {
    /// When it was acknowledged.
    fn acknowledged(&self) -> Option<Nanos> {
        match self.told {
            Some((at, Told::Stored | Told::Done)) => Some(at),
            _ => None,
        }
    }
}

pub(super) fn check(key: KeyId, history: &History, rules: &Rules, found: &mut Findings) {
    let attempts = attempts(history);
    check_one_answer(key, history, &attempts, rules, found);
    check_superseded(key, history, &attempts, rules, found);
    check_nothing_lost(key, history, &attempts, rules, found);
}

/// Everything that tried to store a final answer.
fn attempts(history: &History) -> Vec<Attempt> {
    let works: HashMap<Id, &WorkSpan> = history.works.iter().map(|w| (w.execution, w)).collect();
    let attempt = |question: &Question| {
        let (ending, request) = match question.what {
            Action::End { execution, ending } => (ending, works.get(&execution).map(|w| w.request)),
            Action::Resolve { resolution } => (resolution, None),
            Action::Execute { request } => {
                let (_, ending) = works.get(&question.id)?.stop?;
                (ending?, Some(request))
            }
            _ => return None,
        };
        Some(Attempt {
            answer: Final::of_ending(ending)?,
            request,
            asked: question.asked,
            told: question.told,
        })
    };
    let attempts = history.questions.iter().filter_map(attempt);
    // Where there was no room for a typed answer, a fallback took its place.
    let executed = history.questions.iter().filter(|question| {
        matches!(question.what, Action::Execute { .. }) && works.contains_key(&question.id)
    });
    let fallbacks = executed.map(|question| Attempt {
        answer: Final::Failure(fallback()),
        request: works.get(&question.id).map(|work| work.request),
        asked: question.asked,
        told: None,
    });
    attempts.chain(fallbacks).collect()
}

/// When an answer was known: by the end of the first who was told, and still when the last asked.
#[derive(Debug, Clone, Copy)]
struct Known {
    from: Nanos,
    until: Nanos,
}

/// G2: all are told one answer, and it is one that somebody stored.
fn check_one_answer(
    key: KeyId,
    history: &History,
    attempts: &[Attempt],
    rules: &Rules,
    found: &mut Findings,
) {
    let mut known: BTreeMap<Final, Known> = BTreeMap::new();
    let mut note = |answer, asked: Nanos, told: Nanos| {
        let known = known.entry(answer).or_insert(Known {
            from: told,
            until: asked,
        });
        known.from = known.from.min(told);
        known.until = known.until.max(asked);
    };
    for question in &history.questions {
        let Some((told, answer)) = question.told else {
            continue;
        };
        let Some(answer) = Final::of_answer(answer) else {
            continue;
        };
        note(answer, question.asked, told);
        if !attempts
            .iter()
            .any(|a| a.answer == answer && a.asked <= told)
        {
            let what = format!("{answer:?} was replayed, and nobody stored it");
            found.add(Rule::G2, told, what);
        }
    }
    for attempt in attempts {
        if let Some(told) = attempt.acknowledged() {
            note(attempt.answer, attempt.asked, told);
        }
    }
    let known: Vec<_> = known.into_iter().collect();
    for (place, (one, a)) in known.iter().enumerate() {
        for (other, b) in &known[place + 1..] {
            if !may_differ(key, *a, *b, rules) {
                let at = a.from.max(b.from);
                found.add(
                    Rule::G2,
                    at,
                    format!("both {one:?} and {other:?} were told"),
                );
            }
        }
    }
}

/// Whether one answer may have followed another: after it had expired, or was lost.
fn may_differ(key: KeyId, a: Known, b: Known, rules: &Rules) -> bool {
    let (first, second) = if a.from < b.until { (a, b) } else { (b, a) };
    if rules.may_have_lost(first.from, second.until) {
        return true;
    }
    key.class() == Class::Short && second.from >= first.until
}

/// G3: what a superseded execution wanted to store is told to nobody.
fn check_superseded(
    key: KeyId,
    history: &History,
    attempts: &[Attempt],
    rules: &Rules,
    found: &mut Findings,
) {
    // Whoever completes a halting key does so with the one answer that the ledger has.
    if key.class() == Class::Halt {
        return;
    }
    for attempt in attempts {
        let Some((told, Told::Superseded)) = attempt.told else {
            continue;
        };
        // It may have been stored, and be gone again, before its holder heard of either.
        let has_expired = told - attempt.asked >= kept(key);
        if has_expired || rules.may_have_lost(attempt.asked, told) {
            continue;
        }
        let seen = history.questions.iter().find_map(|question| {
            let (at, answer) = question.told?;
            (Final::of_answer(answer) == Some(attempt.answer)).then_some(at)
        });
        if let Some(at) = seen {
            let what = format!(
                "{:?} was told, which was refused as superseded",
                attempt.answer
            );
            found.add(Rule::G3, at, what);
        }
    }
}

/// G5: from its acknowledgement on, as long as it is kept, everybody is told this answer, or that
/// his request is another.
fn check_nothing_lost(
    key: KeyId,
    history: &History,
    attempts: &[Attempt],
    rules: &Rules,
    found: &mut Findings,
) {
    for attempt in attempts {
        let Some(acknowledged) = attempt.acknowledged() else {
            continue;
        };
        for question in &history.questions {
            let Some((told, answer)) = question.told else {
                continue;
            };
            let is_later = question.asked > acknowledged;
            let is_kept = told < attempt.asked.saturating_add(kept(key));
            if !is_later || !is_kept || fits(question, answer, attempt) {
                continue;
            }
            if !rules.may_have_lost(attempt.asked, told) {
                let what = format!("{answer:?} after {:?} was acknowledged", attempt.answer);
                found.add(Rule::G5, told, what);
            }
            // The first one tells it all.
            break;
        }
    }
}

/// Whether an answer agrees with the final one.
fn fits(question: &Question, answer: Told, last: &Attempt) -> bool {
    let asks = match question.what {
        Action::Claim { request } | Action::Execute { request } => Some(request),
        Action::Lookup => None,
        // Holders and operators are told how things stand with them.
        _ => return !matches!(answer, Told::Stored),
    };
    match answer {
        Told::Failed(_) | Told::Gone => true,
        Told::Mismatch => last.request.is_none() || asks != last.request,
        _ => {
            let is_same = asks.is_none() || last.request.is_none() || asks == last.request;
            is_same && Final::of_answer(answer) == Some(last.answer)
        }
    }
}

/// How long a final answer is kept.
fn kept(key: KeyId) -> Nanos {
    match key.class() {
        Class::Short => u64::try_from(SHORT_RETENTION.as_nanos()).unwrap_or(Nanos::MAX),
        Class::Reclaim | Class::Restless | Class::Halt => Nanos::MAX,
    }
}
