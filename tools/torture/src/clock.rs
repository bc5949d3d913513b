//! One clock for all processes of a run.

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds since the machine was started. Every process on it reads the same, and nobody sets
/// it; `std::time::Instant` is that clock as well, but cannot be written down.
pub(crate) type Nanos = u64;

pub(crate) const MILLISECOND: Nanos = 1_000_000;

/// Now.
pub(crate) fn now() -> Nanos {
    nanos(ClockId::Monotonic)
}

/// How far the wall clock, by which the servers measure ages, is ahead of [`now`].
pub(crate) fn wall_offset() -> Nanos {
    nanos(ClockId::Realtime).wrapping_sub(now())
}

fn nanos(clock: ClockId) -> Nanos {
    let time = clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    seconds * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_forward() {
        let before = now();
        std::thread::sleep(std::time::Duration::from_millis(2));
        assert!(now() >= before + 2 * MILLISECOND);
    }
}
