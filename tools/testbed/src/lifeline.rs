//! A watcher outside the test process, for the deaths that run no destructor.

use std::{
    io,
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, Command, Stdio},
};

use crate::TestbedError;

/// Blocks until the last copy of the pipe's writing end is gone, which the kernel sees to even when
/// the test process is killed with SIGKILL. Then kills whatever works in the folder or right below
/// it, until nothing is left there, and removes the folder, and the shared memory that Postgres has
/// outside it: what its lock file names, and what `initdb` had in use (a server is told to keep
/// that in its folder; `initdb` takes no such advice, and is stopped before it is looked at and
/// killed, lest it make some more in between).
///
/// A server that is being started at that very moment is not missed: until its `exec` it holds a
/// copy of the writing end itself, and by then it is in the folder.
const WATCH: &str = r#"
trap '' INT TERM HUP QUIT
cat >/dev/null
memory=
signal=STOP
while [ -d "$1" ]; do
    left=
    for process in /proc/[0-9]*; do
        for place in "$1" "$1"/*/; do
            if [ "$process/cwd" -ef "$place" ]; then
                memory="$memory $(sed -n 's|.* /dev/shm/PostgreSQL|/dev/shm/PostgreSQL|p' "$process/maps" 2>/dev/null)"
                kill -"$signal" "${process#/proc/}" 2>/dev/null && left=1
            fi
        done
    done
    if [ -z "$left" ]; then
        for lock in "$1"/*/postmaster.pid; do
            segment=$(sed -n '7s/.* //p' "$lock" 2>/dev/null)
            [ -z "$segment" ] || ipcrm -m "$segment" 2>/dev/null
        done
        rm -f $memory
        rm -rf -- "$1"
        exit
    fi
    signal=KILL
    sleep 0.01
done
"#;

/// Ties a folder to the life of this process.
///
/// A parent-death signal would be simpler, but it follows the *thread* that started the server, and
/// the threads of a test harness come and go.
#[derive(Debug)]
pub(crate) struct Lifeline {
    watcher: Child,
}

impl Lifeline {
    /// Starts the watcher of `folder`, which need not be there yet.
    pub(crate) fn tie(folder: &Path) -> Result<Self, TestbedError> {
        let watcher = Command::new("sh")
            .args(["-c", WATCH, "idem-testbed-lifeline"])
            .arg(folder)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Not in the test's group: a Ctrl-C at the terminal must reach the test alone.
            .process_group(0)
            .spawn()
            .map_err(missing_shell)?;
        Ok(Self { watcher })
    }
}

impl Drop for Lifeline {
    fn drop(&mut self) {
        drop(self.watcher.stdin.take());
        let _ = self.watcher.wait();
    }
}

fn missing_shell(source: io::Error) -> TestbedError {
    TestbedError::Io {
        action: "start `sh`, which looks after the servers".to_owned(),
        source,
    }
}
