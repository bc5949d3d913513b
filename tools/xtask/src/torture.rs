//! `cargo xtask torture`: real servers under real faults, and every history checked.

use anyhow::Result;

use crate::cli::Install;
use crate::command::Step;
use crate::lane::Outcome;
use crate::packages;
use crate::workspace::Workspace;

/// How long the short form in CI loads the stores, all together.
const SECONDS: &str = "60";

/// Has no table of its own: idem-torture prints what was found.
pub(crate) fn as_typed(workspace: &Workspace, args: &[String]) -> Result<()> {
    Step::cargo(workspace)
        .args(["run", "--release", "-p", "idem-torture", "--"])
        .args(args)
        .run()
}

/// The short form, over every store, in the build that the tests use.
pub(crate) fn lane(workspace: &Workspace, install: Install) -> Result<Outcome> {
    packages::lane(workspace, install)?;
    Step::cargo(workspace)
        .args(["run", "-p", "idem-torture", "--"])
        .args(["--store", "all", "--seconds", SECONDS])
        .run()?;
    Ok(Outcome::Passed(format!("{SECONDS} s, 0 violations")))
}
