//! [`DURATIONS`]: what a knob for a duration has to take.

use std::time::Duration;

/// Durations at the edges of every unit that something counts in: none panics in a knob, however short
/// or long. A knob refuses one when it is set, or works.
///
/// ```
/// use std::time::{Duration, Instant};
/// use idem_conformance::DURATIONS;
///
/// /// When to give up; never, where no clock can tell.
/// fn give_up(patience: Duration) -> Option<Instant> {
///     Instant::now().checked_add(patience)
/// }
///
/// for patience in DURATIONS {
///     give_up(patience);
/// }
/// ```
pub const DURATIONS: [Duration; 14] = {
    const DAY: u64 = 24 * 3600;
    [
        Duration::ZERO,
        Duration::from_nanos(1),
        Duration::from_millis(1),
        Duration::from_millis(1500),
        Duration::from_secs(30),
        Duration::from_micros(u32::MAX as u64 + 1),
        Duration::from_millis(i32::MAX as u64 + 1),
        Duration::from_millis(u32::MAX as u64 + 1),
        Duration::from_secs(u32::MAX as u64 + 1),
        Duration::from_secs(1000 * 365 * DAY),
        Duration::from_nanos(u64::MAX),
        Duration::from_millis(u64::MAX),
        Duration::from_secs(u64::MAX),
        Duration::MAX,
    ]
};
