//! `cargo xtask docs`: the API docs, and the book where mdbook is installed.

use anyhow::Result;

use crate::command::Step;
use crate::lane::{Outcome, Report};
use crate::tools;
use crate::workspace::Workspace;

pub(crate) fn run(workspace: &Workspace, report: &mut Report) {
    report.lane("rustdoc", || rustdoc(workspace));
    report.lane("book", || book(workspace));
}

/// The API docs of every crate, a warning being an error.
pub(crate) fn rustdoc(workspace: &Workspace) -> Result<Outcome> {
    Step::cargo(workspace)
        .env("RUSTDOCFLAGS", "-D warnings")
        .args(["doc", "--workspace", "--no-deps", "--all-features"])
        .run()?;
    Ok(Outcome::passed())
}

fn book(workspace: &Workspace) -> Result<Outcome> {
    if let Some(absent) = tools::MDBOOK.absent() {
        return Ok(absent);
    }
    Step::new(workspace, "mdbook")
        .args(["build", "docs"])
        .run()?;
    Ok(Outcome::Passed("target/book/index.html".to_owned()))
}
