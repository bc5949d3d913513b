//! The keeper: one task per engine that renews the keys of lasting work and goes on with endings
//! that the store has not taken, off the callers' path.
//!
//! It starts with the first job, on the engine's [`Spawner`](super::Spawner), and ends when it had
//! none for a while. A bounded number of store calls is under way at a time, and none waits for
//! another; where there are more, endings go before renewals, and renewals before the releases of
//! claims that nobody runs under.

mod job;
mod task;

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{sync::Notify, time::Instant};

use super::{Idempotency, Shared, background::Counted};
use crate::{RecordKey, execution::Held, machine::Holding, observe};
use job::{Class, FIRST_PAUSE, Job};

/// No claim is begun while so many endings wait for the store: each claim has room for its ending.
pub(super) const MAX_PENDING: usize = 10_000;

/// Claims that nobody runs under and that wait to be given back. Past it they lapse with their
/// lease.
const MAX_RELEASES: usize = 1_000;

#[derive(Default)]
pub(crate) struct Keeper {
    schedule: Mutex<Schedule>,
    /// Something is due sooner than the task thinks.
    changed: Notify,
    /// Endings that wait for the store.
    endings: AtomicUsize,
    /// Endings and releases. Claims read it alone while there are none.
    waiting: AtomicUsize,
}

/// What there is to do, and when.
#[derive(Default)]
struct Schedule {
    jobs: HashMap<u64, Job>,
    /// By class, the jobs that are not under way.
    due: [BTreeSet<(Instant, u64)>; 3],
    /// The ending, or the release, that a key waits for.
    by_key: HashMap<RecordKey, u64>,
    releases: usize,
    next_id: u64,
    /// Whether the task is there, and what it sleeps until.
    running: bool,
    sleeps_until: Option<Instant>,
}

impl Keeper {
    /// How many endings wait for the store.
    pub(super) fn endings(&self) -> usize {
        self.endings.load(Ordering::Acquire)
    }

    /// The ending or release that waits for the store and holds this key; it is tried soon.
    pub(super) fn hurry(&self, key: &RecordKey) -> Option<Arc<Held>> {
        if self.waiting.load(Ordering::Acquire) == 0 {
            return None;
        }
        let mut schedule = self.lock();
        let id = *schedule.by_key.get(key)?;
        let job = schedule.jobs.get(&id)?;
        let (held, tried) = (Arc::clone(&job.held), job.tried);
        // One attempt for all who wait, and not more often than at first.
        let soon = tried.map_or_else(Instant::now, |tried| tried + FIRST_PAUSE);
        schedule.advance(id, soon.max(Instant::now()));
        self.wake(&mut schedule, soon);
        Some(held)
    }

    fn wake(&self, schedule: &mut Schedule, due: Instant) {
        if schedule.sleeps_until.is_some_and(|until| due < until) {
            schedule.sleeps_until = Some(due);
            self.changed.notify_one();
        }
    }

    fn remove(&self, id: u64) -> Option<Job> {
        let mut schedule = self.lock();
        let job = schedule.remove(id)?;
        match job.class {
            Class::Renewal => return Some(job),
            Class::Ending => {
                self.endings.fetch_sub(1, Ordering::AcqRel);
                observe::ending_settled();
            }
            Class::Release => schedule.releases -= 1,
        }
        self.waiting.fetch_sub(1, Ordering::AcqRel);
        Some(job)
    }

    fn lock(&self) -> MutexGuard<'_, Schedule> {
        self.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Schedule {
    fn insert(&mut self, job: Job) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        if job.class != Class::Renewal {
            self.by_key.insert(job.held.key.clone(), id);
        }
        if let Some(due) = job.due {
            self.due[job.class as usize].insert((due, id));
        }
        self.jobs.insert(id, job);
        id
    }

    fn remove(&mut self, id: u64) -> Option<Job> {
        let job = self.jobs.remove(&id)?;
        if let Some(due) = job.due {
            self.due[job.class as usize].remove(&(due, id));
        }
        if self.by_key.get(&job.held.key) == Some(&id) {
            self.by_key.remove(&job.held.key);
        }
        Some(job)
    }

    /// Makes a job due at this time, unless it is under way or due sooner.
    fn advance(&mut self, id: u64, at: Instant) {
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        let Some(due) = job.due.filter(|due| *due > at) else {
            return;
        };
        job.due = Some(at);
        let queue = &mut self.due[job.class as usize];
        queue.remove(&(due, id));
        queue.insert((at, id));
    }

    /// Makes a job that was under way due at this time.
    fn reschedule(&mut self, id: u64, at: Instant) {
        if let Some(job) = self.jobs.get_mut(&id) {
            job.due = Some(at);
            self.due[job.class as usize].insert((at, id));
        }
    }
}

impl Shared {
    fn keep(self: &Arc<Self>, job: Job) -> u64 {
        let mut schedule = self.keeper.lock();
        let due = job.due;
        let id = schedule.insert(job);
        if let Some(due) = due {
            self.keeper.wake(&mut schedule, due);
        }
        self.start_keeper(schedule);
        id
    }

    /// Starts the task anew if its runtime is gone.
    pub(super) fn restart_keeper(self: &Arc<Self>) {
        let schedule = self.keeper.lock();
        if !schedule.jobs.is_empty() {
            self.start_keeper(schedule);
        }
    }

    fn start_keeper(self: &Arc<Self>, mut schedule: MutexGuard<'_, Schedule>) {
        let is_running = std::mem::replace(&mut schedule.running, true);
        drop(schedule);
        if !is_running {
            let keeping = task::Keeping::new(Arc::clone(&self.keeper));
            self.spawner.spawn(keeping.run());
        }
    }
}

impl Idempotency {
    /// Renews this key at a third of its lease, from now until the guard is dropped.
    pub(super) fn renew_from_now(&self, held: &Arc<Held>) -> Renewed {
        let shared = Arc::clone(self.shared());
        let id = shared.keep(Job::renewal(Arc::clone(held)));
        Renewed { shared, id }
    }

    /// Goes on with an ending off the caller's path until it lands, is superseded, or the retention
    /// is over.
    pub(crate) fn end_in_background(&self, held: &Arc<Held>) {
        let counted = Counted::new(Arc::clone(self.shared()));
        let job = Job::ending(Arc::clone(held), self.policy().retention, counted);
        let keeper = &self.shared().keeper;
        keeper.endings.fetch_add(1, Ordering::AcqRel);
        keeper.waiting.fetch_add(1, Ordering::AcqRel);
        observe::ending_pending();
        self.shared().keep(job);
    }

    /// Gives back a claim whose caller never learned of it. It lapses with its lease where too many
    /// wait already.
    pub(super) fn disown(&self, key: &RecordKey, holding: Holding) {
        let shared = self.shared();
        let mut schedule = shared.keeper.lock();
        if schedule.releases >= MAX_RELEASES {
            drop(schedule);
            return observe::release_lapsed(key);
        }
        schedule.releases += 1;
        drop(schedule);
        shared.keeper.waiting.fetch_add(1, Ordering::AcqRel);
        let held = Held::new(self.clone(), key.clone(), holding);
        let counted = Counted::new(Arc::clone(shared));
        shared.keep(Job::release(
            Arc::new(held),
            self.policy().retention,
            counted,
        ));
    }
}

/// A key that is renewed until this is dropped.
pub(super) struct Renewed {
    shared: Arc<Shared>,
    id: u64,
}

impl Drop for Renewed {
    fn drop(&mut self) {
        drop(self.shared.keeper.remove(self.id));
    }
}
