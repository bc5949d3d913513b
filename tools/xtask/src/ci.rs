//! `cargo xtask ci`: what has to hold before a change lands.

use anyhow::Result;
use clap::ValueEnum;

use crate::cli::Install;
use crate::command::Step;
use crate::deep::{self, Semver};
use crate::lane::{Outcome, Report};
use crate::tally::Tally;
use crate::workspace::Workspace;
use crate::{api, docs, features, links, purity, tests_lane, tools, torture};

/// In the order in which they run: what fails fastest comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CiLane {
    /// The code is formatted
    Fmt,
    /// Relative links in Markdown files lead somewhere
    Links,
    /// The core is free of web, database and clock; the arrows between crates hold
    Purity,
    /// The book builds (mdbook, installed if missing), and lists every metric
    Book,
    /// Licences, duplicate and banned crates, sources (where cargo-deny is installed)
    Deny,
    /// Clippy, a warning being an error
    Clippy,
    /// Every crate by itself and every feature by itself compiles (cargo-hack, installed if missing)
    Features,
    /// The API docs build, a warning being an error, and the public API is as in notes/api
    Docs,
    /// No public API broke since the last release (cargo-semver-checks, installed if missing)
    Semver,
    /// A minute of `cargo xtask torture`
    Torture,
    /// `cargo xtask test`
    Test,
}

impl CiLane {
    fn is_slow(self) -> bool {
        matches!(self, Self::Torture | Self::Test)
    }

    fn name(self) -> String {
        self.to_possible_value()
            .map(|value| value.get_name().to_owned())
            .unwrap_or_default()
    }
}

pub(crate) fn run(
    workspace: &Workspace,
    picked: &[CiLane],
    fast: bool,
    install: Install,
    report: &mut Report,
) {
    let mut tally = Tally::default();
    let lanes = lanes_to_run(picked, fast);
    for &lane in &lanes {
        report.lane(&lane.name(), || match lane {
            CiLane::Fmt => fmt(workspace),
            CiLane::Links => links::lane(workspace),
            CiLane::Purity => purity::lane(workspace),
            CiLane::Book => docs::book(workspace, install),
            CiLane::Deny => deny(workspace, Install { no_install: true }),
            CiLane::Clippy => clippy(workspace),
            CiLane::Features => features::lane(workspace, install),
            CiLane::Docs => docs::rustdoc(workspace).and_then(|_| api::compare(workspace)),
            CiLane::Semver => {
                let baseline_rev = None;
                deep::semver(
                    workspace,
                    &Semver {
                        baseline_rev,
                        install,
                    },
                )
            }
            CiLane::Torture => torture::lane(workspace, install),
            CiLane::Test => tests_lane::as_typed(workspace, install, &mut tally),
        });
    }
    if lanes.contains(&CiLane::Test) {
        report.close_with(format!("tests: {tally}"));
    }
}

fn lanes_to_run(picked: &[CiLane], fast: bool) -> Vec<CiLane> {
    CiLane::value_variants()
        .iter()
        .copied()
        .filter(|lane| picked.is_empty() || picked.contains(lane))
        .filter(|lane| !(fast && lane.is_slow()))
        .collect()
}

fn fmt(workspace: &Workspace) -> Result<Outcome> {
    Step::cargo(workspace)
        .args(["fmt", "--all", "--check"])
        .run()?;
    Ok(Outcome::passed())
}

fn clippy(workspace: &Workspace) -> Result<Outcome> {
    Step::cargo(workspace)
        .args(["clippy", "--workspace", "--all-targets", "--all-features"])
        .args(["--", "-D", "warnings"])
        .run()?;
    Ok(Outcome::passed())
}

/// Building cargo-deny takes longer than all that it checks, so `cargo xtask release` alone installs it.
pub(crate) fn deny(workspace: &Workspace, install: Install) -> Result<Outcome> {
    if let Some(absent) = tools::DENY.get(workspace, install) {
        return Ok(absent);
    }
    Step::cargo(workspace)
        .args(["deny", "--all-features", "check"])
        .args(["licenses", "bans", "sources"])
        .run()?;
    Ok(Outcome::passed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_runs_when_nothing_is_picked_and_tests_come_last() {
        let lanes = lanes_to_run(&[], false);
        assert_eq!(lanes.len(), CiLane::value_variants().len());
        assert_eq!(lanes.last(), Some(&CiLane::Test));
    }

    #[test]
    fn fast_leaves_out_torture_and_the_tests_alone() {
        let lanes = lanes_to_run(&[], true);
        assert_eq!(lanes.len(), CiLane::value_variants().len() - 2);
        assert!(!lanes.iter().any(|lane| lane.is_slow()));
    }

    #[test]
    fn picked_lanes_run_in_the_usual_order_and_once() {
        let picked = [CiLane::Clippy, CiLane::Fmt, CiLane::Clippy];
        assert_eq!(lanes_to_run(&picked, false), [CiLane::Fmt, CiLane::Clippy]);
    }
}
