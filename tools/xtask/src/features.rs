//! The lane `features`: every crate of the product by itself, and every feature by itself, compiles.
//!
//! The other lanes build the whole workspace at once, where the features that one crate asks of a
//! dependency are there for all: a crate that forgot to ask for one is seen here alone.

use std::fs;

use anyhow::{Context as _, Result};

use crate::cli::Install;
use crate::command::Step;
use crate::lane::Outcome;
use crate::tools;
use crate::workspace::Workspace;

pub(crate) fn lane(workspace: &Workspace, install: Install) -> Result<Outcome> {
    if let Some(absent) = tools::HACK.get(workspace, install) {
        return Ok(absent);
    }
    let crates = product(workspace)?;
    let packages = crates.iter().flat_map(|name| ["--package", name]);
    Step::cargo(workspace)
        .args(["hack", "check", "--each-feature", "--no-dev-deps"])
        .args(packages)
        .run()?;
    Ok(Outcome::Passed(format!("{} crates", crates.len())))
}

/// The packages in `crates/`.
fn product(workspace: &Workspace) -> Result<Vec<String>> {
    let folder = workspace.path("crates");
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
        let manifest = entry?.path().join("Cargo.toml");
        let text = fs::read_to_string(&manifest).with_context(|| manifest.display().to_string())?;
        names.extend(name(&text).map(str::to_owned));
    }
    names.sort_unstable();
    Ok(names)
}

/// The `name` of a manifest's `[package]`, which need not be the folder's.
fn name(manifest: &str) -> Option<&str> {
    let package = manifest.split("[package]").nth(1)?;
    let line = package
        .lines()
        .find(|line| line.trim_start().starts_with("name"))?;
    line.split('"').nth(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_called_as_its_manifest_says() {
        let manifest = "[package]\nname = \"idem-keys\"\n\n[lib]\nname = \"idem\"\n";
        assert_eq!(name(manifest), Some("idem-keys"));
        assert_eq!(name("[workspace]\nmembers = []\n"), None);
    }
}
