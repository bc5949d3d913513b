//! Running programs: what is typed is shown first, and a failure says how to type it again.

use std::env;
use std::ffi::OsStr;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::workspace::Workspace;

/// One program call in the root of the repository.
pub(crate) struct Step {
    command: Command,
    shown: Vec<String>,
}

impl Step {
    pub(crate) fn new(workspace: &Workspace, program: &str) -> Self {
        let mut command = Command::new(program);
        command.current_dir(workspace.root());
        for (name, _) in env::vars_os() {
            if describes_this_package(&name) {
                command.env_remove(name);
            }
        }
        Self {
            command,
            shown: vec![program.to_owned()],
        }
    }

    pub(crate) fn cargo(workspace: &Workspace) -> Self {
        Self::new(workspace, "cargo")
    }

    pub(crate) fn args<I>(mut self, args: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        for arg in args {
            let arg = arg.as_ref();
            self.command.arg(arg);
            self.shown.push(quoted(arg));
        }
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self.shown.insert(0, format!("{name}={}", quoted(value)));
        self
    }

    /// Runs it with this terminal's input and output.
    pub(crate) fn run(mut self) -> Result<()> {
        let line = self.announce();
        let status = self.command.status().with_context(|| cannot_start(&line))?;
        succeeded(&line, status)
    }

    /// As [`run`](Self::run), for a call too long to show: `line` is shown in its place.
    pub(crate) fn run_shown_as(mut self, line: &str) -> Result<()> {
        self.shown = vec![line.to_owned()];
        self.run()
    }

    /// Runs it and hands every chunk of its standard output to `watch` too; nothing is held back
    /// from the terminal.
    pub(crate) fn run_watched(mut self, mut watch: impl FnMut(&[u8])) -> Result<()> {
        let line = self.announce();
        let mut child = self
            .command
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| cannot_start(&line))?;
        let mut output = child
            .stdout
            .take()
            .expect("standard output was asked for as a pipe");
        let mut chunk = [0; 8192];
        loop {
            let read = output.read(&mut chunk).context("reading its output")?;
            if read == 0 {
                break;
            }
            watch(&chunk[..read]);
            io::stdout().write_all(&chunk[..read])?;
            io::stdout().flush()?;
        }
        succeeded(&line, child.wait()?)
    }

    /// Runs it in silence and hands back its standard output.
    pub(crate) fn output(mut self) -> Result<Vec<u8>> {
        let line = self.shown.join(" ");
        let output = self
            .command
            .stdin(Stdio::null())
            .output()
            .with_context(|| cannot_start(&line))?;
        if !output.status.success() {
            let complaint = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            bail!("`{line}` ended with {}: {complaint}", output.status);
        }
        Ok(output.stdout)
    }

    fn announce(&self) -> String {
        let line = self.shown.join(" ");
        eprintln!("$ {line}");
        line
    }
}

/// `cargo run` describes the xtask package to us in these; a cargo below would take them for its
/// own.
fn describes_this_package(name: &OsStr) -> bool {
    name.to_str()
        .is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"))
}

fn cannot_start(line: &str) -> String {
    format!("`{line}` cannot be started")
}

fn succeeded(line: &str, status: ExitStatus) -> Result<()> {
    if status.success() {
        Ok(())
    } else {
        bail!("`{line}` ended with {status}")
    }
}

fn quoted(arg: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:,+@%".contains(c);
    if !arg.is_empty() && arg.chars().all(plain) {
        arg.to_owned()
    } else {
        format!("'{}'", arg.replace('\'', r"'\''"))
    }
}

/// Whether `program args` runs and succeeds; says nothing.
pub(crate) fn answers(program: &str, args: &[&str]) -> bool {
    Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// The first place in `PATH`, or in the folders of servers that a user's `PATH` may lack, that has
/// `program`.
pub(crate) fn find_program(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    env::split_paths(&path)
        .chain(system)
        .map(|folder| folder.join(program))
        .find(|candidate| is_executable(candidate))
}

/// Whether `path` is a file that somebody may execute.
pub(crate) fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata()
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_can_be_typed() {
        assert_eq!(quoted("--all-features"), "--all-features");
        assert_eq!(quoted("-D warnings"), "'-D warnings'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }

    #[test]
    fn only_the_description_of_this_package_is_kept_from_commands_below() {
        assert!(describes_this_package(OsStr::new("CARGO_PKG_NAME")));
        assert!(describes_this_package(OsStr::new("CARGO_MANIFEST_DIR")));
        assert!(!describes_this_package(OsStr::new("CARGO_TARGET_DIR")));
        assert!(!describes_this_package(OsStr::new("CARGO_INCREMENTAL")));
    }

    #[test]
    fn programs_are_found_in_path_only_when_they_are_there() {
        assert!(find_program("sh").is_some());
        assert!(find_program("no-such-program-anywhere").is_none());
    }
}
