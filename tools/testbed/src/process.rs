//! One server process: started, killed, stopped, started again over the same folder.

use std::{
    fmt,
    fs::{self, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
    process::{Child, ExitStatus},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    TestbedError,
    folder::Folder,
    launch::Launch,
    log_tail, residents,
    wait::{self, Wait},
};

/// A server process in a folder of its own. Dropping it kills the server; the folder goes with its
/// last owner.
pub(crate) struct Process {
    launch: Launch,
    child: Mutex<Option<Child>>,
    folder: Arc<Folder>,
}

impl Process {
    /// A server that is not running yet.
    pub(crate) fn new(launch: Launch, folder: Arc<Folder>) -> Self {
        Self {
            launch,
            child: Mutex::new(None),
            folder,
        }
    }

    /// Starts the server and waits until `probe` says it serves. A server that is running is left
    /// alone but for the waiting; if it was about to end by itself, it is started once it has.
    pub(crate) fn start(
        &self,
        mut probe: impl FnMut() -> Result<(), String>,
    ) -> Result<(), TestbedError> {
        let mut started = self.start_unless_running()?;
        let wait = Wait {
            server: &self.launch.name,
            what: "the first answer",
            log: &|| self.log_tail(),
        };
        wait.until(|| {
            if let Some(reason) = self.ending() {
                let was_killed = self.child().is_none();
                if started || was_killed {
                    return Err(wait::Not::Ever(self.start_failure(reason)));
                }
                started = self.start_unless_running().map_err(wait::Not::Ever)?;
            }
            probe().map_err(wait::Not::Yet)
        })
    }

    /// `false` when it runs.
    fn start_unless_running(&self) -> Result<bool, TestbedError> {
        let mut child = self.child();
        if runs(&mut child) {
            return Ok(false);
        }
        // A server that ended by itself may have left children behind.
        residents::kill_all(self.folder.path());
        *child = Some(self.spawn()?);
        Ok(true)
    }

    /// Kills the server and whatever it forked with SIGKILL, and returns when all of it is gone.
    pub(crate) fn kill(&self) {
        residents::kill_all(self.folder.path());
        if let Some(mut child) = self.child().take() {
            // For systems without `/proc`, where no residents are found.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Stops the server and whatever it forked with SIGSTOP.
    pub(crate) fn pause(&self) {
        residents::stop_all(self.folder.path());
    }

    /// Undoes [`pause`](Self::pause).
    pub(crate) fn resume(&self) {
        residents::resume_all(self.folder.path());
    }

    /// Whether the server was started and has neither ended nor been killed.
    pub(crate) fn is_running(&self) -> bool {
        runs(&mut self.child())
    }

    /// The process number of the running server.
    pub(crate) fn id(&self) -> Option<u32> {
        self.child().as_ref().map(Child::id)
    }

    pub(crate) fn name(&self) -> &str {
        &self.launch.name
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The last lines of the server's log.
    pub(crate) fn log_tail(&self) -> String {
        log_tail::of(&self.log_path())
    }

    /// All that the server has written so far.
    pub(crate) fn log(&self) -> String {
        let log = fs::read(self.log_path()).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// Asks the server to end by this signal, and waits until it has.
    pub(crate) fn end_with(&self, signal: Signal) -> Result<ExitStatus, TestbedError> {
        let pid = self.child().as_ref().map(Pid::from_child);
        if let Some(pid) = pid.filter(|_| self.is_running()) {
            kill_process(pid, signal).map_err(|errno| TestbedError::Io {
                action: format!("signal {}", self.launch.name),
                source: errno.into(),
            })?;
        }
        let wait = Wait {
            server: &self.launch.name,
            what: "its end",
            log: &|| self.log_tail(),
        };
        wait.until(|| match self.child().as_mut().map(Child::try_wait) {
            Some(Ok(Some(status))) => Ok(status),
            Some(Ok(None)) => Err(wait::Not::Yet("it goes on".to_owned())),
            Some(Err(source)) => Err(wait::Not::Ever(TestbedError::Io {
                action: format!("wait for {}", self.launch.name),
                source,
            })),
            None => Err(wait::Not::Ever(
                self.start_failure("it was killed before".to_owned()),
            )),
        })
    }

    fn spawn(&self) -> Result<Child, TestbedError> {
        let mut log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log_path())
            .map_err(TestbedError::io("open a server's log"))?;
        let _ = writeln!(log, "--- start of {}", self.launch.name);
        let errors = log
            .try_clone()
            .map_err(TestbedError::io("open a server's log"))?;
        self.launch
            .command(self.folder.path())
            .stdout(log)
            .stderr(errors)
            .spawn()
            .map_err(|source| self.launch.not_run(source))
    }

    /// How the server ended, if it did.
    fn ending(&self) -> Option<String> {
        let mut child = self.child();
        let Some(child) = child.as_mut() else {
            return Some("it was killed meanwhile".to_owned());
        };
        match child.try_wait() {
            Ok(None) => None,
            Ok(Some(status)) => Some(format!("it ended with {status}")),
            Err(error) => Some(format!("its state cannot be told: {error}")),
        }
    }

    fn start_failure(&self, reason: String) -> TestbedError {
        TestbedError::Start {
            server: self.launch.name.clone(),
            reason,
            log: self.log_tail(),
        }
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("server.log")
    }

    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn runs(child: &mut Option<Child>) -> bool {
    matches!(child.as_mut().map(Child::try_wait), Some(Ok(None)))
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process")
            .field("name", &self.launch.name)
            .field("id", &self.id())
            .field("folder", &self.folder.path())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Process {
        let launch = Launch {
            name: "a shell".to_owned(),
            program: "sh".into(),
            args: vec!["-c".into(), script.into()],
            account: None,
            own_session: false,
        };
        Process::new(launch, Arc::new(Folder::create(None).unwrap()))
    }

    fn starts(process: &Process) -> usize {
        process.log().matches("--- start of").count()
    }

    #[test]
    fn a_server_that_was_about_to_end_is_started_once_it_has() {
        let process = shell("exec sleep 600");
        process.start(|| Ok(())).unwrap();
        let first = process.id();
        let mut looks = 0;
        process
            .start(|| {
                looks += 1;
                if looks == 1 {
                    process.end_with(Signal::TERM).unwrap();
                    return Err("it is about to end".to_owned());
                }
                Ok(())
            })
            .unwrap();
        assert!(process.is_running());
        assert_ne!(process.id(), first);
    }

    #[test]
    fn a_server_that_ends_when_it_is_started_has_failed() {
        let process = shell("exit 3");
        let not_yet = || Err("it never answers".to_owned());
        let failure = process.start(not_yet).unwrap_err();
        assert!(failure.to_string().contains("exit status: 3"), "{failure}");
        assert_eq!(starts(&process), 1);
    }

    #[test]
    fn a_server_that_is_killed_meanwhile_stays_so() {
        let process = shell("exec sleep 600");
        process.start(|| Ok(())).unwrap();
        let killed = process.start(|| {
            process.kill();
            Err("it is gone".to_owned())
        });
        killed.unwrap_err();
        assert!(!process.is_running());
        assert_eq!(starts(&process), 1);
    }
}
