//! `cargo xtask test`: install what is missing, then every test and doctest.

use anyhow::{Result, bail};

use crate::cli::Install;
use crate::command::Step;
use crate::lane::{Outcome, Report};
use crate::matrix;
use crate::packages;
use crate::tally::Tally;
use crate::workspace::Workspace;

pub(crate) fn run(workspace: &Workspace, install: Install, report: &mut Report) {
    report.lane("packages", || packages::lane(workspace, install));
    report.lane("nats-server", || matrix::nats_lane(workspace, install));
    report.lane("moto", || matrix::moto_lane(workspace, install));
    let mut tally = Tally::default();
    report.lane("tests", || every_test(workspace, &mut tally));
    report.close_with(format!("tests: {tally}"));
}

fn every_test(workspace: &Workspace, tally: &mut Tally) -> Result<Outcome> {
    Step::cargo(workspace)
        .args(["test", "--workspace", "--all-features", "--no-fail-fast"])
        .run_watched(|line| tally.read(line))?;
    if !tally.ran_any() {
        bail!("no test ran");
    }
    Ok(Outcome::Passed(tally.to_string()))
}

/// The same command a person types, as the last lane of `cargo xtask ci`.
pub(crate) fn as_typed(
    workspace: &Workspace,
    install: Install,
    tally: &mut Tally,
) -> Result<Outcome> {
    let no_install = install.no_install.then_some("--no-install");
    Step::cargo(workspace)
        .args(["xtask", "test"])
        .args(no_install)
        .run_watched(|line| tally.read(line))?;
    Ok(Outcome::Passed(tally.to_string()))
}
