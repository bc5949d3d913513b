//! The search for an order that explains a history.

use std::{collections::HashMap, fmt, hash::Hash, time::Duration};

use super::{
    Call,
    done::{Done, Known, Minimal, Unknown},
};

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

    /// The states in which the key may be after this call took effect, at `by` at the latest: none
    /// where its reply is impossible in `state`.
    ///
    /// For a call whose reply is unknown: the states that it can have led to, other than `state`
    /// itself.
    fn step(
        &self,
        state: &Self::State,
        call: &Call<Self::Call, Self::Reply>,
        by: Duration,
    ) -> Vec<Self::State>;
}

/// How long to search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Configurations (a set of calls that took effect, and a state) to try at most. Many of them
    /// at one place count for more, because each is compared with the others.
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
        limit: limit.configurations,
        best: Known::default(),
    };
    search.run()
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
    limit: usize,
    best: Known,
}

impl<M: Model> Search<'_, M> {
    fn run(mut self) -> Result<(), Violation> {
        let mut open = vec![Open::at(Done::default(), self.model.start())];
        while let Some(Open {
            done,
            state,
            mut chains,
        }) = open.pop()
        {
            if done.known.count == self.known.len() {
                return Ok(());
            }
            if self.is_over() {
                return Err(Violation::TooLarge);
            }
            if done.known.count > self.best.count {
                self.best = done.known.clone();
            }
            let ready = self.ready(&done.known);
            if let Some(number) = self.observer(&ready, &state, done.known.latest) {
                let known = done.known.with(number, self.known[number].invoked);
                let unknown = done.unknown;
                open.push(Open::at(Done { known, unknown }, state));
                continue;
            }
            let ways = self.place(&ready, &done.known, &chains.longest);
            // What is pushed last is tried first: longer chains only where shorter ones fail.
            if self.lengthen(&mut chains, &done.known, &ready) {
                open.push(Open {
                    done,
                    state,
                    chains,
                });
            }
            for (done, state) in ways {
                let visited = (done.known.clone(), state.clone());
                let minimal = self.visited.entry(visited).or_default();
                self.steps += minimal.cost();
                if minimal.insert(&done.unknown) {
                    open.push(Open::at(done, state));
                }
            }
        }
        if self.is_over() {
            // What the limit cut off may have led to an explanation.
            return Err(Violation::TooLarge);
        }
        Err(Violation::Inexplicable(self.stuck()))
    }

    fn is_over(&self) -> bool {
        self.steps >= self.limit
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
    /// explanation there is, so no other way needs to be tried; unless it is so late that an
    /// unknown call would be void after it.
    fn observer(&mut self, ready: &Ready, state: &M::State, now: Duration) -> Option<usize> {
        self.steps += ready.calls.len();
        let changes_nothing = |number: &usize| {
            let call = self.known[*number];
            let after = self.model.step(state, call, ready.until);
            after.contains(state) && !self.voids(now, call.invoked)
        };
        ready.calls.iter().copied().find(changes_nothing)
    }

    /// Whether an unknown call could take effect now, and not any more then.
    fn voids(&self, now: Duration, then: Duration) -> bool {
        let ends = self.unknown.iter().filter_map(|call| call.void_after);
        ends.into_iter().any(|end| end >= now && end < then)
    }

    /// All ways to place a known call next, after each of the chains; the best to try comes last:
    /// the earliest call, after the shortest chain.
    fn place(
        &mut self,
        ready: &Ready,
        known: &Known,
        chains: &[(Unknown, M::State)],
    ) -> Vec<(Done, M::State)> {
        let mut ways = Vec::new();
        for number in ready.calls.iter().rev() {
            let call = self.known[*number];
            let known = known.with(*number, call.invoked);
            for (unknown, before) in chains.iter().rev() {
                self.steps += 1;
                for after in self.model.step(before, call, ready.until) {
                    let (known, unknown) = (known.clone(), unknown.clone());
                    ways.push((Done { known, unknown }, after));
                }
            }
        }
        ways
    }

    /// Goes on by one unknown call; says whether there is one.
    fn lengthen(&mut self, chains: &mut Chains<M::State>, known: &Known, ready: &Ready) -> bool {
        let mut longest = Vec::new();
        for (unknown, state) in &chains.longest {
            for (number, call) in self.unknown.iter().enumerate() {
                if call.invoked > ready.until {
                    break;
                }
                let by = ready.until.min(call.void_after.unwrap_or(Duration::MAX));
                if by < known.latest || unknown.contains(number) {
                    continue;
                }
                if self.is_over() {
                    return false;
                }
                self.steps += 1;
                for after in self.model.step(state, call, by) {
                    let mut longer = unknown.clone();
                    longer.insert(number);
                    let minimal = chains.seen.entry(after.clone()).or_default();
                    self.steps += minimal.cost();
                    if minimal.insert(&longer) {
                        longest.push((longer, after));
                    }
                }
            }
        }
        chains.longest = longest;
        !chains.longest.is_empty()
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

/// Where the search stands, and what it tries there next.
struct Open<S> {
    done: Done,
    state: S,
    chains: Chains<S>,
}

/// Chains of unknown calls before the next known one: the states that they can lead to, each by the
/// fewest calls.
struct Chains<S> {
    longest: Vec<(Unknown, S)>,
    seen: HashMap<S, Minimal>,
}

impl<S: Clone + Eq + Hash> Open<S> {
    /// With no chain yet.
    fn at(done: Done, state: S) -> Self {
        let mut seen: HashMap<S, Minimal> = HashMap::new();
        seen.entry(state.clone()).or_default().insert(&done.unknown);
        let longest = vec![(done.unknown.clone(), state.clone())];
        Self {
            done,
            state,
            chains: Chains { longest, seen },
        }
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
        ..
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
