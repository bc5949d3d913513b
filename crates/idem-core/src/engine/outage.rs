//! Whether the store was out of reach for this process, and since when it answers again.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

/// The store's failures as this process sees them.
///
/// While the store is away nobody can renew. So a claimer that could not reach it for a third of a
/// lease gives holders the time of one renewal, from its own first success on, before it takes over
/// from them.
#[derive(Default)]
pub(crate) struct Outage {
    /// There is something to consider. Calls read it alone while all goes well.
    troubled: AtomicBool,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    /// The first and the latest failure since the last success.
    failing: Option<(Instant, Instant)>,
    last: Option<Over>,
}

/// An outage that is over.
#[derive(Clone, Copy)]
struct Over {
    lasted: Duration,
    since: Instant,
}

impl Outage {
    pub(super) fn failed(&self) {
        let now = Instant::now();
        let mut seen = self.lock();
        let first = seen.failing.map_or(now, |(first, _)| first);
        seen.failing = Some((first, now));
        self.troubled.store(true, Ordering::Relaxed);
    }

    pub(super) fn succeeded(&self) {
        if !self.troubled.load(Ordering::Relaxed) {
            return;
        }
        let now = Instant::now();
        let mut seen = self.lock();
        // By then the grace is over for every lease that the outage counts for.
        let is_past = |over: &Over| now.duration_since(over.since) >= over.lasted;
        seen.last = seen.last.filter(|over| !is_past(over));
        // Up to the latest failure: after it, nobody asked. So a single failure is no outage.
        if let Some((first, latest)) = seen.failing.take() {
            let lasted = latest.duration_since(first);
            if seen.last.is_none_or(|over| over.lasted <= lasted) {
                seen.last = Some(Over { lasted, since: now });
            }
        }
        if seen.last.is_none() {
            self.troubled.store(false, Ordering::Relaxed);
        }
    }

    /// How long a holder is trusted still whose lease of this length is over.
    pub(super) fn grace(&self, lease: Duration) -> Duration {
        if !self.troubled.load(Ordering::Relaxed) {
            return Duration::ZERO;
        }
        let renewal = lease / 3;
        match self.lock().last {
            Some(over) if over.lasted >= renewal => renewal.saturating_sub(over.since.elapsed()),
            _ => Duration::ZERO,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const LEASE: Duration = Duration::from_secs(30);
    const SECOND: Duration = Duration::from_secs(1);

    /// Else a call that fails again and again beside a quiet client would put off its take-over for
    /// ever.
    #[tokio::test(start_paused = true)]
    async fn single_failures_delay_nobody_however_quiet_the_process_is() {
        let outage = Outage::default();
        for _ in 0..3 {
            outage.failed();
            advance(2 * LEASE).await;
            outage.succeeded();
            assert_eq!(outage.grace(LEASE), Duration::ZERO);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn g1_only_an_outage_of_a_third_of_the_lease_gives_grace_and_only_once() {
        let outage = Outage::default();
        outage.failed();
        advance(LEASE / 3 - SECOND).await;
        outage.succeeded();
        assert_eq!(outage.grace(LEASE), Duration::ZERO);

        outage.failed();
        advance(LEASE / 3).await;
        outage.failed();
        outage.succeeded();
        assert_eq!(outage.grace(LEASE), LEASE / 3);
        advance(SECOND).await;
        // A single failure within the grace neither ends nor prolongs it.
        outage.failed();
        outage.succeeded();
        assert_eq!(outage.grace(LEASE), LEASE / 3 - SECOND);
        advance(LEASE / 3).await;
        outage.succeeded();
        assert_eq!(outage.grace(LEASE), Duration::ZERO);
        assert!(
            !outage.troubled.load(Ordering::Relaxed),
            "calls are fast again"
        );
    }
}
