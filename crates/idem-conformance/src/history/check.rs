//! The search for an order that explains a history.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    hash::Hash,
    time::Duration,
};

use super::Call;

/// What one key may do, one call after the other.
pub trait Model {
    /// All that later answers depend on.
    type State: Clone + Eq + Hash;
    /// What can be called.
    type Call: fmt::Debug;
    /// What can be replied.
    type Reply: fmt::Debug;

    /// The state before the first call.
    fn start(&self) -> Self::State;

    /// The states in which the key may be after this call took effect: none where its reply is
    /// impossible in `state`.
    ///
    /// For a call whose reply is unknown: the states that it can have led to, other than `state`
    /// itself.
    fn step(&self, state: &Self::State, call: &Call<Self::Call, Self::Reply>) -> Vec<Self::State>;
}

/// How long to search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Configurations (a set of calls that took effect, and a state) to try at most.
    pub configurations: usize,
}

impl Default for Limit {
    /// Two million configurations: a few seconds at worst.
    fn default() -> Self {
        Self {
            configurations: 2_000_000,
        }
    }
}

/// Why a history is not explained.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Violation {
    /// No order explains it. Holds the calls around the place where the best attempt got stuck, as
    /// text.
    Inexplicable(String),
    /// The search was given up: neither explained nor refuted.
    TooLarge,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inexplicable(stuck) => {
                write!(f, "no order of these calls explains them:\n{stuck}")
            }
            Self::TooLarge => f.write_str("too many orders to try; neither explained nor refuted"),
        }
    }
}

impl std::error::Error for Violation {}

/// Looks for one order of the calls that the model allows and that keeps to real time.
///
/// The calls are those of one key, in the order of their invocation.
///
/// # Errors
/// [`Violation`] when there is no such order, or the search passes its limit.
pub fn check<M: Model>(
    model: &M,
    calls: &[Call<M::Call, M::Reply>],
    limit: Limit,
) -> Result<(), Violation> {
    let (known, unknown) = calls.iter().partition(|call| call.replied.is_some());
    let search = Search {
        model,
        known,
        unknown,
        visited: HashMap::new(),
        steps: 0,
        best: Known::default(),
    };
    search.run(limit)
}

type Observed<M> = Call<<M as Model>::Call, <M as Model>::Reply>;

/// Searches depth first. A call with an unknown reply is placed only right before one with a known
/// reply: nothing in between could tell the difference, so nothing is lost, and most unknown calls
/// are never placed at all.
struct Search<'a, M: Model> {
    model: &'a M,
    known: Vec<&'a Observed<M>>,
    unknown: Vec<&'a Observed<M>>,
    visited: HashMap<(Known, M::State), Minimal>,
    steps: usize,
    best: Known,
}

impl<M: Model> Search<'_, M> {
    fn run(mut self, limit: Limit) -> Result<(), Violation> {
        let mut open = vec![(Done::default(), self.model.start())];
        while let Some((done, state)) = open.pop() {
            if done.known.count == self.known.len() {
                return Ok(());
            }
            if self.steps >= limit.configurations {
                return Err(Violation::TooLarge);
            }
            if done.known.count > self.best.count {
                self.best = done.known.clone();
            }
            let ready = self.ready(&done.known);
            if let Some(number) = self.observer(&ready, &state) {
                let known = done.known.with(number);
                let unknown = done.unknown;
                open.push((Done { known, unknown }, state));
                continue;
            }
            let chains = self.chains(&done.unknown, &state, ready.until);
            // What is pushed last is tried first: the earliest call, with as few unknown ones
            // before it as can be.
            for number in ready.calls.iter().rev() {
                let known = done.known.with(*number);
                for (unknown, state) in self.place(*number, &chains).into_iter().rev() {
                    let visited = (known.clone(), state.clone());
                    if self.visited.entry(visited).or_default().insert(&unknown) {
                        let known = known.clone();
                        open.push((Done { known, unknown }, state));
                    }
                }
            }
        }
        Err(Violation::Inexplicable(self.stuck()))
    }

    /// The calls that may take effect next: those that were invoked before the first outstanding
    /// reply came.
    fn ready(&self, done: &Known) -> Ready {
        let mut until = Duration::MAX;
        let mut calls = Vec::new();
        for (number, call) in self.known.iter().enumerate().skip(done.prefix) {
            if call.invoked > until {
                break;
            }
            if !done.has(number) {
                until = until.min(call.replied.as_ref().map_or(Duration::MAX, |(at, _)| *at));
                calls.push(number);
            }
        }
        calls.retain(|number| self.known[*number].invoked <= until);
        Ready { calls, until }
    }

    /// A call that may take effect next and changes nothing. It can come right now in every
    /// explanation there is, so no other way needs to be tried.
    fn observer(&mut self, ready: &Ready, state: &M::State) -> Option<usize> {
        self.steps += ready.calls.len();
        let changes_nothing = |number: &usize| {
            let after = self.model.step(state, self.known[*number]);
            after.contains(state)
        };
        ready.calls.iter().copied().find(changes_nothing)
    }

    /// All ways to place a known call next: after each of the chains.
    fn place(&mut self, number: usize, chains: &[(Unknown, M::State)]) -> Vec<(Unknown, M::State)> {
        self.steps += chains.len();
        let call = self.known[number];
        let ways = chains.iter().flat_map(|(unknown, before)| {
            let after = self.model.step(before, call).into_iter();
            after.map(|after| (unknown.clone(), after))
        });
        ways.collect()
    }

    /// The states that unknown calls can lead to from here, this one first, each by the fewest
    /// calls.
    fn chains(
        &mut self,
        unknown: &Unknown,
        state: &M::State,
        until: Duration,
    ) -> Vec<(Unknown, M::State)> {
        let mut seen: HashMap<M::State, Minimal> = HashMap::new();
        seen.entry(state.clone()).or_default().insert(unknown);
        let mut chains = vec![(unknown.clone(), state.clone())];
        let mut next = 0;
        while let Some((unknown, state)) = chains.get(next).cloned() {
            next += 1;
            for (number, call) in self.unknown.iter().enumerate() {
                if call.invoked > until {
                    break;
                }
                if unknown.contains(&number) {
                    continue;
                }
                self.steps += 1;
                for after in self.model.step(&state, call) {
                    let mut longer = unknown.clone();
                    longer.insert(number);
                    if seen.entry(after.clone()).or_default().insert(&longer) {
                        chains.push((longer, after));
                    }
                }
            }
        }
        chains
    }

    fn stuck(&self) -> String {
        let first = (0..self.known.len()).find(|number| !self.best.has(*number));
        let around = first.map_or(Duration::ZERO, |number| self.known[number].invoked);
        let known = self.known.iter().enumerate().map(|(number, call)| {
            let mark = if self.best.has(number) { ' ' } else { '?' };
            (mark, *call)
        });
        let unknown = self.unknown.iter().map(|call| (' ', *call));
        let mut all: Vec<_> = known.chain(unknown).collect();
        all.sort_by_key(|(_, call)| call.invoked);
        let at = all.partition_point(|(_, call)| call.invoked < around);
        let shown = at.saturating_sub(12)..(at + 12).min(all.len());
        all[shown]
            .iter()
            .map(|(mark, call)| line(*mark, call))
            .collect()
    }
}

/// What may take effect next, and until when the next known call has to.
struct Ready {
    calls: Vec<usize>,
    until: Duration,
}

fn line<C: fmt::Debug, R: fmt::Debug>(mark: char, call: &Call<C, R>) -> String {
    let Call {
        client,
        invoked,
        replied,
        call,
    } = call;
    match replied {
        Some((at, reply)) => {
            format!(
                "{mark} {invoked:>12.3?} ..{at:>12.3?}  client {client}: {call:?} -> {reply:?}\n"
            )
        }
        None => format!("{mark} {invoked:>12.3?} ..     unknown  client {client}: {call:?}\n"),
    }
}

/// The calls that took effect.
#[derive(Debug, Clone, Default)]
struct Done {
    known: Known,
    /// Those whose reply is unknown.
    unknown: Unknown,
}

type Unknown = BTreeSet<usize>;

/// Sets of unknown calls that took effect, of which none contains another: whoever got to the same
/// place with fewer of them can do all that the others can.
#[derive(Default)]
struct Minimal(Vec<Unknown>);

impl Minimal {
    /// Whether the set is worth going on with.
    fn insert(&mut self, unknown: &Unknown) -> bool {
        if self.0.iter().any(|smaller| smaller.is_subset(unknown)) {
            return false;
        }
        self.0.retain(|larger| !unknown.is_subset(larger));
        self.0.push(unknown.clone());
        true
    }
}

/// The calls with a known reply that took effect.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Known {
    /// All before this one.
    prefix: usize,
    /// Those from `prefix` on, 64 to a word.
    rest: Vec<u64>,
    count: usize,
}

impl Known {
    fn has(&self, number: usize) -> bool {
        let Some(at) = number.checked_sub(self.prefix) else {
            return true;
        };
        let word = self.rest.get(at / 64);
        word.is_some_and(|word| word >> (at % 64) & 1 == 1)
    }

    fn with(&self, number: usize) -> Self {
        let mut done = self.clone();
        let at = number - done.prefix;
        if done.rest.len() <= at / 64 {
            done.rest.resize(at / 64 + 1, 0);
        }
        done.rest[at / 64] |= 1 << (at % 64);
        done.count += 1;
        // Full words go into the prefix, so that equal sets are equal values.
        let full = done
            .rest
            .iter()
            .take_while(|word| **word == u64::MAX)
            .count();
        done.rest.drain(..full);
        done.prefix += 64 * full;
        done
    }
}
