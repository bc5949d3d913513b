//! [`deadline`]: a time from now, however long.

use std::time::Duration;

use tokio::time::Instant;

/// Longer than any process lives; what `tokio::time::sleep` takes in place of a time it cannot tell.
const FAR: Duration = Duration::from_secs(86400 * 365 * 30);

/// The moment that is `after` away from `now`. `Instant + Duration` panics where the sum does not
/// fit; this is then thirty years away.
pub(crate) fn deadline(now: Instant, after: Duration) -> Instant {
    now.checked_add(after).unwrap_or_else(|| now + FAR)
}
