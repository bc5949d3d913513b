//! `cargo xtask release`: what of `notes/releasing.md` can be looked up in the repository, and is not
//! done yet.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::ci;
use crate::cli::Install;
use crate::command::Step;
use crate::lane::{Outcome, Report};
use crate::workspace::Workspace;

/// The host of addresses that stand in for one that is not known yet.
const PLACEHOLDER: &str = "example.invalid";

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    manifest_path: String,
    /// `Some([])` for a crate that is not published.
    publish: Option<Vec<String>>,
    description: Option<String>,
    documentation: Option<String>,
    repository: Option<String>,
    readme: Option<String>,
    keywords: Vec<String>,
    categories: Vec<String>,
    metadata: serde_json::Value,
}

pub(crate) fn run(workspace: &Workspace, report: &mut Report) {
    report.lane("manifests", || {
        let packages = published(workspace)?;
        let complaints: Vec<String> = packages.iter().flat_map(manifest_complaints).collect();
        told(&complaints)
    });
    report.lane("versions", || {
        let version = version(workspace)?;
        let manifest = fs::read_to_string(workspace.path("Cargo.toml"))?;
        told(&version_complaints(&manifest, &version))
    });
    report.lane("changelog", || {
        let changelog = fs::read_to_string(workspace.path("CHANGELOG.md"))?;
        told(&changelog_complaints(&changelog, &version(workspace)?))
    });
    report.lane("security contact", || {
        let security = fs::read_to_string(workspace.path("SECURITY.md"))?;
        told(&security_complaints(&security))
    });
    report.lane("deny", || {
        ci::deny(workspace, Install { no_install: false })
    });
    report.lane("packages", || packages(workspace));
}

/// Each crate builds from what is in its package alone, and with the others' packages beside it. What is
/// not committed yet is looked at as well.
fn packages(workspace: &Workspace) -> Result<Outcome> {
    let packages = published(workspace)?;
    let names = packages
        .iter()
        .flat_map(|package| ["--package", &package.name]);
    Step::cargo(workspace)
        .args(["package", "--allow-dirty"])
        .args(names)
        .run()?;
    Ok(Outcome::Passed(format!("{} crates", packages.len())))
}

/// Somebody can be told of a vulnerability in private.
fn security_complaints(security: &str) -> Vec<String> {
    let reporting = security.split("## Reporting").nth(1).unwrap_or_default();
    let reporting = reporting.split("\n## ").next().unwrap_or_default();
    let names_somebody = reporting.contains('@') || reporting.contains("https://");
    match names_somebody && !reporting.contains(PLACEHOLDER) {
        true => Vec::new(),
        false => vec!["SECURITY.md names no address to report to".to_owned()],
    }
}

fn told(complaints: &[String]) -> Result<Outcome> {
    for complaint in complaints {
        eprintln!("{complaint}");
    }
    match complaints.len() {
        0 => Ok(Outcome::passed()),
        number => bail!("{number} left to do"),
    }
}

fn published(workspace: &Workspace) -> Result<Vec<Package>> {
    let metadata = Step::cargo(workspace)
        .args(["metadata", "--format-version", "1", "--no-deps"])
        .output()?;
    let Metadata { mut packages } = serde_json::from_slice(&metadata).context("cargo metadata")?;
    packages.retain(|package| package.publish.is_none());
    Ok(packages)
}

fn version(workspace: &Workspace) -> Result<String> {
    let packages = published(workspace)?;
    let first = packages.first().context("nothing is published")?;
    Ok(first.version.clone())
}

/// What crates.io and docs.rs show of a crate, and what has to be in its package.
fn manifest_complaints(package: &Package) -> Vec<String> {
    let folder = Path::new(&package.manifest_path)
        .parent()
        .unwrap_or(Path::new(""));
    let is_real = |address: &Option<String>| {
        address
            .as_ref()
            .is_some_and(|address| !address.contains(PLACEHOLDER))
    };
    let checks = [
        (package.description.is_some(), "has no description"),
        (
            package.documentation.is_some(),
            "has no address of its documentation",
        ),
        (
            is_real(&package.repository),
            "has no address of its repository: set it in [workspace.package]",
        ),
        (package.readme.is_some(), "has no README"),
        (
            (1..=5).contains(&package.keywords.len()),
            "has no keywords, or more than five",
        ),
        (
            (1..=5).contains(&package.categories.len()),
            "has no categories, or more than five",
        ),
        (
            !package.metadata["docs"]["rs"].is_null(),
            "has no [package.metadata.docs.rs]",
        ),
        (
            ["LICENSE-MIT", "LICENSE-APACHE"]
                .iter()
                .all(|licence| folder.join(licence).exists()),
            "lacks a licence in its folder",
        ),
    ];
    checks
        .iter()
        .filter(|(holds, _)| !holds)
        .map(|(_, what)| format!("{} {what}", package.name))
        .collect()
}

/// The crates depend on each other in the version that they have.
fn version_complaints(manifest: &str, version: &str) -> Vec<String> {
    manifest
        .lines()
        .filter(|line| line.contains("path = \"crates/"))
        .filter(|line| !line.contains(&format!("version = \"{version}\"")))
        .map(|line| format!("not at {version}: {line}"))
        .collect()
}

/// The version has an entry with its date, and nothing is left under *Unreleased*.
fn changelog_complaints(changelog: &str, version: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    let has_entry = changelog
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .any(|title| title.starts_with(version) && title.len() > version.len());
    if !has_entry {
        complaints.push(format!(
            "CHANGELOG.md has no `## {version}` with its date: move *Unreleased* there"
        ));
    }
    let unreleased = changelog.split("## Unreleased").nth(1).unwrap_or_default();
    let unreleased = unreleased.split("\n## ").next().unwrap_or_default();
    if !unreleased.trim().is_empty() {
        complaints.push("CHANGELOG.md has entries under *Unreleased*".to_owned());
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_that_depends_on_another_version_is_named() {
        let manifest = "idem-core = { path = \"crates/idem-core\", version = \"0.1.0\" }\n\
                        idem-testbed = { path = \"tools/testbed\" }\n";
        assert_eq!(version_complaints(manifest, "0.1.0"), Vec::<String>::new());
        assert_eq!(version_complaints(manifest, "0.2.0").len(), 1);
    }

    #[test]
    fn a_security_page_without_an_address_is_named() {
        let page =
            |contact: &str| format!("# Security\n\n## Reporting\n\n{contact}\n\n## Threats\n\na@b");
        assert_eq!(
            security_complaints(&page("Write to security@idem.dev")).len(),
            0
        );
        assert_eq!(security_complaints(&page("Ask the registry")).len(), 1);
        assert_eq!(
            security_complaints(&page("https://example.invalid/x")).len(),
            1
        );
    }

    #[test]
    fn a_changelog_without_the_version_or_with_something_unreleased_is_named() {
        let before = "# Changelog\n\n## Unreleased\n\n- new\n";
        assert_eq!(changelog_complaints(before, "0.1.0").len(), 2);
        let after = "# Changelog\n\n## Unreleased\n\n## 0.1.0 - 2026-12-01\n\n- new\n";
        assert_eq!(changelog_complaints(after, "0.1.0"), Vec::<String>::new());
        let undated = "# Changelog\n\n## 0.1.0\n\n- new\n";
        assert_eq!(changelog_complaints(undated, "0.1.0").len(), 1);
    }
}
