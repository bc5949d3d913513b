//! `cargo xtask purity`: which crate may depend on which, checked against the manifests.
//!
//! It alone notices an arrow that points outwards (a store in the HTTP crates, a web crate in the
//! core). That the core reads no clock is clippy's to say: `crates/idem-core/clippy.toml`.

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::{command::Step, lane::Outcome, workspace::Workspace};

/// A crate that users link, and all that it may depend on.
struct Rule {
    package: &'static str,
    /// Members of the workspace.
    members: &'static [&'static str],
    /// Every other crate; `None` where it may take what it needs.
    foreign: Option<&'static [&'static str]>,
}

/// A dependency of the core is one of every user of every store, so a new one is decided here.
const CORE_MAY_USE: &[&str] = &[
    "async-trait",
    "blake3",
    "bytes",
    "crc32fast",
    "futures-util",
    "metrics",
    "rand",
    "serde",
    "serde_json",
    "thiserror",
    "tokio",
    "tracing",
];

const fn rule(package: &'static str, members: &'static [&'static str]) -> Rule {
    Rule {
        package,
        members,
        foreign: None,
    }
}

/// Nothing points out of the core; stores know the core alone; what carries HTTP names no store.
const RULES: &[Rule] = &[
    Rule {
        package: "idem-core",
        members: &[],
        foreign: Some(CORE_MAY_USE),
    },
    rule("idem-memory", &["idem-core"]),
    rule("idem-redis", &["idem-core"]),
    rule("idem-sql", &["idem-core"]),
    rule("idem-postgres", &["idem-core", "idem-sql"]),
    rule("idem-sqlite", &["idem-core", "idem-sql"]),
    rule("idem-mysql", &["idem-core", "idem-sql"]),
    rule("idem-http", &["idem-core"]),
    rule("idem-tower", &["idem-core", "idem-http"]),
    rule("idem-actix", &["idem-core", "idem-http"]),
    rule("idem-webhook", &["idem-core"]),
    rule("idem-consumer", &["idem-core"]),
    rule("idem-conformance", &["idem-core"]),
    rule("idem-console", &["idem-core", "idem-http"]),
    rule(
        "idem-cli",
        &[
            "idem-console",
            "idem-core",
            "idem-redis",
            "idem-postgres",
            "idem-sqlite",
            "idem-mysql",
            "idem-http",
        ],
    ),
    rule(
        "idem-keys",
        &[
            "idem-core",
            "idem-memory",
            "idem-redis",
            "idem-postgres",
            "idem-sqlite",
            "idem-mysql",
            "idem-http",
            "idem-tower",
            "idem-actix",
            "idem-webhook",
            "idem-consumer",
            "idem-console",
        ],
    ),
];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    /// `Some([])` for a crate that is not published.
    publish: Option<Vec<String>>,
    manifest_path: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    /// Absent for a normal dependency; else `dev` or `build`.
    kind: Option<String>,
}

pub(crate) fn lane(workspace: &Workspace) -> Result<Outcome> {
    let metadata = Step::cargo(workspace)
        .args(["metadata", "--format-version", "1", "--no-deps"])
        .output()?;
    let Metadata { packages } = serde_json::from_slice(&metadata).context("cargo metadata")?;
    let mut complaints = complaints(&packages);
    for package in &packages {
        let manifest = std::fs::read_to_string(&package.manifest_path)?;
        if !manifest.contains("[lints]\nworkspace = true\n") {
            complaints.push(format!(
                "{}: its manifest lacks the workspace's lints",
                package.name
            ));
        }
    }
    for complaint in &complaints {
        eprintln!("{complaint}");
    }
    if !complaints.is_empty() {
        bail!("{} rules broken, each named above", complaints.len());
    }
    Ok(Outcome::Passed(format!("{} crates", packages.len())))
}

fn complaints(packages: &[Package]) -> Vec<String> {
    let is_member = |name: &str| packages.iter().any(|package| package.name == name);
    let mut complaints = Vec::new();
    for package in packages {
        let Some(rule) = RULES.iter().find(|rule| rule.package == package.name) else {
            if package.publish.is_none() {
                complaints.push(format!(
                    "{}: say in purity.rs what it may use",
                    package.name
                ));
            }
            continue;
        };
        for Dependency { name, kind } in &package.dependencies {
            let linked = kind.is_none();
            let allowed = match (is_member(name), rule.foreign) {
                // Even the core's tests know the core alone.
                (true, Some(_)) => false,
                (true, None) => !linked || rule.members.contains(&name.as_str()),
                (false, Some(foreign)) => !linked || foreign.contains(&name.as_str()),
                (false, None) => true,
            };
            if !allowed {
                complaints.push(format!("{} must not depend on {name}", package.name));
            }
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, dependencies: &[(&str, Option<&str>)]) -> Package {
        let dependency = |(name, kind): &(&str, Option<&str>)| Dependency {
            name: (*name).to_owned(),
            kind: kind.map(ToOwned::to_owned),
        };
        Package {
            name: name.to_owned(),
            publish: None,
            manifest_path: String::new(),
            dependencies: dependencies.iter().map(dependency).collect(),
        }
    }

    fn found(from: Package) -> usize {
        let others = ["idem-core", "idem-memory", "idem-redis", "idem-http"];
        let others = others.iter().filter(|name| **name != from.name);
        let mut packages: Vec<_> = others.map(|name| package(name, &[])).collect();
        packages.push(from);
        complaints(&packages).len()
    }

    #[test]
    fn arrows_point_inwards() {
        assert_eq!(found(package("idem-http", &[("idem-core", None)])), 0);
        assert_eq!(
            found(package("idem-http", &[("idem-memory", Some("dev"))])),
            0
        );
        assert_eq!(found(package("idem-http", &[("idem-memory", None)])), 1);
        assert_eq!(found(package("idem-redis", &[("idem-memory", None)])), 1);
    }

    #[test]
    fn nothing_points_out_of_the_core() {
        assert_eq!(found(package("idem-core", &[("tokio", None)])), 0);
        assert_eq!(found(package("idem-core", &[("http", None)])), 1);
        assert_eq!(
            found(package("idem-core", &[("idem-memory", Some("dev"))])),
            1
        );
    }

    #[test]
    fn a_published_crate_has_to_say_where_it_stands() {
        assert_eq!(found(package("idem-new", &[])), 1);
    }
}
