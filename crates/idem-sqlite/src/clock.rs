//! The store's clock.
//!
//! SQLite has no clock of its own, so the store's is the host's. All processes that share a file are
//! on one host (a network share is refused), so they can share a clock that does not step:
//!
//! - **Within one boot** time is `CLOCK_BOOTTIME` plus an offset. All processes of a kernel read the
//!   same value, nobody can set it, and it goes on while the machine sleeps. The offset is chosen
//!   once per boot, by the first process that opens the file, and kept in the file beside the boot's
//!   id. A step of the wall clock changes nothing: it is not read.
//! - **Writers** read it while they hold the write lock, so times in the file never decrease, and
//!   whether a record has expired is decided under the lock that its update would need.
//! - **Suspend** counts: leases run out while the machine sleeps, for all processes alike. Who wakes
//!   up first may take over, and the sleeping holder finds itself superseded, as after any pause.
//! - **A reboot** starts the boot time anew. How long the machine was off is known by the wall clock
//!   alone. So the file holds the latest time seen, at most [`GRAIN`] old, and the wall clock's
//!   reading at it. The first process after the reboot goes on at `seen + max(wall time since,
//!   GRAIN)`: never before a time that was written. A wall clock that was set back makes ages stand
//!   still over the reboot. One that was set forward makes them jump, which lets no live lease lapse,
//!   since no holder on this host outlived the reboot; it may end a retention early.
//!
//! What is left:
//!
//! - A retention may end early, or late, by the error of the wall clock over a reboot.
//! - Ages that were only read, and not written, within the last second before a reboot may be seen
//!   smaller once after it where the wall clock was set back as well.
//! - Two kernels on one file (a file that a host shares with a virtual machine) have two boots, and
//!   set the clock against each other. So do two time namespaces of Linux. Neither is supported.
//! - **Where there is no `CLOCK_BOOTTIME` and no boot id** (macOS, Windows) every process is a boot of
//!   its own: its time starts as after a reboot and goes on by its monotonic clock. A step of the wall
//!   clock while it runs changes nothing for it. A process that is started after such a step differs
//!   from those before it by the step, and takes their leases for older than they are where it went
//!   forward. Restart all of them after setting the clock there.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// How old the noted time may get before a writer notes it again.
pub(crate) const GRAIN: i64 = 1000;

/// What the file says of the clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Noted {
    /// The boot that the offset is for.
    pub(crate) boot: String,
    pub(crate) offset_ms: i64,
    /// The latest time seen, and the wall clock at it.
    pub(crate) seen_ms: i64,
    pub(crate) wall_ms: i64,
}

/// What the host says.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    boot: String,
    since_boot_ms: i64,
    wall_ms: i64,
}

/// The clock of one file, while one process has it open.
#[derive(Debug)]
pub(crate) struct Clock {
    offset_ms: i64,
    noted_ms: AtomicI64,
}

impl Clock {
    /// Goes on with a clock, or sets it after a reboot. The second value is to be noted in the file,
    /// in the transaction in which the first was read.
    pub(crate) fn start(noted: Option<&Noted>, host: &Host) -> (Self, Option<Noted>) {
        let offset_ms = match noted {
            Some(noted) if noted.boot == host.boot => {
                let clock = Self {
                    offset_ms: noted.offset_ms,
                    noted_ms: AtomicI64::new(noted.seen_ms),
                };
                return (clock, None);
            }
            Some(before) => {
                let off = host.wall_ms.saturating_sub(before.wall_ms).max(GRAIN);
                before.seen_ms.saturating_add(off) - host.since_boot_ms
            }
            // For people: close to the time of day, while nothing steps.
            None => host.wall_ms - host.since_boot_ms,
        };
        let seen_ms = offset_ms + host.since_boot_ms;
        let clock = Self {
            offset_ms,
            noted_ms: AtomicI64::new(seen_ms),
        };
        let noted = Noted {
            boot: host.boot.clone(),
            offset_ms,
            seen_ms,
            wall_ms: host.wall_ms,
        };
        (clock, Some(noted))
    }

    /// Now, in milliseconds. Writers call it while they hold the write lock.
    pub(crate) fn now_ms(&self) -> i64 {
        self.offset_ms + since_boot_ms()
    }

    /// The wall clock's reading, if it is time to note it beside this time.
    pub(crate) fn is_to_be_noted(&self, now_ms: i64) -> Option<i64> {
        let due = now_ms.saturating_sub(self.noted_ms.load(Ordering::Relaxed)) >= GRAIN;
        due.then(wall_ms)
    }

    /// It was noted, and that is committed.
    pub(crate) fn was_noted(&self, now_ms: i64) {
        self.noted_ms.store(now_ms, Ordering::Relaxed);
    }
}

impl Host {
    pub(crate) fn read() -> Self {
        Self {
            boot: boot(),
            since_boot_ms: since_boot_ms(),
            wall_ms: wall_ms(),
        }
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn since_boot_ms() -> i64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    time.tv_sec * 1000 + time.tv_nsec / 1_000_000
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn boot() -> String {
    match std::fs::read_to_string("/proc/sys/kernel/random/boot_id") {
        Ok(id) => id.trim().to_owned(),
        Err(_) => own_boot().to_owned(),
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn since_boot_ms() -> i64 {
    use std::{sync::OnceLock, time::Instant};
    static START: OnceLock<Instant> = OnceLock::new();
    millis(START.get_or_init(Instant::now).elapsed())
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn boot() -> String {
    own_boot().to_owned()
}

/// An id for a process that cannot tell which boot it is in.
fn own_boot() -> &'static str {
    use std::sync::OnceLock;
    static OWN: OnceLock<String> = OnceLock::new();
    OWN.get_or_init(|| format!("process {}", idem_core::IdempotencyKey::random().as_str()))
}

fn wall_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    millis(since.unwrap_or(Duration::ZERO))
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WALL: i64 = 1_700_000_000_000;

    fn host(boot: &str, since_boot_ms: i64, wall_ms: i64) -> Host {
        Host {
            boot: boot.to_owned(),
            since_boot_ms,
            wall_ms,
        }
    }

    fn time(clock: &Clock, since_boot_ms: i64) -> i64 {
        clock.offset_ms + since_boot_ms
    }

    #[test]
    fn s4_processes_of_one_boot_agree_whatever_the_wall_clock_does() {
        let (first, noted) = Clock::start(None, &host("a", 5_000, WALL));
        for stepped in [WALL - 86_400_000, WALL + 86_400_000, 0] {
            let (second, written) = Clock::start(noted.as_ref(), &host("a", 9_000, stepped));
            assert_eq!(written, None);
            assert_eq!(time(&second, 9_500), time(&first, 9_500));
        }
    }

    #[test]
    fn s4_time_off_counts_over_a_reboot() {
        let (_, noted) = Clock::start(None, &host("a", 500_000, WALL));
        let (clock, _) = Clock::start(noted.as_ref(), &host("b", 1_000, WALL + 60_000));
        assert_eq!(time(&clock, 1_000), WALL + 60_000);
    }

    #[test]
    fn s4_time_never_goes_back_over_a_reboot_with_a_wall_clock_set_back() {
        let (clock, noted) = Clock::start(None, &host("a", 500_000, WALL));
        let latest_written = time(&clock, 500_000) + GRAIN;
        let (clock, noted) = Clock::start(noted.as_ref(), &host("b", 1_000, WALL - 86_400_000));
        assert!(time(&clock, 1_000) >= latest_written);
        let noted = noted.expect("a new boot is noted");
        assert_eq!(noted.seen_ms, time(&clock, 1_000));
    }
}
