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
    /// When the latest call ended, however it did.
    heard: Option<Instant>,
}

#[derive(Default)]
struct Failures {
    /// The failures since the last success.
    failing: Option<Run>,
    /// Outages that are over, the shorter the later: a short lease asks about the latest of them, and
    /// a long one about one that was longer.
    over: Vec<Over>,
}

/// Failures one after the other.
#[derive(Clone, Copy)]
struct Run {
    first: Instant,
    latest: Instant,
    /// From when the time counts, if not from the latest: when this process went on after it had heard
    /// nothing for a while, because it was stopped or asked nothing; or when the store was back.
    went_on: Option<Instant>,
}

/// Writes that fail further apart than this, and than the time of a renewal, are single failures: where a
/// process writes seldom, nothing that is applied comes between them.
const APART: Duration = Duration::from_secs(10);

/// An outage that is over.
#[derive(Clone, Copy)]
struct Over {
    lasted: Duration,
    since: Instant,
}

impl Outage {
    /// A call failed in a way that may pass; `writes` if it was a write.
    pub(super) fn failed(&self, writes: bool, lease: Duration) {
        let mut seen = self.lock();
        seen.heard(lease);
        seen.away.failed();
        if writes {
            seen.unwritable.failed_to_write(lease);
        }
        self.troubled.store(true, Ordering::Relaxed);
    }

    /// A write was refused for want of room.
    pub(super) fn full(&self, lease: Duration) {
        let mut seen = self.lock();
        seen.heard(lease);
        seen.unwritable.failed_to_write(lease);
        self.troubled.store(true, Ordering::Relaxed);
    }

    /// A call was answered; `wrote`, if it was a write that was applied.
    pub(super) fn succeeded(&self, wrote: bool, lease: Duration) {
        if !self.troubled.load(Ordering::Relaxed) {
            return;
        }
        let mut seen = self.lock();
        seen.heard(lease);
        if wrote {
            seen.unwritable.succeeded();
        } else {
            seen.answered();
        }
        seen.away.succeeded();
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
        away.grace(renewal(lease))
            .max(unwritable.grace(renewal(lease)))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How much of a lease an outage has to last to count, and how long a holder is given after it.
fn renewal(lease: Duration) -> Duration {
    lease / 3
}

impl Seen {
    /// A call has ended. After a pause nobody knows since when the store takes writes again, so the time
    /// counts from now: once, or calls that are far apart would put a take-over off for ever.
    fn heard(&mut self, lease: Duration) {
        let now = Instant::now();
        let before = self.heard.replace(now).unwrap_or(now);
        if now.duration_since(before) >= renewal(lease) / 2
            && let Some(run) = &mut self.unwritable.failing
        {
            run.went_on.get_or_insert(now);
        }
    }

    /// A read was answered. If it is the first answer since the writes began to fail, then they failed
    /// because the store was away, and it is back.
    fn answered(&mut self) {
        if let (Some(away), Some(unwritable)) = (self.away.failing, &mut self.unwritable.failing)
            && away.first <= unwritable.first
        {
            unwritable.went_on.get_or_insert_with(Instant::now);
        }
    }
}

impl Run {
    fn lasted(self) -> Duration {
        self.latest.duration_since(self.first)
    }

    /// What is known of it while no success has come: it may be over since the latest failure.
    fn over(self) -> Over {
        Over {
            lasted: self.lasted(),
            since: self.went_on.unwrap_or(self.latest),
        }
    }
}

impl Failures {
    fn failed(&mut self) {
        let now = Instant::now();
        self.failing = Some(Run {
            first: self.failing.map_or(now, |run| run.first),
            latest: now,
            went_on: None,
        });
    }

    fn failed_to_write(&mut self, lease: Duration) {
        if let Some(run) = self.failing
            && run.latest.elapsed() > APART.max(renewal(lease))
            && run.lasted() < renewal(lease)
        {
            self.ended(run.latest);
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
        if let Some(run) = self.failing.take() {
            let lasted = run.lasted();
            self.over.retain(|over| over.lasted > lasted);
            self.over.push(Over { lasted, since });
        }
    }

    fn is_forgotten(&self) -> bool {
        self.failing.is_none() && self.over.is_empty()
    }

    fn grace(&self, renewal: Duration) -> Duration {
        // Without a success since the latest failure, it may be over by now: a read does not tell.
        let now = self.failing.map(Run::over);
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
            outage.failed(false, LEASE);
            advance(2 * LEASE).await;
            outage.succeeded(false, LEASE);
            assert_eq!(outage.grace(LEASE), Duration::ZERO);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn g1_only_an_outage_of_a_third_of_the_lease_gives_grace_and_only_once() {
        let outage = Outage::default();
        outage.failed(false, LEASE);
        advance(LEASE / 3 - SECOND).await;
        outage.succeeded(false, LEASE);
        assert_eq!(outage.grace(LEASE), Duration::ZERO);

        outage.failed(false, LEASE);
        advance(LEASE / 3).await;
        outage.failed(false, LEASE);
        outage.succeeded(false, LEASE);
        assert_eq!(outage.grace(LEASE), LEASE / 3);
        advance(SECOND).await;
        // A single failure within the grace neither ends nor prolongs it.
        outage.failed(false, LEASE);
        outage.succeeded(false, LEASE);
        assert_eq!(outage.grace(LEASE), LEASE / 3 - SECOND);
        advance(LEASE / 3).await;
        outage.succeeded(false, LEASE);
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
            outage.failed(true, LEASE);
            outage.succeeded(false, LEASE);
            assert_eq!(outage.grace(LEASE), Duration::ZERO);
            advance(LEASE / 2).await;
        }
    }

    /// A process that writes seldom, by its lease, notices all the same.
    #[tokio::test(start_paused = true)]
    async fn g1_failures_within_the_time_of_a_renewal_are_one_outage() {
        let outage = Outage::default();
        for _ in 0..4 {
            outage.full(10 * LEASE);
            outage.succeeded(false, 10 * LEASE);
            advance(2 * LEASE).await;
        }
        outage.full(10 * LEASE);
        assert_eq!(outage.grace(10 * LEASE), 10 * LEASE / 3);
    }

    #[tokio::test(start_paused = true)]
    async fn g1_an_outage_counts_also_behind_one_that_was_longer() {
        let outage = Outage::default();
        for lasts in [600 * SECOND, 60 * SECOND] {
            outage.failed(false, LEASE);
            advance(lasts).await;
            outage.failed(false, LEASE);
            outage.succeeded(true, LEASE);
            assert_eq!(outage.grace(LEASE), LEASE / 3);
            advance(300 * SECOND).await;
            assert_eq!(outage.grace(LEASE), Duration::ZERO);
        }
    }

    /// Reads are answered all the time; that the store takes writes again, it has not seen.
    #[tokio::test(start_paused = true)]
    async fn g1_a_process_that_was_stopped_in_an_outage_of_writes_counts_from_when_it_goes_on() {
        let outage = Outage::default();
        for _ in 0..11 {
            outage.full(LEASE);
            outage.succeeded(false, LEASE);
            advance(SECOND).await;
        }
        outage.succeeded(false, LEASE);
        // It is stopped.
        advance(2 * LEASE).await;
        outage.succeeded(false, LEASE);
        assert_eq!(outage.grace(LEASE), LEASE / 3);
        // Once: calls that are far apart do not put a take-over off.
        advance(LEASE / 3).await;
        outage.succeeded(false, LEASE);
        assert_eq!(outage.grace(LEASE), Duration::ZERO);
        // It is full still, after another stop.
        advance(LEASE).await;
        outage.full(LEASE);
        assert_eq!(outage.grace(LEASE), LEASE / 3);
    }
}
