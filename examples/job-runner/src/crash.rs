//! Workers that die where it hurts.

use std::{
    collections::HashMap,
    future::pending,
    sync::{Mutex, MutexGuard},
};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::sync::Notify;

use crate::job::{Job, Kind};

/// No job kills more workers than this, so that the night has an end.
const MOST_PER_JOB: u32 = 3;

/// Decides who dies, and where.
pub(crate) struct Fate {
    state: Mutex<State>,
    chance: f64,
    /// Whether to tell of every death.
    tell: bool,
}

struct State {
    dice: StdRng,
    deaths: HashMap<Job, u32>,
}

impl Fate {
    pub(crate) fn new(seed: u64, chance: f64, tell: bool) -> Self {
        Self {
            state: Mutex::new(State {
                dice: StdRng::seed_from_u64(seed),
                deaths: HashMap::new(),
            }),
            chance,
            tell,
        }
    }

    fn strikes(&self, job: Job) -> bool {
        let mut state = self.state();
        let survived = !state.dice.random_bool(self.chance);
        let deaths = state.deaths.entry(job).or_default();
        if survived || *deaths == MOST_PER_JOB {
            return false;
        }
        *deaths += 1;
        true
    }

    /// How many workers died over jobs of this kind.
    pub(crate) fn deaths(&self, kind: Kind) -> u32 {
        let state = self.state();
        let of_kind = state.deaths.iter().filter(|(job, _)| job.kind == kind);
        of_kind.map(|(_, deaths)| deaths).sum()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("nothing that runs under this lock panics")
    }
}

/// One worker's life while it works on one job.
pub(crate) struct Life<'a> {
    fate: &'a Fate,
    job: Job,
    over: Notify,
}

impl<'a> Life<'a> {
    pub(crate) fn new(fate: &'a Fate, job: Job) -> Self {
        Self {
            fate,
            job,
            over: Notify::new(),
        }
    }

    /// A place where the worker may die: then this never returns.
    pub(crate) async fn may_end(&self, place: &str) {
        if self.fate.strikes(self.job) {
            if self.fate.tell {
                println!("  a worker died over {} {place}", self.job);
            }
            self.over.notify_one();
            pending::<()>().await;
        }
    }

    /// Resolves when the worker is dead: whoever held its future drops it where it stands.
    pub(crate) async fn over(&self) {
        self.over.notified().await;
    }
}
