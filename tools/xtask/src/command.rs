//! Running programs: what is typed is shown first, and a failure says how to type it again.

use std::env;
use std::ffi::OsStr;
use std::io::{self, IsTerminal as _, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;

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

    /// Runs it and hands every line of its output, of both streams, to `watch` as well; nothing is
    /// held back from the terminal, unfinished lines neither.
    pub(crate) fn run_watched(mut self, watch: impl FnMut(&str) + Send) -> Result<()> {
        if io::stderr().is_terminal() {
            // Below us it looks as if nobody watched, so cargo would show neither.
            self.command.envs([
                ("CARGO_TERM_COLOR", "always"),
                ("CARGO_TERM_PROGRESS_WHEN", "always"),
                ("CARGO_TERM_PROGRESS_WIDTH", "80"),
            ]);
        }
        let line = self.announce();
        let mut child = self
            .command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| cannot_start(&line))?;
        let piped = "both streams were asked for as pipes";
        let output = child.stdout.take().expect(piped);
        let errors = child.stderr.take().expect(piped);
        let watch = Mutex::new(watch);
        thread::scope(|scope| {
            let beside = scope.spawn(|| pass_on(errors, io::stderr(), &watch));
            pass_on(output, io::stdout(), &watch)?;
            beside.join().expect("passing output on does not panic")
        })
        .context("passing its output on")?;
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

/// Copies `from` to `to` as it comes, and hands each finished line to `watch`.
fn pass_on(
    mut from: impl Read,
    mut to: impl Write,
    watch: &Mutex<impl FnMut(&str)>,
) -> io::Result<()> {
    let mut chunk = [0; 8192];
    let mut line = Vec::new();
    loop {
        let read = from.read(&mut chunk)?;
        if read == 0 {
            return Ok(());
        }
        to.write_all(&chunk[..read])?;
        to.flush()?;
        for &byte in &chunk[..read] {
            if byte == b'\n' {
                let mut watch = watch.lock().unwrap_or_else(PoisonError::into_inner);
                watch(&String::from_utf8_lossy(&line));
                line.clear();
            } else {
                line.push(byte);
            }
        }
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

    /// Hands out its text one byte at a time.
    struct Dripping<'a>(&'a [u8]);

    impl Read for Dripping<'_> {
        fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
            self.0
                .split_off(..self.0.len().min(1))
                .unwrap_or_default()
                .read(to)
        }
    }

    #[test]
    fn output_is_passed_on_whole_and_watched_by_lines_however_it_is_cut() {
        let text = "one\n\ntwo\nunfinished";
        let mut copy = Vec::new();
        let mut seen = Vec::new();
        let watch = Mutex::new(|line: &str| seen.push(line.to_owned()));
        pass_on(Dripping(text.as_bytes()), &mut copy, &watch).expect("both are in memory");
        assert_eq!(copy, text.as_bytes());
        assert_eq!(seen, ["one", "", "two"]);
    }

    #[test]
    fn programs_are_found_in_path_only_when_they_are_there() {
        assert!(find_program("sh").is_some());
        assert!(find_program("no-such-program-anywhere").is_none());
    }
}
