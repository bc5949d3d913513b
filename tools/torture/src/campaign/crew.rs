//! The workers of a campaign.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use idem_testbed::Program;
use tokio::sync::Mutex;

use super::{Campaign, KEYS};
use crate::{
    deployment::{Deployment, Plan, WORKERS},
    worker::{Assignment, Progress, Target, Task, read_progress},
};

/// Clients of each worker.
const CLIENTS: u16 = 12;
/// How long workers may take to end when they are told to.
const FAREWELL: Duration = Duration::from_secs(40);
/// How long every key of a run may take to be settled.
const SETTLING: Duration = Duration::from_secs(300);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Workers at work, each in its place. Who is killed is replaced.
pub(super) struct Crew {
    binary: PathBuf,
    folder: PathBuf,
    seed: u64,
    plan: &'static dyn Plan,
    urls: Vec<String>,
    workers: Mutex<Vec<Worker>>,
    started: AtomicU32,
}

struct Worker {
    program: Program,
    process: u32,
}

impl Crew {
    pub(super) async fn start(campaign: &Campaign, deployment: &dyn Deployment) -> Result<Self> {
        let workers = match campaign.plan.is_in_worker() {
            true => 1,
            false => WORKERS,
        };
        let crew = Self {
            binary: std::env::current_exe().context("cannot find this very program")?,
            folder: campaign.folder.clone(),
            seed: campaign.seed,
            plan: campaign.plan,
            urls: (0..workers).map(|place| deployment.url(place)).collect(),
            workers: Mutex::new(Vec::new()),
            started: AtomicU32::new(0),
        };
        for place in 0..crew.size() {
            let worker = crew.start_worker(place).await?;
            crew.workers.lock().await.push(worker);
        }
        Ok(crew)
    }

    pub(super) fn size(&self) -> usize {
        self.urls.len()
    }

    /// Kills a worker, and starts another in its place.
    pub(super) async fn replace(&self, place: usize) -> Result<()> {
        let mut workers = self.workers.lock().await;
        workers[place].program.kill();
        workers[place] = self.start_worker(place).await?;
        Ok(())
    }

    /// Stops a worker for a while.
    pub(super) async fn pause(&self, place: usize, time: Duration) {
        let program = self.workers.lock().await[place].program.clone();
        program.pause();
        tokio::time::sleep(time).await;
        program.resume();
    }

    /// Fails when a worker ended by itself.
    pub(super) async fn check(&self) -> Result<()> {
        for worker in self.workers.lock().await.iter() {
            if !worker.program.is_running() {
                bail!("a worker ended by itself:\n{}", worker.program.log());
            }
        }
        Ok(())
    }

    /// What every worker that ever was said last about its progress.
    pub(super) fn progress(&self) -> Vec<Progress> {
        let started = self.started.load(Ordering::Relaxed);
        (0..started)
            .filter_map(|process| read_progress(&self.folder, process))
            .collect()
    }

    /// Waits for the workers to end, who were told to.
    pub(super) async fn finish(&self) -> Result<()> {
        let workers = std::mem::take(&mut *self.workers.lock().await);
        for worker in workers {
            has_ended(&worker.program, FAREWELL)
                .await
                .with_context(|| format!("worker {} does not end", worker.process))?;
        }
        Ok(())
    }

    /// Brings every key to its end.
    pub(super) async fn settle(&self, url: String, eras: u32) -> Result<()> {
        let worker = self.start_process(url, Task::Settle { eras }).await?;
        has_ended(&worker.program, SETTLING)
            .await
            .context("the keys cannot be settled")
    }

    /// Faults that workers inflicted upon themselves.
    pub(super) async fn struck(&self) -> Result<BTreeMap<String, u64>> {
        let mut all = BTreeMap::<String, u64>::new();
        for process in 0..self.started.load(Ordering::Relaxed) {
            let path = self.assignment(process, self.urls[0].clone(), Task::Settle { eras: 0 });
            let Ok(text) = std::fs::read(path.struck()) else {
                // It was killed.
                continue;
            };
            let struck: BTreeMap<String, u64> = serde_json::from_slice(&text)?;
            for (kind, count) in struck {
                *all.entry(kind).or_default() += count;
            }
        }
        Ok(all)
    }

    async fn start_worker(&self, place: usize) -> Result<Worker> {
        let clients = CLIENTS * u16::try_from(WORKERS / self.size()).unwrap_or(1);
        let url = self.urls[place].clone();
        self.start_process(url, Task::Serve { clients }).await
    }

    async fn start_process(&self, url: String, task: Task) -> Result<Worker> {
        let process = self.started.fetch_add(1, Ordering::Relaxed);
        let assignment = self.assignment(process, url, task);
        let history = assignment.history();
        let args = ["worker".to_owned(), serde_json::to_string(&assignment)?];
        // What it prints may be lost on a disk that is full.
        let ready = move |_: &str| history.exists().then_some(());
        let (program, ()) = Program::start(&self.binary, args, ready).await?;
        Ok(Worker { program, process })
    }

    fn assignment(&self, process: u32, url: String, task: Task) -> Assignment {
        Assignment {
            process,
            seed: self.seed.wrapping_add(u64::from(process) << 40),
            folder: self.folder.clone(),
            target: Target {
                plan: self.plan.name().to_owned(),
                url,
            },
            keys: KEYS,
            task,
        }
    }
}

async fn has_ended(program: &Program, within: Duration) -> Result<()> {
    let ended = async {
        while program.is_running() {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    if tokio::time::timeout(within, ended).await.is_err() {
        bail!("it still runs after {within:?}:\n{}", program.log());
    }
    Ok(())
}
