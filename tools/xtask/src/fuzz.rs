//! `cargo xtask fuzz`: every fuzz target for a while.

use anyhow::Result;
use clap::Args;

use crate::command::Step;
use crate::lane::{Outcome, Report};
use crate::tools;
use crate::workspace::Workspace;

#[derive(Args)]
pub(crate) struct Fuzz {
    /// How long each target runs
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// Only these targets
    targets: Vec<String>,
}

pub(crate) fn run(workspace: &Workspace, fuzz: &Fuzz, report: &mut Report) {
    let targets = match targets(workspace, fuzz) {
        Ok(targets) => targets,
        Err(instead) => return report.lane("fuzz", || instead),
    };
    for target in targets {
        let name = format!("fuzz {target}");
        report.lane(&name, || fuzz_one(workspace, &target, fuzz.seconds));
    }
}

/// The targets to run, or what the whole lane ends with where there are none.
fn targets(workspace: &Workspace, fuzz: &Fuzz) -> Result<Vec<String>, Result<Outcome>> {
    if let Some(absent) = tools::FUZZ.absent().or_else(|| tools::NIGHTLY.absent()) {
        return Err(Ok(absent));
    }
    if !workspace.path("fuzz/Cargo.toml").is_file() {
        let reason = "there is no fuzz/ folder with targets".to_owned();
        return Err(Ok(Outcome::Skipped(reason)));
    }
    if !fuzz.targets.is_empty() {
        return Ok(fuzz.targets.clone());
    }
    let listed = Step::cargo(workspace)
        .args(["fuzz", "list"])
        .output()
        .map_err(Err)?;
    let listed = String::from_utf8_lossy(&listed);
    Ok(listed.lines().map(str::to_owned).collect())
}

/// Finds go to `fuzz/corpus` (ignored by git), starting from the seeds that are committed.
fn fuzz_one(workspace: &Workspace, target: &str, seconds: u32) -> Result<Outcome> {
    let seeds = format!("fuzz/seeds/{target}");
    let corpus = format!("fuzz/corpus/{target}");
    let has_seeds = workspace.path(&seeds).is_dir();
    std::fs::create_dir_all(workspace.path(&corpus))?;
    let time = format!("-max_total_time={seconds}");
    Step::new(workspace, "rustup")
        .args(["run", "nightly", "cargo", "fuzz", "run", target, &corpus])
        .args(has_seeds.then_some(&seeds))
        .args(["--", &time, "-print_final_stats=1"])
        .run()?;
    Ok(Outcome::Passed(format!("{seconds} s without a finding")))
}
