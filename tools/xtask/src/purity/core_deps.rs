//! What idem-core is built from.

use super::CORE;
use super::graph::{Graph, Package};

/// What idem-core may name in its own `[dependencies]`. A new one is a decision for every user of
/// every store: it is made here, in the open.
const ALLOWED_DIRECTLY: [&str; 12] = [
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

/// Web, database, Redis, cache and clock crates, and other runtimes, anywhere below idem-core. A
/// `*` at the end stands for any rest.
const BANNED_ANYWHERE: [&str; 34] = [
    "actix*",
    "async-global-executor",
    "async-std",
    "axum*",
    "bb8*",
    "chrono*",
    "deadpool*",
    "diesel*",
    "fred",
    "glommio",
    "h2",
    "h3",
    "http",
    "http-body*",
    "httparse",
    "hyper*",
    "isahc",
    "jiff*",
    "moka",
    "mongodb",
    "mysql*",
    "poem*",
    "postgres*",
    "r2d2*",
    "redis*",
    "reqwest*",
    "rocket*",
    "rusqlite",
    "smol*",
    "sqlx*",
    "surf",
    "time",
    "tokio-postgres*",
    "tower*",
];

/// What idem-core may ask of tokio, and what its feature `rt` may add.
const TOKIO_FEATURES: [&str; 2] = ["sync", "time"];
const TOKIO_FEATURE_OF_RT: &str = "tokio/rt";

/// No web, database or Redis crate is linked into idem-core, however deep below it.
pub(super) fn tree(graph: &Graph) -> Vec<String> {
    let Some(core) = graph.member(CORE) else {
        return vec![format!("{CORE} is not a member of the workspace")];
    };
    let banned = |chain: &Vec<&str>| chain.last().is_some_and(|name| is_banned(name));
    graph
        .linked_by(core)
        .into_iter()
        .filter(banned)
        .map(|chain| format!("{CORE} must not link this: {}", chain.join(" -> ")))
        .collect()
}

fn is_banned(name: &str) -> bool {
    BANNED_ANYWHERE
        .iter()
        .any(|pattern| match pattern.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => name == *pattern,
        })
}

/// The direct dependencies of idem-core are the ones that were decided on.
pub(super) fn direct(graph: &Graph) -> Vec<String> {
    let declared = core(graph).flat_map(|core| &core.dependencies);
    declared
        .filter(|dependency| {
            dependency.is_normal() && !ALLOWED_DIRECTLY.contains(&dependency.name.as_str())
        })
        .map(|dependency| {
            format!(
                "{CORE} depends on {}, which is not in ALLOWED_DIRECTLY of {}",
                dependency.name,
                file!()
            )
        })
        .collect()
}

/// idem-core asks tokio for `sync` and `time`, and for `rt` only through its own feature `rt`.
pub(super) fn tokio_features(graph: &Graph) -> Vec<String> {
    core(graph)
        .flat_map(|core| declared_tokio(core).chain(tokio_through_features(core)))
        .collect()
}

fn declared_tokio(core: &Package) -> impl Iterator<Item = String> {
    let tokio = core
        .dependencies
        .iter()
        .filter(|dependency| dependency.is_normal() && dependency.name == "tokio");
    tokio.flat_map(|tokio| {
        let defaults = tokio.uses_default_features.then_some("default");
        let asked = tokio.features.iter().map(String::as_str);
        asked
            .chain(defaults)
            .filter(|feature| !TOKIO_FEATURES.contains(feature))
            .map(|feature| format!("{CORE} asks tokio for its feature {feature}"))
    })
}

fn tokio_through_features(core: &Package) -> impl Iterator<Item = String> {
    core.features.iter().flat_map(|(name, turns_on)| {
        turns_on
            .iter()
            .filter(|what| what.starts_with("tokio/") || what.starts_with("tokio?/"))
            .filter(move |what| !(name == "rt" && *what == TOKIO_FEATURE_OF_RT))
            .map(move |what| format!("feature {name} of {CORE} turns on {what}"))
    })
}

fn core(graph: &Graph) -> impl Iterator<Item = &Package> {
    graph.member(CORE).into_iter()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::graph::tests::{dependency, graph, package};
    use super::*;

    #[test]
    fn a_clean_core_passes() {
        let mut core = package(
            CORE,
            &[
                dependency("tokio", None, &["sync", "time"]),
                dependency("proptest", Some("dev"), &[]),
            ],
        );
        core["features"] = json!({"default": ["rt"], "rt": ["tokio/rt"]});
        let graph = graph(&[core], &[package("tokio", &[]), package("proptest", &[])]);
        assert_eq!(tree(&graph), [""; 0]);
        assert_eq!(direct(&graph), [""; 0]);
        assert_eq!(tokio_features(&graph), [""; 0]);
    }

    #[test]
    fn a_workspace_without_the_core_does_not_pass() {
        assert!(!tree(&graph(&[package("other", &[])], &[])).is_empty());
    }

    #[test]
    fn a_web_crate_deep_below_is_found_with_the_way_to_it() {
        let graph = graph(
            &[package(CORE, &[dependency("metrics", None, &[])])],
            &[
                package("metrics", &[dependency("hyper-util", None, &[])]),
                package("hyper-util", &[]),
            ],
        );
        let [complaint] = &tree(&graph)[..] else {
            panic!("exactly one crate is banned");
        };
        assert!(
            complaint.ends_with("idem-core -> metrics -> hyper-util"),
            "{complaint}"
        );
    }

    #[test]
    fn each_of_the_crates_it_must_not_know_is_banned() {
        let named = [
            "http",
            "hyper",
            "axum",
            "axum-core",
            "tower",
            "tower-http",
            "sqlx",
            "sqlx-core",
            "redis",
            "tokio-postgres",
            "reqwest",
            "actix-web",
            "moka",
            "async-std",
            "smol",
            "chrono",
            "time",
            "h2",
        ];
        for name in named {
            assert!(is_banned(name), "{name}");
        }
    }

    #[test]
    fn what_only_looks_alike_is_not_banned() {
        for name in ["smallvec", "tokio", "httpdate-like", "once_cell", "timer"] {
            assert!(!is_banned(name), "{name}");
        }
    }

    #[test]
    fn a_direct_dependency_that_nobody_decided_on_is_found() {
        let graph = graph(
            &[package(CORE, &[dependency("lazy_static", None, &[])])],
            &[package("lazy_static", &[])],
        );
        assert_eq!(direct(&graph).len(), 1);
    }

    #[test]
    fn a_tokio_feature_beyond_sync_and_time_is_found() {
        let net = dependency("tokio", None, &["sync", "net"]);
        let graph = graph(&[package(CORE, &[net])], &[package("tokio", &[])]);
        assert_eq!(
            tokio_features(&graph),
            ["idem-core asks tokio for its feature net"]
        );
    }

    #[test]
    fn tokios_default_features_are_found() {
        let mut tokio = dependency("tokio", None, &["sync"]);
        tokio["uses_default_features"] = json!(true);
        let graph = graph(&[package(CORE, &[tokio])], &[package("tokio", &[])]);
        assert_eq!(tokio_features(&graph).len(), 1);
    }

    #[test]
    fn only_the_feature_rt_may_turn_on_tokios_rt() {
        for (feature, turns_on) in [("default", "tokio/rt"), ("rt", "tokio/net")] {
            let mut core = package(CORE, &[dependency("tokio", None, &["sync"])]);
            core["features"] = json!({feature: [turns_on]});
            let graph = graph(&[core], &[package("tokio", &[])]);
            assert_eq!(
                tokio_features(&graph),
                [format!(
                    "feature {feature} of idem-core turns on {turns_on}"
                )]
            );
        }
    }
}
