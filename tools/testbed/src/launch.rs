//! How a program is started.

use std::{
    env,
    ffi::OsString,
    io,
    os::unix::process::CommandExt as _,
    path::{self, Path, PathBuf},
    process::{Command, Stdio},
    sync::LazyLock,
};

use crate::{TestbedError, account::Account};

/// Where a program is in `PATH`, or in one of these folders that Debian keeps out of most users' `PATH`.
pub(crate) fn in_path_or(folders: &[&str], program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(folders.iter().map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|program| program.is_file())
}

/// How a server is started, the first time and after every kill.
#[derive(Debug, Clone)]
pub(crate) struct Launch {
    /// For messages: what it is and where it listens.
    pub(crate) name: String,
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<OsString>,
    /// The user it runs as; none for the user of the test.
    pub(crate) account: Option<Account>,
    /// Whether it gets a session of its own, as a service has, where `setsid` is there to give it one.
    /// Linux shares the processors out between sessions first, and between threads second
    /// (`sched_autogroup_enabled`): in the session of its clients a server would have to share with each
    /// of their threads.
    pub(crate) own_session: bool,
}

/// Runs a program in a session of its own. It is not there on every system.
const SETSID: &str = "setsid";

impl Launch {
    /// The command, with `place` as its working directory: that is how [`residents`] finds it.
    pub(crate) fn command(&self, place: &Path) -> Command {
        let program = self.program_from_anywhere();
        // Either way out of the test's group: a Ctrl-C is the lifeline's to act on.
        let mut command = if self.own_session && has_setsid() {
            let mut command = Command::new(SETSID);
            command.arg(program);
            command
        } else {
            let mut command = Command::new(program);
            command.process_group(0);
            command
        };
        command
            .args(&self.args)
            .current_dir(place)
            // What it leaves among temporary files goes when its folder does.
            .env("TMPDIR", place)
            // Messages are matched and shown; settings meant for other servers are not for these.
            .env("LC_ALL", "C")
            .env_remove("PGDATA")
            .env_remove("PGPORT")
            .env_remove("PGHOST")
            .env_remove("PGUSER")
            .env_remove("PGOPTIONS")
            .stdin(Stdio::null());
        if let Some(account) = self.account {
            command.uid(account.uid).gid(account.gid);
        }
        command
    }

    /// A path that was relative to the working directory of the test is not to the server's. A name
    /// is looked for in `PATH`.
    fn program_from_anywhere(&self) -> PathBuf {
        if self.program.components().count() > 1 {
            path::absolute(&self.program).unwrap_or_else(|_| self.program.clone())
        } else {
            self.program.clone()
        }
    }

    /// Tells a program that is not there from one that could not be run.
    pub(crate) fn not_run(&self, source: io::Error) -> TestbedError {
        if source.kind() == io::ErrorKind::NotFound {
            return TestbedError::Missing {
                program: self.program.display().to_string(),
                hint: "it is not installed, or not where the environment says".to_owned(),
            };
        }
        let user = self.account.map_or(String::new(), |account| {
            format!(" as user {}, who must be able to read it", account.uid)
        });
        TestbedError::Io {
            action: format!("run {}{user}", self.program.display()),
            source,
        }
    }
}

fn has_setsid() -> bool {
    static HAS: LazyLock<bool> = LazyLock::new(|| {
        let mut asked = Command::new(SETSID);
        asked
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        asked.status().is_ok_and(|status| status.success())
    });
    *HAS
}
