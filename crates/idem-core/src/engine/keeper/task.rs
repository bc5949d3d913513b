//! The keeper's task.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{Arc, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use futures_util::{Stream, stream::FuturesUnordered};
use tokio::time::{Instant, sleep_until};

use super::{
    Keeper, Schedule,
    job::{Class, Round},
};

type Call = Pin<Box<dyn Future<Output = (u64, Class, Round)> + Send>>;

/// The calls under way, and the task that they belong to.
#[derive(Default)]
pub(super) struct Rounds {
    task: u64,
    calls: FuturesUnordered<Call>,
}

/// How long the task stays without a job.
const LINGER: Duration = Duration::from_secs(10);

/// The task while it lives. Dropped before its end, which is what happens when its runtime is shut
/// down, it says which endings are lost.
pub(super) struct Keeping {
    keeper: Arc<Keeper>,
    task: u64,
}

impl Keeping {
    pub(super) fn new(keeper: Arc<Keeper>, task: u64) -> Self {
        Self { keeper, task }
    }

    pub(super) async fn run(self) {
        let keeper = &*self.keeper;
        let mut idle_since = None;
        loop {
            let mut begun = Vec::new();
            let until = {
                let mut schedule = keeper.lock();
                if schedule.task != self.task {
                    return;
                }
                schedule.asked_since = None;
                let now = Instant::now();
                while let Some((id, class)) = schedule.take_due(now) {
                    if let Some(job) = schedule.jobs.get(&id) {
                        let round = job.round();
                        begun.push(Box::pin(async move { (id, class, round.await) }) as Call);
                        schedule.under_way[class as usize] += 1;
                    }
                }
                let until = match schedule.next_due(now) {
                    Some(due) => {
                        idle_since = None;
                        due
                    }
                    None => *idle_since.get_or_insert(now) + LINGER,
                };
                if idle_since.is_some() && until <= now {
                    schedule.dismiss();
                    return;
                }
                schedule.sleeps_until = Some(until);
                until
            };
            keeper.begin(self.task, begun);
            let mut changed = pin!(keeper.changed.notified());
            let mut sleep = pin!(sleep_until(until));
            let done = poll_fn(|cx| {
                if let Some(done) = keeper.next_round(self.task, cx) {
                    return Poll::Ready(Some(done));
                }
                let due = sleep.as_mut().poll(cx).is_ready();
                match changed.as_mut().poll(cx).is_ready() || due {
                    true => Poll::Ready(None),
                    false => Poll::Pending,
                }
            });
            if let Some((id, class, round)) = done.await {
                keeper.took(self.task, id, class, &round);
            }
        }
    }
}

impl Keeper {
    fn begin(&self, task: u64, calls: Vec<Call>) {
        let mut rounds = self.rounds();
        if rounds.task == task {
            rounds.calls.extend(calls);
        }
    }

    /// Polls the calls under way; those of a later task are not touched.
    fn next_round(&self, task: u64, cx: &mut Context<'_>) -> Option<(u64, Class, Round)> {
        let mut rounds = self.rounds();
        if rounds.task != task {
            return None;
        }
        match Pin::new(&mut rounds.calls).poll_next(cx) {
            Poll::Ready(done) => done,
            Poll::Pending => None,
        }
    }

    /// Gives the place to the calls of this task, and takes those of earlier ones.
    pub(super) fn replace_rounds(&self, task: u64) -> Rounds {
        let mut rounds = self.rounds();
        if rounds.task >= task {
            return Rounds::default();
        }
        let calls = FuturesUnordered::new();
        std::mem::replace(&mut *rounds, Rounds { task, calls })
    }

    fn rounds(&self) -> std::sync::MutexGuard<'_, Rounds> {
        self.rounds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of what came of a round.
    fn took(&self, task: u64, id: u64, class: Class, round: &Round) {
        let endings = self.endings();
        let mut schedule = self.lock();
        if schedule.task != task {
            return;
        }
        schedule.under_way[class as usize] -= 1;
        // Its work may have ended meanwhile.
        let Some(job) = schedule.jobs.get_mut(&id) else {
            return;
        };
        match job.next(round, endings) {
            Some(due) => schedule.reschedule(id, due),
            None => {
                drop(schedule);
                drop(self.remove(id));
            }
        }
    }
}

impl Schedule {
    /// The next job that is due and may be begun.
    fn take_due(&mut self, now: Instant) -> Option<(u64, Class)> {
        for class in Class::ALL {
            let queue = &mut self.due[class as usize];
            let next = queue.first().copied().filter(|(due, _)| *due <= now);
            let Some(next) = next.filter(|_| self.under_way[class as usize] < class.limit()) else {
                continue;
            };
            queue.remove(&next);
            if let Some(job) = self.jobs.get_mut(&next.1) {
                job.due = None;
            }
            return Some((next.1, class));
        }
        None
    }

    /// When to look again: jobs that are due wait for a call to end. `None` without any job.
    fn next_due(&self, now: Instant) -> Option<Instant> {
        const FAR: Duration = Duration::from_secs(3600);
        let dues = self.due.iter().filter_map(|queue| queue.first());
        let next = dues.map(|(due, _)| *due).filter(|due| *due > now).min();
        let is_idle = self.jobs.is_empty() && self.under_way == [0; Class::ALL.len()];
        next.or((!is_idle).then(|| now + FAR))
    }
}

impl Drop for Keeping {
    fn drop(&mut self) {
        let mut schedule = self.keeper.lock();
        if schedule.task != self.task {
            return;
        }
        // Work on another runtime starts the task anew, for its renewals.
        schedule.dismiss();
        let task = schedule.task;
        let jobs = schedule.jobs.iter();
        let lost: Vec<_> = jobs
            .filter(|(_, job)| job.class != Class::Renewal)
            .map(|(id, _)| *id)
            .collect();
        drop(schedule);
        drop(self.keeper.replace_rounds(task));
        for id in lost {
            if let Some(job) = self.keeper.remove(id) {
                job.give_up("its runtime is gone");
            }
        }
    }
}
