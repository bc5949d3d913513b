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
    /// Outages that are over, the shorter the later: a short lease asks about the latest of them, and
    /// a long one about one that was longer.
    over: Vec<Over>,
}

/// Writes that fail further apart than this are single failures: where a process writes seldom, nothing
/// that is applied comes between them.
const APART: Duration = Duration::from_secs(10);

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
            seen.unwritable.failed_to_write();
        }
        self.troubled.store(true, Ordering::Relaxed);
    }

    /// A write was refused for want of room.
    pub(super) fn full(&self) {
        self.lock().unwritable.failed_to_write();
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

    fn failed_to_write(&mut self) {
        if let Some((_, latest)) = self.failing
            && latest.elapsed() > APART
        {
            self.ended(latest);
        }
        self.failed();
    }

    fn succeeded(&mut self) {
        self.ended(Instant::now());
        // By then the grace is over for every lease that the outage counts for.
        self.over.retain(|over| over.since.elapsed() < over.lasted);
    }

    fn ended(&mut self, since: Instant) {
        // Up to the latest failure: after it, nobody asked. So a single failure is no outage.
        if let Some((first, latest)) = self.failing.take() {
            let lasted = latest.duration_since(first);
            self.over.retain(|over| over.lasted > lasted);
            self.over.push(Over { lasted, since });
        }
    }

    fn is_forgotten(&self) -> bool {
        self.failing.is_none() && self.over.is_empty()
    }

    fn grace(&self, renewal: Duration) -> Duration {
        // Without a success since the latest failure, it may be over by now: a read does not tell.
        let now = self.failing.map(|(first, latest)| Over {
            lasted: latest.duration_since(first),
            since: latest,
        });
        let outages = self.over.iter().copied().chain(now);
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

    /// Answers come between them, of which none is a write that was applied.
    #[tokio::test(start_paused = true)]
    async fn single_failed_writes_delay_nobody_in_a_process_that_applies_none() {
        let outage = Outage::default();
        for _ in 0..5 {
            outage.failed(true);
            outage.succeeded(false);
            assert_eq!(outage.grace(LEASE), Duration::ZERO);
            advance(LEASE / 2).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn g1_an_outage_counts_also_behind_one_that_was_longer() {
        let outage = Outage::default();
        for lasts in [600 * SECOND, 60 * SECOND] {
            outage.failed(false);
            advance(lasts).await;
            outage.failed(false);
            outage.succeeded(true);
            assert_eq!(outage.grace(LEASE), LEASE / 3);
            advance(300 * SECOND).await;
            assert_eq!(outage.grace(LEASE), Duration::ZERO);
        }
    }
}
