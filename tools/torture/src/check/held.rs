//! Whether a key stays held while the process of its holder lives, and whether its answer lands,
//! whatever befalls the store.
//!
//! The other checks go by the store's clock, by which a take-over is right once the lease has run
//! out. This one asks why it ran out. It looks at work that the engine keeps held: at whatever
//! `execute` runs, and at endings that are not stored yet.

use std::collections::{HashMap, HashSet};

use super::{Findings, Promise, Rule, Rules, writes::NEVER};
use crate::{
    clock::{MILLISECOND, Nanos},
    event::{Action, Call, Ending, Id, Phase, Reply, Ver},
    history::{Ended, History, Life, Lives, StoreCall, WorkSpan},
    journal::process_of,
    key::{Class, KeyId, LEASE},
};

const MS_OF_LEASE: Nanos = LEASE.as_millis() as Nanos;
const WHOLE_LEASE: Nanos = MS_OF_LEASE * MILLISECOND;

/// The time of one renewal: what an outage has to last to be noticed, and what a holder is given
/// after it.
const THIRD: Nanos = WHOLE_LEASE / 3;

pub(super) fn check(
    key: KeyId,
    history: &History,
    lives: &Lives,
    rules: &Rules,
    found: &mut Findings,
) {
    // Endings of short-lived answers are given up soon, and a failover may lose anything.
    if key.class() == Class::Short || rules.promise != Promise::Durable {
        return;
    }
    let holders = holders(history, lives);
    let in_flight = in_flight(&history.calls);
    for call in &history.calls {
        let Some(take_over) = TakeOver::of(call).filter(|by| in_flight.contains(&by.over)) else {
            continue;
        };
        if let Some(holder) = holders.get(&take_over.over.0)
            && let Some(why) = holder.was_robbed(&take_over, lives, rules)
        {
            let what = format!(
                "attempt {} lost its key although its process lived: {why}",
                holder.work.attempt
            );
            found.add(Rule::Held, call.sent, what);
        }
    }
    for holder in holders.values() {
        if let (Some(drained), Some((stopped, Some(ending)))) =
            (holder.life.drained, holder.work.stop)
            && matches!(ending, Ending::Complete(_) | Ending::Fail(_))
            && !has_landed(holder.token, drained, history)
        {
            let what = format!("{ending:?} was to be stored and is not, though its process lived");
            found.add(Rule::G5, stopped, what);
        }
    }
}

/// An execution, by the token of its claim.
struct Holder<'a> {
    work: &'a WorkSpan,
    token: u64,
    life: &'a Life,
    /// Since when the engine keeps its key held.
    since: Nanos,
    /// When its writes that left the key in flight were sent, of those that were acknowledged.
    signs: Vec<(Nanos, Nanos)>,
}

fn holders<'a>(history: &'a History, lives: &'a Lives) -> HashMap<u64, Holder<'a>> {
    let token_of = history.tokens();
    let mut signs: HashMap<u64, Vec<(Nanos, Nanos)>> = HashMap::new();
    for call in &history.calls {
        let (Call::Create { record, .. } | Call::Update { record, .. }) = call.what else {
            continue;
        };
        if !is_in_flight(record.state) {
            continue;
        }
        if let Some((got, Reply::Applied)) = call.reply {
            signs
                .entry(record.ver.0)
                .or_default()
                .push((call.sent, got));
        }
    }
    let executes: HashMap<Id, bool> = history
        .questions
        .iter()
        .map(|question| (question.id, matches!(question.what, Action::Execute { .. })))
        .collect();
    let holder = |work: &'a WorkSpan| {
        let token = *token_of.get(&work.execution)?;
        let since = match (executes.get(&work.execution)?, work.stop) {
            (true, _) => work.start,
            (false, Some((stopped, Some(_)))) => stopped,
            (false, _) => return None,
        };
        Some((
            token,
            Holder {
                work,
                token,
                life: lives.get(&process_of(work.execution))?,
                since,
                signs: signs.remove(&token).unwrap_or_default(),
            },
        ))
    };
    history.works.iter().filter_map(holder).collect()
}

/// The versions that left the key in flight.
fn in_flight(calls: &[StoreCall]) -> HashSet<Ver> {
    let written = calls.iter().filter_map(|call| match call.what {
        Call::Create { record, .. } | Call::Update { record, .. } => Some(record),
        _ => None,
    });
    let in_flight = written.filter(|record| is_in_flight(record.state));
    in_flight.map(|record| record.ver).collect()
}

/// A claim over another one.
struct TakeOver {
    over: Ver,
    process: u32,
    sent: Nanos,
    got: Nanos,
}

impl TakeOver {
    fn of(call: &StoreCall) -> Option<Self> {
        let (over, _) = call.takes_over()?;
        let Some((got, Reply::Applied)) = call.reply else {
            return None;
        };
        Some(Self {
            over,
            process: process_of(call.by?),
            sent: call.sent,
            got,
        })
    }
}

impl Holder<'_> {
    /// Why it should have kept its key; nothing if it may have lost it.
    fn was_robbed(&self, by: &TakeOver, lives: &Lives, rules: &Rules) -> Option<String> {
        let mut spared = rules.spared.iter();
        let window = spared.find(|window| window.from <= by.sent && by.got <= window.to)?;
        let signs = self.signs.iter().filter(|(_, got)| *got <= by.got);
        let last = signs.map(|(sent, _)| *sent).max()?;
        let until = match self.work.stop {
            Some((dropped, None)) => dropped,
            _ => NEVER,
        };
        // It had half a lease to be renewed in, and no earlier fault had kept it from that.
        let by_then = last + WHOLE_LEASE / 2;
        if self.since > by_then || until < by.sent || by_then < window.from {
            return None;
        }
        if !self.life.is_alive(last, by.sent) {
            return None;
        }
        if self.life.outage(last, by.sent).is_none() {
            let late = (by.sent - last) / MILLISECOND;
            return Some(format!("it was last renewed {late} ms before"));
        }
        // Who did not notice the outage takes over (G1).
        let over = lives.get(&by.process)?.outage(last, by.sent)?;
        let given = by.sent - over.min(by.sent);
        if given >= THIRD {
            return None;
        }
        let given = given / MILLISECOND;
        Some(format!("it was given {given} ms after an outage"))
    }
}

impl Life {
    /// When an outage between these two moments was over for this process, if there was one: the store
    /// away, or taking no writes.
    fn outage(&self, from: Nanos, to: Nanos) -> Option<Nanos> {
        let away = self.failing(from, to, |how| match how {
            Ended::Failed => Some(true),
            Ended::Applied | Ended::Refused | Ended::Full => Some(false),
        });
        let unwritable = self.failing(from, to, |how| match how {
            Ended::Failed | Ended::Full => Some(true),
            Ended::Applied => Some(false),
            // Who is refused has written nothing.
            Ended::Refused => None,
        });
        away.max(unwritable)
    }

    /// When writes had failed one after the other for so long that it is certain to have been noticed.
    fn failing(
        &self,
        from: Nanos,
        to: Nanos,
        failed: impl Fn(Ended) -> Option<bool>,
    ) -> Option<Nanos> {
        let is_outage = |failing: Option<(Nanos, Nanos)>| {
            failing.is_some_and(|(first, latest)| latest - first > THIRD + THIRD / 4)
        };
        let (mut failing, mut over) = (None, None);
        let between = self.writes.iter();
        for attempt in between.filter(|attempt| (from..=to).contains(&attempt.ended)) {
            match failed(attempt.how) {
                Some(true) => {
                    let (first, _) = failing.unwrap_or((attempt.ended, 0));
                    failing = Some((first, attempt.ended));
                }
                Some(false) => {
                    over = is_outage(failing.take()).then_some(attempt.ended).or(over);
                }
                None => {}
            }
        }
        // Not seen to be over: the time counts from the latest failure, or from when it went on.
        let latest = failing
            .filter(|_| is_outage(failing))
            .map(|(_, latest)| self.went_on(latest, to).unwrap_or(latest));
        latest.or(over)
    }

    /// When it showed for the first time that it lives, after it had been stopped for a while.
    fn went_on(&self, from: Nanos, to: Nanos) -> Option<Nanos> {
        let beats = self.beats.iter().copied();
        let beats: Vec<_> = beats.filter(|beat| (from..=to).contains(beat)).collect();
        let mut pairs = beats.windows(2);
        let stopped = pairs.find(|pair| pair[1] - pair[0] > THIRD / 2);
        stopped.map(|pair| pair[1])
    }
}

/// Whether the ending under this token, or somebody else's write over it, was sent before the
/// process had nothing to store any more.
fn has_landed(token: u64, drained: Nanos, history: &History) -> bool {
    history.calls.iter().any(|call| {
        let Call::Update {
            expected, record, ..
        } = call.what
        else {
            return false;
        };
        let is_over = expected.0 == token && !(record.ver.0 == token && is_in_flight(record.state));
        is_over && call.sent < drained && history.stands(record.ver)
    })
}

fn is_in_flight(phase: Phase) -> bool {
    matches!(phase, Phase::InFlight { .. })
}
