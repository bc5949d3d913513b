//! Running the program.

use std::process::{Command, Output};

use serde_json::Value;

/// The program, with a store.
pub(crate) struct Idem {
    url: String,
}

/// What it printed, and its exit code.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Idem {
    pub(crate) fn at(url: impl Into<String>) -> Self {
        Self { url: url.into() }
    }

    /// Runs it with arguments that have no spaces in them.
    pub(crate) fn run(&self, arguments: &str) -> Ran {
        self.with(&arguments.split_whitespace().collect::<Vec<_>>())
    }

    pub(crate) fn with(&self, arguments: &[&str]) -> Ran {
        run(Command::new(env!("CARGO_BIN_EXE_idem"))
            .args(arguments)
            .env("IDEM_STORE", &self.url))
    }

    /// Runs it with `--json`.
    pub(crate) fn json(&self, arguments: &str) -> Vec<Value> {
        self.run(&format!("{arguments} --json")).lines()
    }

    /// The states of the records under a scope, by their keys.
    pub(crate) fn state(&self, key: &str) -> String {
        let ran = self.with(&["show", key, "--json"]);
        assert_eq!(ran.code, 0, "{ran:?}");
        ran.lines()[0]["state"].as_str().unwrap().to_owned()
    }
}

pub(crate) fn run(command: &mut Command) -> Ran {
    let Output {
        status,
        stdout,
        stderr,
    } = command
        .env("USER", "ada")
        .env_remove("NO_COLOR")
        .env_remove("CLICOLOR_FORCE")
        .output()
        .unwrap();
    Ran {
        code: status.code().unwrap(),
        out: String::from_utf8(stdout).unwrap(),
        err: String::from_utf8(stderr).unwrap(),
    }
}

impl Ran {
    /// One JSON value a line.
    pub(crate) fn lines(&self) -> Vec<Value> {
        let lines = self.out.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{self:?}")))
            .collect()
    }

    #[track_caller]
    pub(crate) fn expect(&self, code: i32) -> &Self {
        assert_eq!(self.code, code, "{self:?}");
        self
    }

    /// The codes of what `doctor` found.
    pub(crate) fn findings(&self) -> Vec<String> {
        let lines = self.lines().into_iter();
        let found = lines.filter(|line| line["type"] == "finding");
        found
            .map(|line| line["code"].as_str().unwrap().to_owned())
            .collect()
    }
}
