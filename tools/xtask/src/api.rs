//! The public API as text, a file for each crate in `notes/api`: a change of it is seen in review.
//!
//! Read from the pages that the lane `docs` makes anyway, so it costs no build and needs no nightly. It has
//! what a user can name: items, their fields, variants and methods with their signatures, and the traits that
//! they implement.

mod page;

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context as _, Result, bail};

use crate::command::Step;
use crate::lane::Outcome;
use crate::workspace::Workspace;
use page::{Item, items};

/// The snapshots.
const FOLDER: &str = "notes/api";

/// Crates with a library that users depend on, by the names of their libraries.
const LIBRARIES: [&str; 15] = [
    "idem",
    "idem_actix",
    "idem_conformance",
    "idem_console",
    "idem_consumer",
    "idem_core",
    "idem_http",
    "idem_memory",
    "idem_mysql",
    "idem_postgres",
    "idem_redis",
    "idem_sql",
    "idem_sqlite",
    "idem_tower",
    "idem_webhook",
];

/// Writes the snapshots.
pub(crate) fn write(workspace: &Workspace) -> Result<Outcome> {
    crate::docs::rustdoc(workspace)?;
    let rustdoc = version(workspace)?;
    fs::create_dir_all(workspace.path(FOLDER))?;
    for library in LIBRARIES {
        let text = snapshot(workspace, library, &rustdoc)?;
        fs::write(workspace.path(&file(library)), text)?;
    }
    Ok(Outcome::Passed(FOLDER.to_owned()))
}

/// The pages that rustdoc has just made say what the snapshots say.
pub(crate) fn compare(workspace: &Workspace) -> Result<Outcome> {
    if !workspace.path(FOLDER).is_dir() {
        let why = format!("{FOLDER} is not there: `cargo xtask api` writes it");
        return Ok(Outcome::Skipped(why));
    }
    let rustdoc = version(workspace)?;
    let mut changes = Vec::new();
    for library in LIBRARIES {
        let there = fs::read_to_string(workspace.path(&file(library))).unwrap_or_default();
        // Another release of rustdoc words the same signature in another way.
        if there
            .lines()
            .next()
            .is_some_and(|first| first != head(&rustdoc))
        {
            let why = format!("{} is of another rustdoc: not compared", file(library));
            return Ok(Outcome::Passed(why));
        }
        let now = snapshot(workspace, library, &rustdoc)?;
        changes.extend(difference(&there, &now).map(|line| format!("{library}: {line}")));
    }
    if changes.is_empty() {
        return Ok(Outcome::passed());
    }
    for change in &changes {
        eprintln!("{change}");
    }
    bail!(
        "the public API has {} lines that differ from {FOLDER}: `cargo xtask api` writes them down",
        changes.len()
    )
}

fn file(library: &str) -> String {
    format!("{FOLDER}/{library}.txt")
}

fn head(rustdoc: &str) -> String {
    format!("# {rustdoc}, all features; written by `cargo xtask api`")
}

fn version(workspace: &Workspace) -> Result<String> {
    let version = Step::new(workspace, "rustdoc")
        .args(["--version"])
        .output()?;
    let version = String::from_utf8_lossy(&version);
    Ok(version
        .split(" (")
        .next()
        .unwrap_or_default()
        .trim()
        .to_owned())
}

fn snapshot(workspace: &Workspace, library: &str, rustdoc: &str) -> Result<String> {
    let folder = workspace.path("target/doc").join(library);
    let read = |name: &str| {
        let path = folder.join(name);
        fs::read_to_string(&path).with_context(|| path.display().to_string())
    };
    let mut lines = vec![head(rustdoc)];
    for Item { path, file } in items(&read("all.html")?) {
        let text = read(&file)?;
        let depth = file.matches('/').count() + 1;
        let own = format!("{}src/{library}/", "../".repeat(depth));
        match page::is_of(&text, &own) {
            true => {
                lines.push(format!("\n{path}"));
                lines.extend(
                    page::lines(&text)
                        .into_iter()
                        .map(|line| format!("  {line}")),
                );
            }
            // Another crate's, which has its own snapshot or its own owner.
            false => lines.push(format!("\n{path}\n  from another crate")),
        }
    }
    Ok(lines.join("\n") + "\n")
}

/// Lines that one of the two has: `-` before what is gone, `+` before what is new.
fn difference<'a>(before: &'a str, after: &'a str) -> impl Iterator<Item = String> + 'a {
    fn all(text: &str) -> BTreeSet<String> {
        let mut of = "";
        let mut lines = BTreeSet::new();
        for line in text.lines() {
            if line.starts_with("  ") {
                lines.insert(format!("{of}: {}", line.trim()));
            } else {
                of = line;
            }
        }
        lines
    }
    let (before, after) = (all(before), all(after));
    let gone: Vec<_> = before
        .difference(&after)
        .map(|line| format!("- {line}"))
        .collect();
    let new: Vec<_> = after
        .difference(&before)
        .map(|line| format!("+ {line}"))
        .collect();
    gone.into_iter().chain(new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_names_the_item() {
        let before = "# head\n\nPolicy\n  pub struct Policy\n  pub fn lease()\n";
        let after = "# head\n\nPolicy\n  pub struct Policy\n  pub fn lease(self)\n";
        let found: Vec<_> = difference(before, after).collect();
        assert_eq!(
            found,
            ["- Policy: pub fn lease()", "+ Policy: pub fn lease(self)"]
        );
    }
}
