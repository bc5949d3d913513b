//! `cargo xtask purity`: what idem's crates may know of, checked and not only written down.
//!
//! Each rule is a pure function from what was read (the package graph, a manifest's text, a source
//! file's text) to complaints, and has tests that show it failing.

mod arrows;
mod core_deps;
mod graph;
mod manifests;
mod sources;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::command::Step;
use crate::lane::Outcome;
use crate::workspace::Workspace;
use graph::Graph;

/// The crate all of this is about.
const CORE: &str = "idem-core";

pub(crate) fn lane(workspace: &Workspace) -> Result<Outcome> {
    let graph = Graph::parse(&metadata(workspace)?)?;
    let mut complaints = Vec::new();
    complaints.extend(core_deps::tree(&graph));
    complaints.extend(core_deps::direct(&graph));
    complaints.extend(core_deps::tokio_features(&graph));
    complaints.extend(arrows::between_members(&graph));
    complaints.extend(manifests_of(workspace, &graph)?);
    let files = core_sources(workspace)?;
    complaints.extend(sources::clocks(&files)?);
    for complaint in &complaints {
        eprintln!("{complaint}");
    }
    if !complaints.is_empty() {
        bail!("{} rules broken, each named above", complaints.len());
    }
    Ok(Outcome::Passed(format!(
        "{} crates, {} files of {CORE}",
        graph.members().count(),
        files.len()
    )))
}

fn metadata(workspace: &Workspace) -> Result<Vec<u8>> {
    Step::cargo(workspace)
        .args(["metadata", "--format-version", "1", "--all-features"])
        .output()
}

fn manifests_of(workspace: &Workspace, graph: &Graph) -> Result<Vec<String>> {
    let root = workspace.path("Cargo.toml");
    let mut complaints = manifests::root(&read(&root)?);
    for member in graph.members() {
        complaints.extend(manifests::member(
            &member.name,
            &read(&member.manifest_path)?,
        ));
    }
    Ok(complaints)
}

/// The files of idem-core's `src`, named relative to it.
fn core_sources(workspace: &Workspace) -> Result<Vec<(PathBuf, String)>> {
    let folder = workspace.path("crates/idem-core/src");
    let mut files = Vec::new();
    collect(&folder, &folder, &mut files)?;
    files.sort();
    Ok(files)
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<(PathBuf, String)>) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("{}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            collect(root, &path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let relative = path.strip_prefix(root).unwrap_or(&path).to_path_buf();
            files.push((relative, read(&path)?));
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("{}", path.display()))
}
