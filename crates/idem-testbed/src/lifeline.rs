//! A watcher outside the test process, for the deaths that run no destructor.

use std::{
    io,
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, Command, Stdio},
};

use rustix::process::Signal;

use crate::TestbedError;

/// Blocks until the last copy of the pipe's writing end is gone, which the kernel sees to even when
/// the test process is killed with SIGKILL. Then signals whatever works in the folder or right
/// below it, for five seconds the way it was told to and then with SIGKILL, until nothing is left
/// there, and removes the folder.
///
/// A server that is being started at that very moment is not missed: until its `exec` it holds a
/// copy of the writing end itself, and by then it is in the folder.
const WATCH: &str = r#"
trap '' INT TERM HUP QUIT
cat >/dev/null
signal=$2
round=0
while [ -d "$1" ]; do
    left=
    for process in /proc/[0-9]*; do
        for place in "$1" "$1"/*/; do
            if [ "$process/cwd" -ef "$place" ]; then
                kill -CONT "${process#/proc/}" 2>/dev/null
                kill -"$signal" "${process#/proc/}" 2>/dev/null && left=1
            fi
        done
    done
    if [ -z "$left" ]; then
        rm -rf -- "$1"
        exit
    fi
    round=$((round + 1))
    [ "$round" -lt 50 ] || signal=9
    sleep 0.1
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
    pub(crate) fn tie(folder: &Path, farewell: Signal) -> Result<Self, TestbedError> {
        let watcher = Command::new("sh")
            .args(["-c", WATCH, "idem-testbed-lifeline"])
            .arg(folder)
            .arg(farewell.as_raw().to_string())
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
