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
/// While the store is away, or takes no writes, nobody can renew. So a claimer that could not reach it, or
/// write to it, for a third of a lease gives holders the time of one renewal, from its own first
/// success on, before it takes over from them.
#[derive(Default)]
pub(crate) struct Outage {
    /// There is something to consider. Calls read it alone while all goes well.
    troubled: AtomicBool,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    /// No call was answered.
    away: Failures,
    /// No write was applied, for want of room or because somebody holds the only write lock. Reads may
    /// have been answered, and prove nothing.
    unwritable: Failures,
}

#[derive(Default)]
struct Failures {
    /// The first and the latest one since the last success.
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
    /// A call failed in a way that may pass; `writes` if it was a write.
    pub(super) fn failed(&self, writes: bool) {
        let mut seen = self.lock();
        seen.away.failed();
        if writes {
            seen.unwritable.failed();
        }
        self.troubled.store(true, Ordering::Relaxed);
    }

    /// A write was refused for want of room.
    pub(super) fn full(&self) {
        self.lock().unwritable.failed();
        self.troubled.store(true, Ordering::Relaxed);
    }

    /// A call was answered; `wrote`, if it was a write that was applied.
    pub(super) fn succeeded(&self, wrote: bool) {
        if !self.troubled.load(Ordering::Relaxed) {
            return;
        }
        let mut seen = self.lock();
        seen.away.succeeded();
        if wrote {
            seen.unwritable.succeeded();
        }
        if seen.away.is_forgotten() && seen.unwritable.is_forgotten() {
            self.troubled.store(false, Ordering::Relaxed);
        }
    }

    /// How long a holder is trusted still whose lease of this length is over.
    pub(super) fn grace(&self, lease: Duration) -> Duration {
        if !self.troubled.load(Ordering::Relaxed) {
            return Duration::ZERO;
        }
        let seen = self.lock();
        let (away, unwritable) = (&seen.away, &seen.unwritable);
        away.grace(lease / 3).max(unwritable.grace(lease / 3))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Failures {
    fn failed(&mut self) {
        let now = Instant::now();
        let first = self.failing.map_or(now, |(first, _)| first);
        self.failing = Some((first, now));
    }

    fn succeeded(&mut self) {
        let now = Instant::now();
        // By then the grace is over for every lease that the outage counts for.
        let is_past = |over: &Over| now.duration_since(over.since) >= over.lasted;
        self.last = self.last.filter(|over| !is_past(over));
        // Up to the latest failure: after it, nobody asked. So a single failure is no outage.
        if let Some((first, latest)) = self.failing.take() {
            let lasted = latest.duration_since(first);
            if self.last.is_none_or(|over| over.lasted <= lasted) {
                self.last = Some(Over { lasted, since: now });
            }
        }
    }

    fn is_forgotten(&self) -> bool {
        self.failing.is_none() && self.last.is_none()
    }

    fn grace(&self, renewal: Duration) -> Duration {
        // Without a success since the latest failure, it may be over by now: a read does not tell.
        let now = self.failing.map(|(first, latest)| Over {
            lasted: latest.duration_since(first),
            since: latest,
        });
        let outages = [self.last, now].into_iter().flatten();
        let long = outages.filter(|over| over.lasted >= renewal);
        long.map(|over| renewal.saturating_sub(over.since.elapsed()))
            .max()
            .unwrap_or_default()
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
            outage.failed(false);
            advance(2 * LEASE).await;
            outage.succeeded(false);
            assert_eq!(outage.grace(LEASE), Duration::ZERO);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn g1_only_an_outage_of_a_third_of_the_lease_gives_grace_and_only_once() {
        let outage = Outage::default();
        outage.failed(false);
        advance(LEASE / 3 - SECOND).await;
        outage.succeeded(false);
        assert_eq!(outage.grace(LEASE), Duration::ZERO);

        outage.failed(false);
        advance(LEASE / 3).await;
        outage.failed(false);
        outage.succeeded(false);
        assert_eq!(outage.grace(LEASE), LEASE / 3);
        advance(SECOND).await;
        // A single failure within the grace neither ends nor prolongs it.
        outage.failed(false);
        outage.succeeded(false);
        assert_eq!(outage.grace(LEASE), LEASE / 3 - SECOND);
        advance(LEASE / 3).await;
        outage.succeeded(false);
        assert_eq!(outage.grace(LEASE), Duration::ZERO);
        assert!(
            !outage.troubled.load(Ordering::Relaxed),
            "calls are fast again"
        );
    }
}
