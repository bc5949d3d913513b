//! Which crate of the workspace may know which other.

use super::graph::{Dependency, Graph, Kind, Package};

/// A member and what it may link and, beyond that, use in its tests.
struct Arrows {
    from: &'static str,
    links: &'static [&'static str],
    tests_with: &'static [&'static str],
}

const STORES_AND_SUITE: &[&str] = &[
    "idem-memory",
    "idem-redis",
    "idem-postgres",
    "idem-conformance",
    "idem-testbed",
];

/// Nothing points out of idem-core, and what carries HTTP names no store. Crates that are not
/// published may know every other.
const ARROWS: [Arrows; 8] = [
    Arrows {
        from: "idem-core",
        links: &[],
        tests_with: &[],
    },
    Arrows {
        from: "idem-memory",
        links: &["idem-core"],
        tests_with: &["idem-conformance", "idem-testbed"],
    },
    Arrows {
        from: "idem-redis",
        links: &["idem-core"],
        tests_with: &["idem-conformance", "idem-testbed"],
    },
    Arrows {
        from: "idem-postgres",
        links: &["idem-core"],
        tests_with: &["idem-conformance", "idem-testbed"],
    },
    Arrows {
        from: "idem-http",
        links: &["idem-core"],
        tests_with: STORES_AND_SUITE,
    },
    Arrows {
        from: "idem-tower",
        links: &["idem-core", "idem-http"],
        tests_with: STORES_AND_SUITE,
    },
    Arrows {
        from: "idem-conformance",
        links: &["idem-core"],
        tests_with: STORES_AND_SUITE,
    },
    Arrows {
        from: "idem-testbed",
        links: &[],
        tests_with: &["idem-core"],
    },
];

/// Members that are not published: programs at the edge, free to know all.
const EDGE: [&str; 6] = [
    "custom-store",
    "idem-bench",
    "idem-torture",
    "job-runner",
    "payments",
    "xtask",
];

/// Every arrow between two members is one of [`ARROWS`].
pub(super) fn between_members(graph: &Graph) -> Vec<String> {
    graph
        .members()
        .filter(|member| !EDGE.contains(&member.name.as_str()))
        .flat_map(|member| out_of(graph, member))
        .collect()
}

fn out_of(graph: &Graph, member: &Package) -> Vec<String> {
    let Some(arrows) = ARROWS.iter().find(|arrows| arrows.from == member.name) else {
        return vec![format!(
            "{} is new: say in {} which crates it may know",
            member.name,
            file!()
        )];
    };
    member
        .dependencies
        .iter()
        .filter(|dependency| graph.member(&dependency.name).is_some())
        .filter(|dependency| !arrows.allow(dependency))
        .map(|Dependency { name, kind, .. }| {
            let how = match kind {
                Some(Kind::Dev) => "is tested with",
                Some(Kind::Build) => "is built with",
                None => "depends on",
            };
            format!("{} {how} {name}, which points the wrong way", member.name)
        })
        .collect()
}

impl Arrows {
    fn allow(&self, dependency: &Dependency) -> bool {
        let name = dependency.name.as_str();
        let in_tests = dependency.kind == Some(Kind::Dev) && self.tests_with.contains(&name);
        in_tests || self.links.contains(&name)
    }
}

#[cfg(test)]
mod tests {
    use super::super::graph::tests::{dependency, graph, package};
    use super::*;

    #[test]
    fn the_arrows_of_the_design_pass() {
        let core = || dependency("idem-core", None, &[]);
        let graph = graph(
            &[
                package("idem-core", &[dependency("bytes", None, &[])]),
                package(
                    "idem-redis",
                    &[core(), dependency("idem-testbed", Some("dev"), &[])],
                ),
                package("idem-testbed", &[]),
                package("idem-http", &[core()]),
                package(
                    "idem-tower",
                    &[
                        dependency("idem-http", None, &[]),
                        dependency("idem-redis", Some("dev"), &[]),
                    ],
                ),
                package("payments", &[dependency("idem-redis", None, &[])]),
            ],
            &[package("bytes", &[])],
        );
        assert_eq!(between_members(&graph), [""; 0]);
    }

    /// `from` depends on `to` (in `kind`) and nothing else.
    fn complaints(from: &str, to: &str, kind: Option<&str>) -> Vec<String> {
        between_members(&graph(
            &[
                package(from, &[dependency(to, kind, &[])]),
                package(to, &[]),
            ],
            &[],
        ))
    }

    #[test]
    fn nothing_points_out_of_the_core_not_even_from_its_tests() {
        for to in ["idem-memory", "idem-http", "idem-testbed"] {
            assert_eq!(complaints("idem-core", to, None).len(), 1, "{to}");
            assert_eq!(complaints("idem-core", to, Some("dev")).len(), 1, "{to}");
        }
    }

    #[test]
    fn http_and_tower_link_no_store() {
        for from in ["idem-http", "idem-tower"] {
            for to in ["idem-memory", "idem-redis", "idem-postgres"] {
                assert_eq!(complaints(from, to, None).len(), 1, "{from} {to}");
                assert_eq!(complaints(from, to, Some("build")).len(), 1, "{from} {to}");
            }
        }
    }

    #[test]
    fn no_store_links_another_or_the_testbed() {
        for from in ["idem-memory", "idem-redis", "idem-postgres"] {
            assert_eq!(complaints(from, "idem-testbed", None).len(), 1, "{from}");
            assert_eq!(
                complaints(from, "idem-tower", Some("dev")).len(),
                1,
                "{from}"
            );
        }
        assert_eq!(complaints("idem-redis", "idem-memory", None).len(), 1);
    }

    #[test]
    fn a_new_crate_has_to_say_where_it_stands() {
        let graph = graph(&[package("idem-sqlite", &[])], &[]);
        assert_eq!(between_members(&graph).len(), 1);
    }
}
