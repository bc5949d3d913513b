//! One deployment from its start to its verdict.

mod crew;
mod faults;
mod judge;
mod pace;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use idem_testbed::TestbedError;
use indicatif::ProgressBar;

pub(crate) use judge::recheck;

use crate::{
    check::Verdict,
    deployment::{self, Plan},
    disk::SmallDisk,
    worker::{Order, give_order},
};
use crew::Crew;
use faults::Faults;
use pace::Pace;

/// How many keys are hit at a time: four of each class.
const KEYS: u16 = 16;

/// What to do.
#[derive(Debug, Clone)]
pub(crate) struct Campaign {
    pub(crate) plan: &'static dyn Plan,
    pub(crate) time: Duration,
    pub(crate) seed: u64,
    /// The faults at servers to choose from; all, where none is named.
    pub(crate) only: Vec<String>,
    /// Where the histories go; it is not there yet.
    pub(crate) folder: PathBuf,
    pub(crate) disk: Option<SmallDisk>,
}

/// What became of it.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) verdict: Verdict,
    /// Faults that struck, by kind.
    pub(crate) faults: BTreeMap<String, u64>,
    pub(crate) took: Duration,
}

/// Why there is no outcome.
#[derive(Debug)]
pub(crate) enum Obstacle {
    /// The server's program is not here.
    Missing(String),
    /// Something else went wrong, and that is a finding too.
    Broken(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Obstacle {
    fn from(error: E) -> Self {
        Self::Broken(error.into())
    }
}

impl Campaign {
    /// Starts servers and workers, strikes for as long as there is time, heals, settles every key
    /// and checks all that was written down.
    pub(crate) async fn run(&self, bar: &ProgressBar) -> Result<Outcome, Obstacle> {
        let began = Instant::now();
        bar.set_message(format!("{}: starting", self.plan.name()));
        let mut deployment = match self.plan.start(self.disk.as_ref()).await {
            Ok(deployment) => deployment,
            Err(missing @ TestbedError::Missing { .. }) => {
                return Err(Obstacle::Missing(missing.to_string()));
            }
            Err(error) => return Err(error.into()),
        };
        self.prepare()?;
        let crew = Crew::start(self, deployment.as_ref()).await?;
        let mut faults = Faults::new(self, deployment.as_ref());
        let mut pace = Pace::new(self, bar);
        faults.strike(deployment.as_mut(), &crew, &mut pace).await?;

        bar.set_message(format!("{}: settling", self.plan.name()));
        give_order(&self.folder, Order::Stop)?;
        crew.finish().await?;
        if !self.plan.is_in_worker() {
            crew.settle(deployment.healed_url(), pace.eras()).await?;
        }
        let mut struck = faults.counted();
        for (kind, count) in deployment::hits(&deployment.proxies()) {
            *struck.entry(kind).or_default() += count;
        }
        for (kind, count) in crew.struck().await? {
            *struck.entry(kind).or_default() += count;
        }
        struck.retain(|_, count| *count > 0);
        let rules = faults.rules(deployment.promise(), pace.clock_drift());
        drop(deployment);

        bar.set_message(format!("{}: checking", self.plan.name()));
        judge::save(&self.folder, &rules)?;
        faults.save(&self.folder)?;
        let folder = self.folder.clone();
        let judged = tokio::task::spawn_blocking(move || judge::judge(&folder, &rules)).await;
        Ok(Outcome {
            verdict: judged.context("the checks panicked")??,
            faults: struck,
            took: began.elapsed(),
        })
    }

    fn prepare(&self) -> Result<()> {
        std::fs::create_dir_all(&self.folder)
            .with_context(|| format!("cannot make {}", self.folder.display()))?;
        crate::worker::Ledger::of_run(&self.folder).create()?;
        give_order(&self.folder, Order::Era(0))
    }
}
