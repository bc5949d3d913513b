//! `cargo xtask docs`: the API docs, and the book.

use anyhow::Result;

use crate::cli::Install;
use crate::command::Step;
use crate::lane::{Outcome, Report};
use crate::metrics;
use crate::tools;
use crate::workspace::Workspace;

pub(crate) fn run(workspace: &Workspace, install: Install, report: &mut Report) {
    report.lane("rustdoc", || rustdoc(workspace));
    report.lane("book", || book(workspace, install));
}

/// The API docs of every crate, a warning being an error.
pub(crate) fn rustdoc(workspace: &Workspace) -> Result<Outcome> {
    Step::cargo(workspace)
        .env("RUSTDOCFLAGS", "-D warnings")
        .args(["doc", "--workspace", "--no-deps", "--all-features"])
        .run()?;
    Ok(Outcome::passed())
}

/// The book, a warning being an error; and its page of metrics has all that the code has.
pub(crate) fn book(workspace: &Workspace, install: Install) -> Result<Outcome> {
    metrics::are_listed(workspace)?;
    if let Some(absent) = tools::MDBOOK.get(workspace, install) {
        return Ok(absent);
    }
    Step::new(workspace, "mdbook")
        .args(["build", "docs"])
        .run()?;
    Ok(Outcome::Passed("target/book/index.html".to_owned()))
}
