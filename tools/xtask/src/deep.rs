//! Checks too slow or too particular for every change: each runs by hand and says so when its tool
//! is absent.

use std::fs;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use serde::Deserialize;

use crate::cli::Install;
use crate::command::Step;
use crate::lane::Outcome;
use crate::tools;
use crate::workspace::Workspace;

/// Lines and branches that the tests reach.
pub(crate) fn coverage(workspace: &Workspace) -> Result<Outcome> {
    if let Some(absent) = tools::LLVM_COV
        .absent()
        .or_else(|| tools::LLVM_TOOLS.absent())
    {
        return Ok(absent);
    }
    let html = "target/llvm-cov/html/index.html";
    Step::cargo(workspace)
        .args(["llvm-cov", "--workspace", "--all-features", "--html"])
        .run()?;
    Step::cargo(workspace)
        .args(["llvm-cov", "report", "--summary-only"])
        .run()?;
    Ok(Outcome::Passed(html.to_owned()))
}

/// How threads may take turns in the store in memory: shuttle's locks in place of the standard
/// library's, so built apart.
pub(crate) fn interleavings(workspace: &Workspace) -> Result<Outcome> {
    Step::cargo(workspace)
        .args(["test", "--package", "idem-interleavings"])
        .args(["--target-dir", "target/shuttle"])
        .env("RUSTFLAGS", "--cfg shuttle")
        .run()?;
    Ok(Outcome::passed())
}

#[derive(Args)]
pub(crate) struct Semver {
    /// The commit or tag to compare with; without it, the latest tag
    #[arg(long)]
    pub(crate) baseline_rev: Option<String>,
    #[command(flatten)]
    pub(crate) install: Install,
}

/// No public API broke since the last release.
pub(crate) fn semver(workspace: &Workspace, semver: &Semver) -> Result<Outcome> {
    let Some(baseline) = semver.baseline_rev.clone().or_else(|| last_tag(workspace)) else {
        return Ok(Outcome::Skipped(
            "no release is tagged yet; name a commit with --baseline-rev".to_owned(),
        ));
    };
    if let Some(absent) = tools::SEMVER_CHECKS.get(workspace, semver.install) {
        return Ok(absent);
    }
    Step::cargo(workspace)
        .args(["semver-checks", "--workspace", "--all-features"])
        .args(["--baseline-rev", &baseline])
        .run()?;
    Ok(Outcome::Passed(format!("compared with {baseline}")))
}

fn last_tag(workspace: &Workspace) -> Option<String> {
    let tag = Step::new(workspace, "git")
        .args(["describe", "--tags", "--abbrev=0"])
        .output()
        .ok()?;
    let tag = String::from_utf8_lossy(&tag).trim().to_owned();
    (!tag.is_empty()).then_some(tag)
}

#[derive(Args)]
pub(crate) struct Mutants {
    /// The share of viable mutants that the tests have to catch, in percent
    #[arg(long, default_value_t = 95.0)]
    at_least: f64,
}

/// Where mutants are made: the decisions, the engine around them, and the bytes.
const MUTATED: [&str; 6] = [
    "crates/idem-core/src/machine.rs",
    "crates/idem-core/src/machine/**",
    "crates/idem-core/src/engine.rs",
    "crates/idem-core/src/engine/**",
    "crates/idem-core/src/codec.rs",
    "crates/idem-core/src/codec/**",
];

/// How many small changes of the core's code its tests notice.
pub(crate) fn mutants(workspace: &Workspace, mutants: &Mutants) -> Result<Outcome> {
    if let Some(absent) = tools::MUTANTS.absent() {
        return Ok(absent);
    }
    let files = MUTATED.into_iter().flat_map(|file| ["--file", file]);
    let ran = Step::cargo(workspace)
        .args(["mutants", "--package", "idem-core"])
        .args(files)
        .run();
    // It ends with an error as soon as one mutant is missed; the share is judged here.
    let outcomes = workspace.path("mutants.out/outcomes.json");
    let Ok(text) = fs::read_to_string(&outcomes) else {
        ran?;
        bail!("{} was not written", outcomes.display());
    };
    let caught: Caught = serde_json::from_str(&text)
        .with_context(|| format!("{} reads otherwise than expected", outcomes.display()))?;
    caught.judge(mutants.at_least)
}

/// The counts in cargo-mutants' `outcomes.json`.
#[derive(Debug, Deserialize)]
struct Caught {
    caught: u32,
    missed: u32,
    timeout: u32,
}

impl Caught {
    /// A mutant that hangs the tests is noticed too.
    fn judge(&self, at_least: f64) -> Result<Outcome> {
        let noticed = self.caught + self.timeout;
        let viable = noticed + self.missed;
        if viable == 0 {
            bail!("not one mutant could be judged: do the tests pass without mutants?");
        }
        let percent = 100.0 * f64::from(noticed) / f64::from(viable);
        let verdict = format!("{noticed} of {viable} mutants caught, {percent:.1}%");
        Ok(if percent >= at_least {
            Outcome::Passed(verdict)
        } else {
            Outcome::Failed(format!(
                "{verdict}, wanted {at_least}%; mutants.out/missed.txt names the others"
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(json: &str) -> Result<Outcome> {
        let caught: Caught = serde_json::from_str(json)?;
        caught.judge(95.0)
    }

    #[test]
    fn enough_mutants_caught_pass_and_a_hang_counts_as_caught() {
        let outcome =
            judge(r#"{"total_mutants":25,"caught":18,"missed":1,"timeout":1,"unviable":5}"#);
        assert!(matches!(outcome, Ok(Outcome::Passed(_))), "{outcome:?}");
    }

    #[test]
    fn too_few_mutants_caught_fail() {
        let outcome = judge(r#"{"caught":18,"missed":2,"timeout":0,"unviable":0}"#);
        assert!(matches!(outcome, Ok(Outcome::Failed(_))), "{outcome:?}");
    }

    #[test]
    fn no_mutants_at_all_do_not_pass() {
        assert!(judge(r#"{"caught":0,"missed":0,"timeout":0,"unviable":3}"#).is_err());
    }
}
