//! Striking, at servers and workers at the same time, and keeping count.

use std::{collections::BTreeMap, fmt::Write as _, path::Path, time::Instant};

use anyhow::{Context as _, Result};
use tokio::time::sleep;

use super::{Campaign, crew::Crew, pace::Pace};
use crate::{
    check::{Promise, Rules, Window},
    clock::{self, MILLISECOND, Nanos},
    deployment::Deployment,
    fault::{Kind, Schedule, Strike},
    key::LEASE,
};

/// Roundings of ages and times to live to whole milliseconds, on both sides, and some more.
const SLACK: Nanos = 5 * MILLISECOND;

pub(super) struct Faults {
    at_servers: Schedule,
    at_workers: Schedule,
    /// Who was struck when, for people who look into it.
    struck: Struck,
    failovers: Vec<Window>,
    /// When holders kept their keys.
    spared: Vec<Window>,
    moved: Vec<Window>,
}

/// What struck, and between when and when.
type Struck = Vec<(Strike, Window)>;

impl Faults {
    pub(super) fn new(campaign: &Campaign, deployment: &dyn Deployment) -> Self {
        let seed = campaign.seed;
        let at_workers = match campaign.plan.is_in_worker() {
            // Its records would go with it.
            true => vec![Kind::WorkerPaused],
            false => Kind::WORKERS.to_vec(),
        };
        let mut at_servers = deployment.kinds();
        if !campaign.only.is_empty() {
            at_servers.retain(|kind| campaign.only.iter().any(|name| name == kind.name()));
        }
        Self {
            at_servers: Schedule::new(seed, at_servers),
            at_workers: Schedule::new(!seed, at_workers),
            struck: Struck::new(),
            failovers: Vec::new(),
            spared: Vec::new(),
            moved: Vec::new(),
        }
    }

    /// Strikes until there is no time left; whatever was struck is healed then.
    pub(super) async fn strike(
        &mut self,
        deployment: &mut dyn Deployment,
        crew: &Crew,
        pace: &mut Pace,
    ) -> Result<()> {
        let deadline = pace.deadline();
        let (mut of_servers, mut of_workers) = (Struck::new(), Struck::new());
        let lanes = async {
            tokio::try_join!(
                at_servers(&mut self.at_servers, deadline, deployment, &mut of_servers),
                at_workers(&mut self.at_workers, deadline, crew, &mut of_workers),
            )
        };
        tokio::select! {
            struck = lanes => drop(struck?),
            kept = pace.keep(crew) => kept?,
        }
        let windows = |is_meant: &dyn Fn(Kind) -> bool| {
            let struck = of_servers.iter();
            let struck = struck.filter(|(strike, _)| is_meant(strike.kind));
            struck.map(|(_, window)| *window).collect()
        };
        self.failovers = windows(&|kind| deployment.is_failover(kind));
        self.spared = windows(&Kind::spares_holders);
        self.moved = windows(&|kind| kind == Kind::SlotMoved);
        self.struck = of_servers;
        self.struck.append(&mut of_workers);
        Ok(())
    }

    /// Keeps what struck when beside the histories.
    pub(super) fn save(&self, folder: &Path) -> Result<()> {
        let mut lines = String::new();
        for (strike, window) in &self.struck {
            let _ = writeln!(lines, "{} {} {strike:?}", window.from, window.to);
        }
        std::fs::write(folder.join("faults"), lines).context("cannot keep the list of faults")
    }

    /// The faults that struck, but for those that proxies count.
    pub(super) fn counted(&self) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for (strike, _) in &self.struck {
            if !Kind::NETWORK.contains(&strike.kind) {
                *counts.entry(strike.kind.name().to_owned()).or_default() += 1;
            }
        }
        counts
    }

    /// By what the run is to be judged.
    pub(super) fn rules(&self, promise: Promise, clock_drift: Nanos) -> Rules {
        Rules {
            promise,
            failovers: self.failovers.clone(),
            spared: self.spared.clone(),
            moved: self.moved.clone(),
            slack: SLACK + clock_drift,
        }
    }
}

async fn at_servers(
    schedule: &mut Schedule,
    deadline: Instant,
    deployment: &mut dyn Deployment,
    struck: &mut Struck,
) -> Result<()> {
    while let Some(strike) = next(schedule, deadline).await {
        let from = clock::now();
        deployment
            .strike(&strike)
            .await
            .with_context(|| format!("striking with {strike:?}"))?;
        if strike.kind.spares_holders() {
            // Nothing else strikes while they come back.
            sleep(LEASE).await;
        }
        let to = clock::now();
        struck.push((strike, Window { from, to }));
    }
    Ok(())
}

async fn at_workers(
    schedule: &mut Schedule,
    deadline: Instant,
    crew: &Crew,
    struck: &mut Struck,
) -> Result<()> {
    while let Some(strike) = next(schedule, deadline).await {
        let place = strike.which % crew.size();
        let from = clock::now();
        match strike.kind {
            Kind::WorkerKilled => crew.replace(place).await?,
            Kind::WorkerPaused => crew.pause(place, strike.lasts).await,
            _ => continue,
        }
        let to = clock::now();
        struck.push((strike, Window { from, to }));
    }
    Ok(())
}

/// The next fault, when its time has come; none when there is no time left. Without faults at all
/// the time is sat out.
async fn next(schedule: &mut Schedule, deadline: Instant) -> Option<Strike> {
    let left = || deadline.saturating_duration_since(Instant::now());
    let Some(strike) = schedule.next() else {
        sleep(left()).await;
        return None;
    };
    sleep(strike.after.min(left())).await;
    (!left().is_zero()).then_some(strike)
}
