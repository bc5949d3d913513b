//! The keeper: one task per engine that renews the keys of lasting work and goes on with endings
//! that the store has not taken, off the callers' path.
//!
//! It starts with the first job, on the engine's [`Spawner`](super::Spawner), and ends when it had
//! none for a while. Where its runtime is gone, or nobody drives it, lasting work on another one
//! starts it anew there. There are three kinds of jobs: endings, renewals, and releases of claims that
//! nobody runs under. A bounded number of each kind is under way at a time, and no call waits for
//! another one.

mod job;
mod task;

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use super::{Idempotency, Shared, background::Counted};
use crate::{RecordKey, execution::Held, machine::Holding, observe};
use job::{Class, FIRST_PAUSE, Job};
use task::Rounds;

/// No claim is begun while so many endings wait for the store: each claim has room for its ending.
pub(super) const MAX_PENDING: usize = 10_000;

/// Claims that nobody runs under and that wait to be given back. Past it they lapse with their
/// lease.
const MAX_RELEASES: usize = 1_000;

#[derive(Default)]
pub(crate) struct Keeper {
    schedule: Mutex<Schedule>,
    /// Calls under way; here, so that a task that stands still can be relieved of them.
    rounds: Mutex<Rounds>,
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
    /// Which task it is; earlier ones stop when they find another number.
    task: u64,
    /// By class, how many jobs are under way.
    under_way: [usize; 3],
    /// Since when the task owes a sign of life.
    asked_since: Option<Instant>,
}

impl Keeper {
    /// How many endings wait for the store.
    pub(super) fn endings(&self) -> usize {
        self.endings.load(Ordering::Acquire)
    }

    /// The ending or release that waits for the store and holds this key.
    pub(super) fn pending(&self, key: &RecordKey) -> Option<Arc<Held>> {
        if self.waiting.load(Ordering::Acquire) == 0 {
            return None;
        }
        let schedule = self.lock();
        let job = schedule.jobs.get(schedule.by_key.get(key)?)?;
        Some(Arc::clone(&job.held))
    }

    /// Has the ending or release of this key tried soon.
    pub(super) fn hurry(&self, key: &RecordKey) {
        let mut schedule = self.lock();
        let Some(id) = schedule.by_key.get(key).copied() else {
            return;
        };
        let tried = schedule.jobs.get(&id).and_then(|job| job.tried);
        // One attempt for all who wait, and not more often than at first.
        let soon = tried.map_or_else(Instant::now, |tried| tried + FIRST_PAUSE);
        schedule.advance(id, soon.max(Instant::now()));
        self.wake(&mut schedule, soon);
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
        match job.class {
            Class::Renewal => {}
            Class::Ending => {
                self.by_key.insert(job.held.key.clone(), id);
            }
            // An ending says how the key ended: claims wait for it, and not for a claim that is given back.
            Class::Release => {
                self.by_key.entry(job.held.key.clone()).or_insert(id);
            }
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

    /// Whether the task has not answered for so long. Asks it for a sign of life.
    fn stands_still(&mut self, patience: Duration) -> bool {
        let now = Instant::now();
        let since = *self.asked_since.get_or_insert(now);
        self.running && now.duration_since(since) >= patience
    }

    /// Lets another task take the place of the present one. What is under way is begun anew.
    fn dismiss(&mut self) {
        self.running = false;
        self.sleeps_until = None;
        self.task += 1;
        self.under_way = Default::default();
        self.asked_since = None;
        let now = Instant::now();
        for (id, job) in self.jobs.iter_mut().filter(|(_, job)| job.due.is_none()) {
            job.due = Some(now);
            self.due[job.class as usize].insert((now, *id));
        }
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

    /// Starts the task anew if its runtime is gone, or if it has not answered for so long: then
    /// nobody drives its runtime.
    pub(super) fn revive_keeper(self: &Arc<Self>, patience: Duration) {
        let mut schedule = self.keeper.lock();
        if schedule.stands_still(patience) {
            schedule.dismiss();
        }
        self.keeper.changed.notify_one();
        if !schedule.jobs.is_empty() {
            self.start_keeper(schedule);
        }
    }

    fn start_keeper(self: &Arc<Self>, mut schedule: MutexGuard<'_, Schedule>) {
        let is_running = std::mem::replace(&mut schedule.running, true);
        let task = schedule.task;
        drop(schedule);
        if !is_running {
            // Dropped calls give back the turns that they hold.
            drop(self.keeper.replace_rounds(task));
            let keeping = task::Keeping::new(Arc::clone(&self.keeper), task);
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
