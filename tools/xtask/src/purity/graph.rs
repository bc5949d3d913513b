//! What `cargo metadata` says, reduced to what the rules ask about.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde::Deserialize;

/// The packages of the workspace and of everything below it.
#[derive(Debug, Deserialize)]
pub(super) struct Graph {
    packages: Vec<Package>,
    workspace_members: HashSet<String>,
    resolve: Resolve,
}

/// A package as its own manifest describes it.
#[derive(Debug, Deserialize)]
pub(super) struct Package {
    id: String,
    pub(super) name: String,
    pub(super) manifest_path: PathBuf,
    pub(super) dependencies: Vec<Dependency>,
    pub(super) features: BTreeMap<String, Vec<String>>,
}

/// One line of a manifest's dependency tables.
#[derive(Debug, Deserialize)]
pub(super) struct Dependency {
    pub(super) name: String,
    pub(super) kind: Option<Kind>,
    pub(super) uses_default_features: bool,
    pub(super) features: Vec<String>,
}

/// The table a dependency stands in; a normal one has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    Dev,
    Build,
}

#[derive(Debug, Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Debug, Deserialize)]
struct Node {
    id: String,
    deps: Vec<Edge>,
}

#[derive(Debug, Deserialize)]
struct Edge {
    pkg: String,
    dep_kinds: Vec<EdgeKind>,
}

#[derive(Debug, Deserialize)]
struct EdgeKind {
    kind: Option<Kind>,
}

impl Dependency {
    /// Whether it is linked into the crate itself, not only into its tests or build script.
    pub(super) fn is_normal(&self) -> bool {
        self.kind.is_none()
    }
}

impl Graph {
    pub(super) fn parse(metadata: &[u8]) -> Result<Self> {
        serde_json::from_slice(metadata).context("`cargo metadata` said something unexpected")
    }

    pub(super) fn members(&self) -> impl Iterator<Item = &Package> {
        self.packages
            .iter()
            .filter(|package| self.workspace_members.contains(&package.id))
    }

    pub(super) fn member(&self, name: &str) -> Option<&Package> {
        self.members().find(|member| member.name == name)
    }

    /// Every package that `start` links (normal dependencies of normal dependencies), each as the
    /// shortest chain of names from `start` to it.
    pub(super) fn linked_by<'a>(&'a self, start: &'a Package) -> Vec<Vec<&'a str>> {
        let names: HashMap<&str, &str> = self
            .packages
            .iter()
            .map(|package| (package.id.as_str(), package.name.as_str()))
            .collect();
        let edges: HashMap<&str, &[Edge]> = self
            .resolve
            .nodes
            .iter()
            .map(|node| (node.id.as_str(), node.deps.as_slice()))
            .collect();
        let mut seen = HashSet::from([start.id.as_str()]);
        let mut queue = VecDeque::from([(start.id.as_str(), vec![start.name.as_str()])]);
        let mut chains = Vec::new();
        while let Some((id, chain)) = queue.pop_front() {
            for edge in edges.get(id).copied().unwrap_or_default() {
                let is_normal = edge.dep_kinds.iter().any(|kind| kind.kind.is_none());
                if is_normal && seen.insert(&edge.pkg) {
                    let mut chain = chain.clone();
                    chain.extend(names.get(edge.pkg.as_str()));
                    chains.push(chain.clone());
                    queue.push_back((&edge.pkg, chain));
                }
            }
        }
        chains
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A dependency as `cargo metadata` writes it, `kind` being `null`, `dev` or `build`.
    pub(crate) fn dependency(name: &str, kind: Option<&str>, features: &[&str]) -> Value {
        json!({"name": name, "kind": kind, "uses_default_features": false, "features": features})
    }

    /// A package whose resolved dependencies are its declared ones.
    pub(crate) fn package(name: &str, dependencies: &[Value]) -> Value {
        json!({
            "id": name,
            "name": name,
            "manifest_path": format!("{name}/Cargo.toml"),
            "dependencies": dependencies,
            "features": {},
        })
    }

    /// A graph of `members` and of the foreign packages they reach.
    pub(crate) fn graph(members: &[Value], foreign: &[Value]) -> Graph {
        let packages: Vec<&Value> = members.iter().chain(foreign).collect();
        let ids: Vec<&Value> = members.iter().map(|member| &member["id"]).collect();
        let nodes: Vec<Value> = packages.iter().map(|package| node(package)).collect();
        let metadata = json!({
            "packages": packages,
            "workspace_members": ids,
            "resolve": {"nodes": nodes},
        });
        Graph::parse(metadata.to_string().as_bytes()).expect("the same shape as cargo's")
    }

    fn node(package: &Value) -> Value {
        let edge = |dependency: &Value| {
            json!({
                "pkg": dependency["name"],
                "dep_kinds": [{"kind": dependency["kind"]}],
            })
        };
        let dependencies = package["dependencies"].as_array().expect("it is a list");
        let edges: Vec<Value> = dependencies.iter().map(edge).collect();
        json!({"id": package["id"], "deps": edges})
    }

    #[test]
    fn linked_packages_are_found_through_others_but_not_through_tests() {
        let graph = graph(
            &[package(
                "a",
                &[
                    dependency("b", None, &[]),
                    dependency("t", Some("dev"), &[]),
                ],
            )],
            &[
                package("b", &[dependency("c", None, &[])]),
                package("c", &[dependency("b", None, &[])]),
                package("t", &[]),
            ],
        );
        let start = graph.member("a").expect("a is a member");
        assert_eq!(
            graph.linked_by(start),
            [vec!["a", "b"], vec!["a", "b", "c"]]
        );
    }

    #[test]
    fn something_else_than_metadata_is_an_error() {
        assert!(Graph::parse(b"{}").is_err());
        assert!(Graph::parse(b"error: no such command").is_err());
    }
}
