//! Tools that a lane wants and that are not part of the toolchain.

use anyhow::Result;

use crate::cli::Install;
use crate::command::{Step, answers};
use crate::lane::Outcome;
use crate::workspace::Workspace;

/// A program, how to ask whether it is there, and how to get it.
pub(crate) struct Tool {
    name: &'static str,
    probe: &'static [&'static str],
    get: &'static str,
}

pub(crate) const DENY: Tool = Tool {
    name: "cargo-deny",
    probe: &["cargo", "deny", "--version"],
    get: "cargo install --locked cargo-deny",
};

pub(crate) const MDBOOK: Tool = Tool {
    name: "mdbook",
    probe: &["mdbook", "--version"],
    get: "cargo install --locked mdbook --no-default-features --features search",
};

pub(crate) const HACK: Tool = Tool {
    name: "cargo-hack",
    probe: &["cargo", "hack", "--version"],
    get: "cargo install --locked cargo-hack",
};

pub(crate) const MUTANTS: Tool = Tool {
    name: "cargo-mutants",
    probe: &["cargo", "mutants", "--version"],
    get: "cargo install --locked cargo-mutants",
};

pub(crate) const LLVM_COV: Tool = Tool {
    name: "cargo-llvm-cov",
    probe: &["cargo", "llvm-cov", "--version"],
    get: "cargo install --locked cargo-llvm-cov",
};

pub(crate) const LLVM_TOOLS: Tool = Tool {
    name: "the component llvm-tools",
    probe: &[
        "sh",
        "-c",
        "rustup component list --installed | grep -q ^llvm-tools",
    ],
    get: "rustup component add llvm-tools",
};

pub(crate) const SEMVER_CHECKS: Tool = Tool {
    name: "cargo-semver-checks",
    probe: &["cargo", "semver-checks", "--version"],
    get: "cargo install --locked cargo-semver-checks",
};

pub(crate) const FUZZ: Tool = Tool {
    name: "cargo-fuzz",
    probe: &["cargo", "fuzz", "--version"],
    get: "cargo install --locked cargo-fuzz",
};

pub(crate) const NIGHTLY: Tool = Tool {
    name: "the nightly toolchain",
    probe: &["rustup", "run", "nightly", "rustc", "--version"],
    get: "rustup toolchain install nightly",
};

pub(crate) const PIP: Tool = Tool {
    name: "pip",
    probe: &["python3", "-m", "pip", "--version"],
    get: "sudo apt-get install -y python3-pip",
};

impl Tool {
    /// Gets it where it is missing, unless nothing may be installed. `None` when it is there afterwards;
    /// else what the lane that wants it ends with.
    pub(crate) fn get(&self, workspace: &Workspace, install: Install) -> Option<Outcome> {
        let absent = self.absent()?;
        if install.no_install {
            return Some(absent);
        }
        match self.install(workspace) {
            Ok(()) => None,
            Err(error) => {
                eprintln!("{} cannot be installed: {error:#}", self.name);
                Some(absent)
            }
        }
    }

    /// Gets it by typing what `get` says.
    ///
    /// # Errors
    /// When getting it fails: no network, no toolchain for it.
    pub(crate) fn install(&self, workspace: &Workspace) -> Result<()> {
        if self.absent().is_none() {
            return Ok(());
        }
        let mut words = self.get.split_whitespace();
        let program = words.next().unwrap_or_default();
        Step::new(workspace, program).args(words).run()
    }

    /// `None` when it is there; else what the lane that wants it ends with.
    pub(crate) fn absent(&self) -> Option<Outcome> {
        let (program, args) = self.probe.split_first()?;
        if answers(program, args) {
            return None;
        }
        let Self { name, get, .. } = self;
        Some(Outcome::Skipped(format!(
            "{name} is absent; get it with `{get}`"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absent_tool_is_said_by_name_with_the_way_to_get_it() {
        let tool = Tool {
            name: "cargo-nowhere",
            probe: &["cargo", "no-such-subcommand-anywhere"],
            get: "cargo install cargo-nowhere",
        };
        assert_eq!(
            tool.absent(),
            Some(Outcome::Skipped(
                "cargo-nowhere is absent; get it with `cargo install cargo-nowhere`".to_owned()
            ))
        );
    }

    #[test]
    fn a_tool_that_answers_is_not_absent() {
        let tool = Tool {
            name: "sh",
            probe: &["sh", "-c", "exit 0"],
            get: "",
        };
        assert_eq!(tool.absent(), None);
    }
}
