//! Running what was typed.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result};
use indicatif::{ProgressBar, ProgressStyle};

use crate::{
    campaign::{self, Campaign, Obstacle},
    cli::Run,
    disk::{self, SmallDisk},
    key::KeyId,
    report::{self, Report},
    worker,
};

/// Runs all campaigns; `false` when anything was wrong.
pub(crate) fn run(run: &Run) -> Result<bool> {
    let plans = run.plans();
    let mut disk = SmallDisk::given();
    if disk.is_none() && plans.iter().any(|plan| plan.fills_disk()) {
        // Comes back only if there is none to be had.
        let reason = disk::restart_with_one();
        eprintln!("disk full: skipped, because {reason:#}");
        disk = None;
    }
    let seed = run.seed.unwrap_or_else(rand::random);
    let folder = folder(run)?;
    let share = run.time() / u32::try_from(plans.len()).unwrap_or(1);
    eprintln!(
        "seed {seed}, {share:.0?} for each of {} stores",
        plans.len()
    );

    let bar = bar(run.time());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start a runtime")?;
    let mut report = Report::default();
    for plan in plans {
        let name = plan.name();
        let campaign = Campaign {
            plan,
            time: share,
            seed,
            only: run.fault.clone(),
            folder: folder.join(name.replace(' ', "-")),
            disk: disk.clone(),
        };
        match runtime.block_on(campaign.run(&bar)) {
            Ok(outcome) => report.ran(name.to_owned(), outcome),
            Err(Obstacle::Missing(reason)) if in_ci() => report.failed(name.to_owned(), reason),
            Err(Obstacle::Missing(reason)) => report.skipped(name.to_owned(), reason),
            Err(Obstacle::Broken(error)) => report.failed(name.to_owned(), format!("{error:#}")),
        }
    }
    bar.finish_and_clear();
    drop(runtime);
    disk::give_back();
    println!("{}", report.text());
    if report.is_clean() && !run.keep {
        std::fs::remove_dir_all(&folder).context("cannot remove the histories")?;
    } else {
        println!("{}", report::how_to_look(&folder, seed));
    }
    Ok(report.is_clean())
}

/// Checks a kept folder once more.
pub(crate) fn check(folder: &Path, key: Option<KeyId>) -> Result<bool> {
    let verdict = campaign::recheck(folder, key)?;
    for violation in &verdict.violations {
        println!("{violation}");
    }
    println!("{:#?}", verdict.tally);
    println!(
        "{} violations, {} lost acknowledgements",
        verdict.violations.len(),
        verdict.lost_acknowledgements
    );
    Ok(verdict.violations.is_empty())
}

/// Works as one of the workers.
pub(crate) fn worker(assignment: &str) -> Result<bool> {
    let assignment = serde_json::from_str(assignment).context("this is no assignment")?;
    worker::run(&assignment)?;
    Ok(true)
}

/// The folder that the histories go to.
fn folder(run: &Run) -> Result<PathBuf> {
    match &run.folder {
        Some(folder) => {
            std::fs::create_dir_all(folder)?;
            // Workers have other working directories.
            folder.canonicalize().context("cannot find the folder")
        }
        None => Ok(tempfile::Builder::new()
            .prefix("idem-torture-")
            .tempdir()
            .context("cannot make a folder for the histories")?
            .keep()),
    }
}

fn bar(time: Duration) -> ProgressBar {
    let bar = ProgressBar::new(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    let style = ProgressStyle::with_template("{elapsed:>5} {wide_bar} {percent:>3}% {msg}");
    bar.set_style(style.expect("the template is well formed, as every run shows"));
    bar
}

fn in_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true" || value == "1")
}
