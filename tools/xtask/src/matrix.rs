//! `cargo xtask matrix`: the store crates' tests against servers newer than a distribution has.

mod fetch;
mod moto;
mod servers;

use std::env;

use anyhow::Result;
use clap::Args;

use crate::cli::Install;
use crate::command::{Step, find_program};
use crate::lane::{Outcome, Report};
use crate::tally::Tally;
use crate::workspace::Workspace;
use fetch::Fetched;
use servers::{NATS, SERVERS, Server};

#[derive(Args)]
pub(crate) struct Matrix {
    /// Only the servers whose name contains one of these, such as `valkey` or `postgres-18`
    servers: Vec<String>,
}

pub(crate) fn run(workspace: &Workspace, matrix: &Matrix, report: &mut Report) {
    let picked: Vec<&Server> = SERVERS
        .iter()
        .filter(|server| matrix.picks(server))
        .collect();
    if picked.is_empty() {
        report.lane("matrix", || {
            let known = SERVERS.map(|server| server.name).join(", ");
            Ok(Outcome::Failed(format!(
                "no such server; there are {known}"
            )))
        });
    }
    for server in picked {
        let name = format!("{} on {}", server.tested_crate(), server.name);
        report.lane(&name, || test_against(workspace, server));
    }
}

impl Matrix {
    fn picks(&self, server: &Server) -> bool {
        let named = |part: &String| server.name.contains(part.as_str());
        self.servers.is_empty() || self.servers.iter().any(named)
    }
}

fn test_against(workspace: &Workspace, server: &Server) -> Result<Outcome> {
    let path = match fetch::fetch(workspace, server)? {
        Fetched::Ready(path) => path,
        Fetched::Absent(reason) => return Ok(absent(reason)),
    };
    let mut tally = Tally::default();
    let tested = server.tested_crate();
    Step::cargo(workspace)
        .env(server.variable(), &path.to_string_lossy())
        .args(["test", "-p", tested, "--all-features", "--no-fail-fast"])
        .run_watched(|line| tally.read(line))?;
    Ok(if tally.ran_any() {
        Outcome::Passed(tally.to_string())
    } else {
        Outcome::Skipped(format!("{tested} has no tests that ran"))
    })
}

/// Unpacks the server that no Debian package brings, for the tests of idem-consumer.
pub(crate) fn nats_lane(workspace: &Workspace, install: Install) -> Result<Outcome> {
    let is_there = find_program("nats-server").is_some() || is_set(NATS.variable());
    lane(is_there, install, || fetch::fetch(workspace, &NATS))
}

/// Installs the emulator of SQS, for the same tests.
pub(crate) fn moto_lane(workspace: &Workspace, install: Install) -> Result<Outcome> {
    lane(is_set("IDEM_MOTO_SERVER"), install, || {
        moto::fetch(workspace)
    })
}

fn is_set(variable: &str) -> bool {
    env::var_os(variable).is_some()
}

fn lane(
    is_there: bool,
    install: Install,
    fetch: impl FnOnce() -> Result<Fetched>,
) -> Result<Outcome> {
    if is_there {
        return Ok(Outcome::Passed("it is installed".to_owned()));
    }
    if install.no_install {
        return Ok(Outcome::Skipped("--no-install was given".to_owned()));
    }
    Ok(match fetch()? {
        Fetched::Ready(path) => Outcome::Passed(path.display().to_string()),
        // The tests that miss it fail in CI, and say that they were skipped elsewhere.
        Fetched::Absent(reason) => Outcome::Skipped(reason),
    })
}

/// At home a program that cannot be had is said and passed over; where nobody looks it is a failure.
pub(crate) fn absent(reason: String) -> Outcome {
    if env::var("CI").is_ok_and(|ci| ci == "true") {
        Outcome::Failed(reason)
    } else {
        Outcome::Skipped(reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picked(servers: &[&str]) -> Vec<&'static str> {
        let servers = servers.iter().map(|&name| name.to_owned()).collect();
        let matrix = Matrix { servers };
        let picked = SERVERS.iter().filter(|server| matrix.picks(server));
        picked.map(|server| server.name).collect()
    }

    #[test]
    fn all_servers_are_picked_unless_some_are_named() {
        assert_eq!(picked(&[]).len(), SERVERS.len());
        assert_eq!(picked(&["postgres"]), ["postgres-18"]);
        assert_eq!(picked(&["valkey"]), ["valkey-9.1", "valkey-8.1"]);
        assert_eq!(picked(&["nothing-alike"]), [""; 0]);
    }
}
