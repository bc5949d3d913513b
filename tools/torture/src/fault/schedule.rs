//! Which fault comes when: drawn from a seed, every kind once before any comes again.

use std::time::Duration;

use rand::{RngExt, SeedableRng, rngs::StdRng, seq::SliceRandom};

use super::Kind;

/// Between two faults.
const BREATH: std::ops::Range<u64> = 150..900;

/// One fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Strike {
    pub(crate) kind: Kind,
    /// How long to leave everybody in peace before.
    pub(crate) after: Duration,
    /// How long it lasts.
    pub(crate) lasts: Duration,
    /// How many requests are hit, where requests are.
    pub(crate) requests: u64,
    /// How long each of them is delayed, where they are.
    pub(crate) delay: Duration,
    /// Which one, where there are several to choose from: to be taken modulo their number.
    pub(crate) which: usize,
}

/// Faults without end.
#[derive(Debug)]
pub(crate) struct Schedule {
    rng: StdRng,
    kinds: Vec<Kind>,
    bag: Vec<Kind>,
}

impl Schedule {
    /// The faults of these kinds that follow from a seed.
    pub(crate) fn new(seed: u64, kinds: Vec<Kind>) -> Self {
        Self {
            rng: StdRng::seed_from_u64(seed),
            kinds,
            bag: Vec::new(),
        }
    }
}

impl Iterator for Schedule {
    type Item = Strike;

    fn next(&mut self) -> Option<Strike> {
        if self.bag.is_empty() {
            self.bag.clone_from(&self.kinds);
            self.bag.shuffle(&mut self.rng);
        }
        let kind = self.bag.pop()?;
        let rng = &mut self.rng;
        let mut millis = |range| Duration::from_millis(rng.random_range(range));
        Some(Strike {
            kind,
            after: millis(BREATH),
            lasts: millis(kind.lasts()),
            delay: millis(5..450),
            requests: self.rng.random_range(1..40),
            which: self.rng.random_range(0..1_000_000),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strikes(seed: u64) -> Vec<Strike> {
        Schedule::new(seed, Kind::NETWORK.to_vec())
            .take(24)
            .collect()
    }

    #[test]
    fn a_seed_gives_one_schedule() {
        assert_eq!(strikes(1), strikes(1));
        assert_ne!(strikes(1), strikes(2));
    }

    #[test]
    fn every_kind_comes_once_before_any_comes_again() {
        for round in strikes(3).chunks(Kind::NETWORK.len()) {
            let mut kinds: Vec<_> = round.iter().map(|strike| strike.kind).collect();
            kinds.sort();
            let mut all = Kind::NETWORK.to_vec();
            all.sort();
            assert_eq!(kinds, all);
        }
    }

    #[test]
    fn without_kinds_there_are_no_faults() {
        assert_eq!(Schedule::new(1, Vec::new()).next(), None);
    }

    #[test]
    fn a_pause_of_a_worker_outlasts_its_lease() {
        let mut schedule = Schedule::new(5, vec![Kind::WorkerPaused]);
        let pauses = schedule.by_ref().take(100);
        assert!(
            pauses
                .map(|strike| strike.lasts)
                .all(|time| time > crate::key::LEASE)
        );
    }
}
