//! Whether a history keeps the promises. Nothing here knows how idem works: it looks at what was
//! asked and told, at what the store was sent and answered, and at the clock.
//!
//! # How
//! No two writes of a record share a version, and every write but the first names the version that
//! it replaces. So the writes of one key form chains, in an order that is given, and every answer of
//! the store belongs to a place in that order. A history is linearizable exactly if the chains can
//! be put one behind the other such that nothing comes before something that had ended before it
//! began. That is decided without a search. A write whose reply was lost takes part if anybody saw
//! it, or saw what was built on it; else it may as well never have been.
//!
//! On top of that order stand the rules for leases, ages, expiry and fingerprints, and beside it the
//! promises to clients, checked by their own answers alone.

mod answers;
mod chains;
mod effects;
mod explained;
mod held;
mod order;
mod search;
mod segments;
mod tally;
#[cfg(test)]
mod tests;
mod times;
mod writes;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    clock::Nanos,
    history::{Histories, History},
    key::KeyId,
    worker::Entry,
};
pub(crate) use tally::Tally;

/// What a deployment promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Promise {
    /// A write that was acknowledged stays.
    Durable,
    /// The same; but what was seen of a write that was *not* acknowledged may be gone after a
    /// failover, and during one a read may be old.
    Replicated,
    /// A failover may lose what was acknowledged just before it. That is counted.
    MayLose,
}

/// By what a run is judged.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Rules {
    pub(crate) promise: Promise,
    /// When failovers were under way, in their order and apart.
    pub(crate) failovers: Vec<Window>,
    /// When holders whose process lived kept their keys.
    #[serde(default)]
    pub(crate) spared: Vec<Window>,
    /// When a slot of a Cluster went to another node. A key takes the time that it has left along, and
    /// lives longer by as long as it was on its way.
    #[serde(default)]
    pub(crate) moved: Vec<Window>,
    /// How much clocks and roundings may differ.
    pub(crate) slack: Nanos,
}

/// A stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Window {
    pub(crate) from: Nanos,
    pub(crate) to: Nanos,
}

impl Window {
    fn touches(self, from: Nanos, to: Nanos) -> bool {
        self.from <= to && from <= self.to
    }
}

impl Rules {
    /// By how much a record may seem younger that was written not before `from` and seen at `to`.
    fn stretched(&self, from: Nanos, to: Nanos) -> Nanos {
        let moved = self.moved.iter().filter(|window| window.touches(from, to));
        moved.map(|window| window.to - window.from).sum()
    }

    /// Whether a failover between these two moments may have lost what was acknowledged.
    fn may_have_lost(&self, from: Nanos, to: Nanos) -> bool {
        self.promise == Promise::MayLose && self.failover_between(from, to)
    }

    /// Whether a failover was under way between these two moments.
    fn failover_between(&self, from: Nanos, to: Nanos) -> bool {
        self.failovers.iter().any(|window| window.touches(from, to))
    }
}

/// The rules of the store's contract and the promises of the library.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Rule {
    /// Two executions are live at once only if the earlier one's lease had run out.
    G1,
    /// The same, where the lease ran out although its holder's process lived.
    Held,
    /// All replays are the one ending that was stored.
    G2,
    /// A superseded execution changes nothing.
    G3,
    /// A request with another fingerprint never runs.
    G4,
    /// What was acknowledged is not lost; a failed write is unknown.
    G5,
    /// Under `Halt` there is one effect for one winning completion.
    Effects,
    /// The store's answers have one order that explains them all.
    Linear,
    /// A version is replaced or removed by one write, and only where it stood.
    Exact,
    /// Ages are true.
    S4,
    /// What has expired is absent.
    S5,
    /// Nothing goes before its time.
    S6,
    /// What was written is read back whole.
    S7,
    /// Errors say what they mean for the write.
    S9,
    /// What clients were told has one order that explains it.
    Search,
    /// Nothing panics.
    Panics,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held => f.write_str("G1 (held)"),
            Self::Effects => f.write_str("effects"),
            Self::Linear => f.write_str("linearizability"),
            Self::Exact => f.write_str("S2/S3"),
            Self::Search => f.write_str("answers"),
            Self::Panics => f.write_str("panics"),
            rule => write!(f, "{rule:?}"),
        }
    }
}

/// A promise that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) rule: Rule,
    pub(crate) key: Option<KeyId>,
    /// Where to look in the history.
    pub(crate) at: Nanos,
    pub(crate) what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} broken", self.rule)?;
        if let Some(key) = self.key {
            write!(f, " for key {key}")?;
        }
        write!(f, " at {}: {}", self.at, self.what)
    }
}

/// What was found out about a run or a key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) violations: Vec<Violation>,
    /// Writes that were acknowledged and gone after a failover, where that may be.
    pub(crate) lost_acknowledgements: u64,
    pub(crate) tally: Tally,
}

/// The fewest questions of a history.
pub(crate) const HISTORY: usize = 1000;

/// Judges all keys of a run.
pub(crate) fn check(
    histories: &Histories,
    rules: &Rules,
    mut ledger: impl FnMut(KeyId) -> Vec<Entry>,
) -> Verdict {
    let mut verdict = Verdict::default();
    for at in &histories.panics {
        verdict.violations.push(Violation {
            rule: Rule::Panics,
            key: None,
            at: *at,
            what: "a worker's task panicked".to_owned(),
        });
    }
    let mut keys: Vec<_> = histories.keys.iter().collect();
    keys.sort_by_key(|(key, _)| **key);
    for (key, history) in keys {
        verdict.add(check_key(*key, history, rules, &ledger(*key)));
        let mut found = Findings::of(*key);
        held::check(*key, history, &histories.lives, rules, &mut found);
        verdict.violations.append(&mut found.violations);
    }
    verdict
}

/// Judges one key.
pub(crate) fn check_key(key: KeyId, history: &History, rules: &Rules, ledger: &[Entry]) -> Verdict {
    let mut found = Findings::of(key);
    let lost = segments::check(&history.calls, rules, &mut found);
    explained::check(history, &mut found);
    answers::check(key, history, rules, &mut found);
    effects::check(key, history, rules, ledger, &mut found);
    let mut tally = Tally::of(history);
    if rules.promise == Promise::Durable {
        tally.searched = 1;
        tally.given_up = search::check(key, history, rules, &mut found);
    }
    if rules.promise != Promise::MayLose {
        for lost in &lost {
            let what = format!(
                "gone after a failover, though acknowledged: {:?}",
                lost.record
            );
            found.add(Rule::G5, lost.at, what);
        }
    }
    Verdict {
        violations: found.violations,
        lost_acknowledgements: lost.len() as u64,
        tally,
    }
}

/// Collects the violations of one key.
#[derive(Debug)]
struct Findings {
    key: KeyId,
    violations: Vec<Violation>,
}

impl Findings {
    fn of(key: KeyId) -> Self {
        Self {
            key,
            violations: Vec::new(),
        }
    }

    fn add(&mut self, rule: Rule, at: Nanos, what: impl Into<String>) {
        self.violations.push(Violation {
            rule,
            key: Some(self.key),
            at,
            what: what.into(),
        });
    }
}

impl Verdict {
    pub(crate) fn add(&mut self, other: Self) {
        self.violations.extend(other.violations);
        self.lost_acknowledgements += other.lost_acknowledgements;
        self.tally.add(&other.tally);
    }
}
