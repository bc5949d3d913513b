//! Which calls of a history took effect, for the search.

use std::time::Duration;

/// The calls that took effect.
#[derive(Debug, Clone, Default)]
pub(super) struct Done {
    pub(super) known: Known,
    /// Those whose reply is unknown.
    pub(super) unknown: Unknown,
}

/// A set of unknown calls, by their numbers, 64 to a word. Searches compare many of them.
#[derive(Debug, Clone, Default)]
pub(super) struct Unknown(Vec<u64>);

impl Unknown {
    pub(super) fn contains(&self, number: usize) -> bool {
        let word = self.0.get(number / 64);
        word.is_some_and(|word| word >> (number % 64) & 1 == 1)
    }

    pub(super) fn insert(&mut self, number: usize) {
        if self.0.len() <= number / 64 {
            self.0.resize(number / 64 + 1, 0);
        }
        self.0[number / 64] |= 1 << (number % 64);
    }

    fn is_subset(&self, other: &Self) -> bool {
        let others = other.0.iter().chain(std::iter::repeat(&0));
        self.0
            .iter()
            .zip(others)
            .all(|(own, other)| own & !other == 0)
    }
}

/// Sets of unknown calls that took effect, of which none contains another: whoever got to the same
/// place with fewer of them can do all that the others can.
#[derive(Default)]
pub(super) struct Minimal(Vec<Unknown>);

impl Minimal {
    /// Whether the set is worth going on with.
    pub(super) fn insert(&mut self, unknown: &Unknown) -> bool {
        if self.0.iter().any(|smaller| smaller.is_subset(unknown)) {
            return false;
        }
        self.0.retain(|larger| !unknown.is_subset(larger));
        self.0.push(unknown.clone());
        true
    }

    /// What comparing with all of them costs, in steps of a search: a comparison is a few
    /// instructions, and a step some hundred.
    pub(super) fn cost(&self) -> usize {
        self.0.len() / 32
    }
}

/// The calls with a known reply that took effect.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Known {
    /// All before this one.
    pub(super) prefix: usize,
    /// Those from `prefix` on, 64 to a word.
    rest: Vec<u64>,
    pub(super) count: usize,
    /// The latest invocation of them: it is no earlier than this.
    pub(super) latest: Duration,
}

impl Known {
    pub(super) fn has(&self, number: usize) -> bool {
        let Some(at) = number.checked_sub(self.prefix) else {
            return true;
        };
        let word = self.rest.get(at / 64);
        word.is_some_and(|word| word >> (at % 64) & 1 == 1)
    }

    pub(super) fn with(&self, number: usize, invoked: Duration) -> Self {
        let mut done = self.clone();
        done.latest = done.latest.max(invoked);
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
