//! The keeper's task.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::{Stream, stream::FuturesUnordered};
use tokio::time::{Instant, sleep_until};

use super::{
    Keeper, Schedule,
    job::{Class, Round},
};

/// Store calls that may be under way at a time. One that hangs delays no other.
const MAX_CALLS: usize = 1_024;

/// Of those, releases: they may take their time.
const MAX_RELEASE_CALLS: usize = 16;

/// How long the task stays without a job.
const LINGER: Duration = Duration::from_secs(10);

/// The task while it lives. Dropped before its end, which is what happens when its runtime is shut
/// down, it says which endings are lost.
pub(super) struct Keeping {
    keeper: Arc<Keeper>,
    ended: bool,
}

impl Keeping {
    pub(super) fn new(keeper: Arc<Keeper>) -> Self {
        Self {
            keeper,
            ended: false,
        }
    }

    pub(super) async fn run(mut self) {
        let keeper = Arc::clone(&self.keeper);
        let mut rounds = pin!(FuturesUnordered::new());
        let mut releases = 0;
        let mut idle_since = None;
        loop {
            let until = {
                let mut schedule = keeper.lock();
                let now = Instant::now();
                while let Some((id, class)) = schedule.take_due(now, rounds.len(), releases) {
                    if let Some(job) = schedule.jobs.get(&id) {
                        releases += usize::from(class == Class::Release);
                        let round = job.round();
                        rounds.push(async move { (id, class, round.await) });
                    }
                }
                let until = match schedule.next_due(now, rounds.is_empty()) {
                    Some(due) => {
                        idle_since = None;
                        due
                    }
                    None => *idle_since.get_or_insert(now) + LINGER,
                };
                if idle_since.is_some() && until <= now {
                    schedule.running = false;
                    schedule.sleeps_until = None;
                    self.ended = true;
                    return;
                }
                schedule.sleeps_until = Some(until);
                until
            };
            let mut changed = pin!(keeper.changed.notified());
            let mut sleep = pin!(sleep_until(until));
            let done = poll_fn(|cx| {
                if let Some(done) = next_round(rounds.as_mut(), cx) {
                    return Poll::Ready(Some(done));
                }
                let due = sleep.as_mut().poll(cx).is_ready();
                match changed.as_mut().poll(cx).is_ready() || due {
                    true => Poll::Ready(None),
                    false => Poll::Pending,
                }
            });
            if let Some((id, class, round)) = done.await {
                releases -= usize::from(class == Class::Release);
                keeper.took(id, &round);
            }
        }
    }
}

fn next_round<S: Stream>(rounds: Pin<&mut S>, cx: &mut Context<'_>) -> Option<S::Item> {
    match rounds.poll_next(cx) {
        Poll::Ready(done) => done,
        Poll::Pending => None,
    }
}

impl Keeper {
    /// Takes note of what came of a round.
    fn took(&self, id: u64, round: &Round) {
        let endings = self.endings();
        let mut schedule = self.lock();
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
    /// The next job that is due and may be begun, endings first.
    fn take_due(&mut self, now: Instant, calls: usize, releases: usize) -> Option<(u64, Class)> {
        if calls >= MAX_CALLS {
            return None;
        }
        for class in [Class::Ending, Class::Renewal, Class::Release] {
            if class == Class::Release && releases >= MAX_RELEASE_CALLS {
                continue;
            }
            let queue = &mut self.due[class as usize];
            let Some(&(due, id)) = queue.first().filter(|(due, _)| *due <= now) else {
                continue;
            };
            queue.remove(&(due, id));
            if let Some(job) = self.jobs.get_mut(&id) {
                job.due = None;
            }
            return Some((id, class));
        }
        None
    }

    /// When to look again: jobs that are due wait for a call to end. `None` without any job.
    fn next_due(&self, now: Instant, no_calls: bool) -> Option<Instant> {
        const FAR: Duration = Duration::from_secs(3600);
        let dues = self.due.iter().filter_map(|queue| queue.first());
        let next = dues.map(|(due, _)| *due).filter(|due| *due > now).min();
        next.or((!no_calls || !self.jobs.is_empty()).then(|| now + FAR))
    }
}

impl Drop for Keeping {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let mut schedule = self.keeper.lock();
        schedule.running = false;
        schedule.sleeps_until = None;
        let now = Instant::now();
        let mut lost = Vec::new();
        let ids: Vec<_> = schedule
            .jobs
            .iter()
            .map(|(id, job)| (*id, job.class, job.due))
            .collect();
        for (id, class, due) in ids {
            match (class, due) {
                // Work on another runtime starts the task anew.
                (Class::Renewal, None) => schedule.reschedule(id, now),
                (Class::Renewal, Some(_)) => {}
                (Class::Ending | Class::Release, _) => lost.push(id),
            }
        }
        drop(schedule);
        for id in lost {
            if let Some(job) = self.keeper.remove(id) {
                job.give_up("its runtime is gone");
            }
        }
    }
}
