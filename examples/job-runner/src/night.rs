//! A night of work: jobs, deliveries, workers, and a morning after.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Result, bail};
use idem::{
    Context, Resolution,
    consumer::{Deferral, Reason, Verdict},
    error::ResolveError,
    machine::NotResolvable,
};

use crate::{
    crash::{Fate, Life},
    job::{Job, Kind, Receipt},
    policy::Consumers,
    queue::Queue,
    work::{printed, work},
    world::World,
};

/// How long the queue takes to notice that a worker is dead.
const NOTICED_AFTER: Duration = Duration::from_millis(20);

pub(crate) struct Night {
    pub(crate) consumers: Consumers,
    pub(crate) world: World,
    pub(crate) fate: Fate,
    pub(crate) queue: Queue,
    pub(crate) notes: Notes,
}

/// What one delivery of a job was answered.
pub(crate) struct Answer {
    pub(crate) value: Receipt,
    pub(crate) replayed: bool,
}

/// What was seen of every job.
#[derive(Default)]
pub(crate) struct Notes {
    answers: Mutex<BTreeMap<Job, Vec<Answer>>>,
    /// Letters whose worker vanished.
    halted: Mutex<Vec<Job>>,
    /// Deliveries that found another attempt at work, or a dead worker's lease still running.
    pub(crate) too_early: AtomicUsize,
    /// Halted letters that were found in the tray, and those that were not.
    pub(crate) in_the_tray: AtomicUsize,
    pub(crate) not_in_the_tray: AtomicUsize,
}

impl Notes {
    pub(crate) fn answers(&self) -> MutexGuard<'_, BTreeMap<Job, Vec<Answer>>> {
        self.answers.lock().expect("no panic under this lock")
    }

    fn halted(&self) -> MutexGuard<'_, Vec<Job>> {
        self.halted.lock().expect("no panic under this lock")
    }
}

impl Night {
    /// Works until every delivery is done with.
    pub(crate) async fn work(&self, workers: usize) -> Result<()> {
        let workers = (0..workers).map(|_| self.worker());
        for result in futures_util::future::join_all(workers).await {
            result?;
        }
        Ok(())
    }

    /// A worker that is started again whenever it dies.
    async fn worker(&self) -> Result<()> {
        while let Some(job) = self.queue.next().await {
            let life = Life::new(&self.fate, job);
            tokio::select! {
                verdict = self.handle(job, &life) => self.settle(job, verdict?)?,
                // Everything the worker held is dropped where it stood: as if its process were
                // gone. The record says that somebody is at work, until the lease runs out.
                () = life.over() => self.queue.again(job, NOTICED_AFTER),
            }
        }
        Ok(())
    }

    /// All that a job runner has to do: hand over the message and the work.
    async fn handle(&self, job: Job, life: &Life<'_>) -> Result<Verdict> {
        let message = job.message()?;
        let run = async |running: Context| work(job, &self.world, life, &running).await;
        Ok(self.consumers.of(job.kind).handle(&message, run).await)
    }

    /// And do as it is told.
    fn settle(&self, job: Job, verdict: Verdict) -> Result<()> {
        match verdict {
            Verdict::Ack(done) => {
                let answer = Answer {
                    value: serde_json::from_slice(&done.answer)?,
                    replayed: done.replayed,
                };
                self.notes.answers().entry(job).or_default().push(answer);
                self.queue.done();
            }
            Verdict::Defer { delay, cause } => {
                if matches!(cause, Deferral::InFlight) {
                    self.notes.too_early.fetch_add(1, Ordering::Relaxed);
                }
                self.queue.again(job, delay);
            }
            Verdict::DeadLetter(Reason::Abandoned { .. }) => {
                let mut halted = self.notes.halted();
                if !halted.contains(&job) {
                    halted.push(job);
                }
                self.queue.done();
            }
            Verdict::DeadLetter(reason) => bail!("{job}: {reason}"),
            Verdict::Halt(error) => bail!("{job}: {error}"),
        }
        Ok(())
    }

    /// A person looks after every letter whose worker vanished, and has it delivered again.
    ///
    /// True if there was one.
    pub(crate) async fn morning(&self) -> Result<bool> {
        let halted = std::mem::take(&mut *self.notes.halted());
        for job in &halted {
            self.look_after(*job).await?;
            self.queue.push(*job);
        }
        Ok(!halted.is_empty())
    }

    async fn look_after(&self, letter: Job) -> Result<()> {
        let found = self.world.printer.is_in_the_tray(letter.number);
        let (resolution, count) = if found {
            (Resolution::completed(&printed())?, &self.notes.in_the_tray)
        } else {
            (Resolution::retry(), &self.notes.not_in_the_tray)
        };
        let consumer = self.consumers.of(Kind::Letter);
        let key = consumer.key_of(&letter.message()?)?;
        match consumer.engine().resolve(&key, resolution).await {
            Ok(()) => {
                count.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
            // The worker was slow and not dead, and has said since how it ended.
            Err(ResolveError::NotResolvable(NotResolvable::Ended(_))) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
