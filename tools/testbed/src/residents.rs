//! The processes of one server: those whose working directory is in its folder.
//!
//! Neither the process group nor the parent would do: every Postgres backend makes a session of its
//! own, and loses its parent when the server is killed.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// Between two looks at processes that were signalled: how long a scheduler may take to act on it.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// Kills everything that lives in `folder`, and returns when nothing does any more.
///
/// All of it stands still first, as when the power goes: a Postgres backend that outlived the
/// server's first process by a moment would show others a commit that the standby does not have.
pub(crate) fn kill_all(folder: &Path) {
    stop_all(folder);
    signal_until(folder, Signal::KILL, |_| false);
}

/// Stops everything that lives in `folder`, and returns when all of it stands still.
pub(crate) fn stop_all(folder: &Path) {
    signal_until(folder, Signal::STOP, is_stopped);
}

/// Lets everything that lives in `folder` go on.
pub(crate) fn resume_all(folder: &Path) {
    for pid in living_in(folder) {
        send(folder, pid, Signal::CONT);
    }
}

/// Signals the residents that are not yet `settled`, again and again, since one that was missed may
/// have had a child meanwhile.
fn signal_until(folder: &Path, signal: Signal, settled: impl Fn(Pid) -> bool) {
    loop {
        let mut unsettled = living_in(folder);
        unsettled.retain(|pid| !settled(*pid));
        if unsettled.is_empty() {
            return;
        }
        for pid in unsettled {
            send(folder, pid, signal);
        }
        thread::sleep(LOOK_AGAIN);
    }
}

/// Sends `signal` unless the number belongs to another process by now: the descriptor pins the
/// process, and only then is it asked where it lives.
fn send(folder: &Path, pid: Pid, signal: Signal) {
    let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else {
        return;
    };
    if lives_in(folder, pid) {
        let _ = pidfd_send_signal(process, signal);
    }
}

/// A process that has ended but was not waited for has no working directory, and is not listed.
fn living_in(folder: &Path) -> Vec<Pid> {
    let Ok(processes) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    processes
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(Pid::from_raw)
        .filter(|pid| lives_in(folder, *pid))
        .collect()
}

fn lives_in(folder: &Path, pid: Pid) -> bool {
    fs::read_link(in_proc(pid, "cwd")).is_ok_and(|place| place.starts_with(folder))
}

/// The state letter is the first field after the command name, which may itself hold `)`.
fn is_stopped(pid: Pid) -> bool {
    fs::read_to_string(in_proc(pid, "stat")).is_ok_and(|stat| {
        stat.rsplit_once(") ")
            .is_some_and(|(_, fields)| fields.starts_with('T'))
    })
}

fn in_proc(pid: Pid, file: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{}/{file}", pid.as_raw_nonzero()))
}
