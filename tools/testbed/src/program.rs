//! Any program a test needs beside it: the very binary under test, a browser's driver.

use std::{
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
    process::ExitStatus,
    sync::Arc,
};

use rustix::process::Signal;

use crate::{TestbedError, folder::Folder, launch::Launch, process::Process, unblock::unblock};

/// A running program in a folder of its own, which is its working directory.
///
/// Dropping it kills the program and whatever it started, and removes the folder.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), idem_testbed::TestbedError> {
/// use idem_testbed::{Program, skip_or_fail};
///
/// let script = ["-c", "echo ready on port 80; exec sleep 60"];
/// let started = Program::start("sh", script, |log| {
///     let (_, port) = log.split_once("ready on port ")?;
///     port.split_once('\n')?.0.parse::<u16>().ok()
/// });
/// let Some((shell, port)) = skip_or_fail(started.await) else {
///     return Ok(());
/// };
/// assert_eq!(port, 80);
/// let status = shell.terminate().await?;
/// assert!(!status.success());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Program {
    process: Arc<Process>,
}

impl Program {
    /// Starts `program`, a path or a name to look for in `PATH`, and waits until `ready` finds in
    /// what the program has written so far, on both of its outputs, what the test needs to know.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Missing`] if there is no such program, [`TestbedError::Start`] if it ends
    /// without having been ready, [`TestbedError::Timeout`] if it never is.
    pub async fn start<A, T>(
        program: impl Into<PathBuf>,
        args: impl IntoIterator<Item = A>,
        ready: impl FnMut(&str) -> Option<T> + Send + 'static,
    ) -> Result<(Self, T), TestbedError>
    where
        A: Into<OsString>,
        T: Send + 'static,
    {
        let program = program.into();
        let args: Vec<OsString> = args.into_iter().map(Into::into).collect();
        unblock(move || Self::start_blocking(program, args, ready)).await
    }

    fn start_blocking<T>(
        program: PathBuf,
        args: Vec<OsString>,
        mut ready: impl FnMut(&str) -> Option<T>,
    ) -> Result<(Self, T), TestbedError> {
        let launch = Launch {
            name: name_of(&program),
            program,
            args,
            account: None,
            own_session: false,
        };
        let folder = Folder::create(None)?;
        let process = Process::new(launch, Arc::new(folder));
        let mut found = None;
        let started = process.start(|| {
            found = ready(&process.log());
            match found {
                Some(_) => Ok(()),
                None => Err("not ready yet, by what it wrote".to_owned()),
            }
        });
        // A short-lived program may have written it and ended between two looks.
        let found = match (started, found) {
            (_, Some(found)) => found,
            (Err(failure), None) => ready(&process.log()).ok_or(failure)?,
            (Ok(()), None) => unreachable!("`start` returns once the probe found it"),
        };
        let process = Arc::new(process);
        Ok((Self { process }, found))
    }

    /// Its folder. Gone when the program is.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.process.folder()
    }

    /// What it has written so far, on both of its outputs.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Whether it has neither ended nor been killed. A paused program runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.process.is_running()
    }

    /// Asks it to end (SIGTERM) and waits until it has.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Timeout`] if it goes on.
    pub async fn terminate(&self) -> Result<ExitStatus, TestbedError> {
        let process = Arc::clone(&self.process);
        unblock(move || process.end_with(Signal::TERM)).await
    }

    /// Kills it and whatever it started (SIGKILL), and returns when all of it is gone.
    pub fn kill(&self) {
        self.process.kill();
    }

    /// Stops it in its tracks (SIGSTOP).
    pub fn pause(&self) {
        self.process.pause();
    }

    /// Undoes [`pause`](Self::pause).
    pub fn resume(&self) {
        self.process.resume();
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Program").field(&self.process).finish()
    }
}

fn name_of(program: &Path) -> String {
    let name = program.file_name().unwrap_or(program.as_os_str());
    name.to_string_lossy().into_owned()
}
