//! One job of the keeper: when it is due, what it does, and when it is due again.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;
use tokio::time::Instant;

use crate::{engine::background::Counted, error::HoldError, execution::Held, observe};

/// The pause after the first attempt at an ending; doubled with each.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Attempts at endings per second, over all endings.
const ATTEMPTS_PER_SECOND: u32 = 1_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Ending = 0,
    Renewal = 1,
    /// Of a claim that nobody runs under.
    Release = 2,
}

impl Class {
    pub(super) const ALL: [Self; 3] = [Self::Ending, Self::Renewal, Self::Release];

    /// How many jobs of the class may be under way at a time. None takes the room of another class:
    /// where a part of the store hangs, its endings must not hold up the renewals of other keys.
    pub(super) const fn limit(self) -> usize {
        match self {
            // An ending renews its key itself, and its attempt may hang for a third of the lease: where
            // renewals are answered, all that may wait, twice this number, have their turn within two
            // thirds.
            Self::Ending => super::MAX_PENDING / 2,
            Self::Renewal => 4_096,
            Self::Release => 16,
        }
    }
}

pub(super) struct Job {
    pub(super) held: Arc<Held>,
    pub(super) class: Class,
    /// `None` while it is under way.
    pub(super) due: Option<Instant>,
    /// When it was tried last.
    pub(super) tried: Option<Instant>,
    /// When the key was last known to be held.
    kept: Instant,
    /// When the last renewal was sent that was acknowledged to this job.
    renewed: Option<Instant>,
    pause: Duration,
    /// When to give up; renewals go on until their work ends.
    until: Option<Instant>,
    _counted: Option<Counted>,
}

/// What came of one round of a job.
pub(super) enum Round {
    /// There is nothing more to do.
    Over,
    /// The same, because another execution owns the key.
    Superseded,
    /// The key was renewed, at this time.
    Kept(Instant),
    /// A call failed. The key was last renewed at this time.
    Failed(Instant),
}

impl Job {
    pub(super) fn renewal(held: Arc<Held>) -> Self {
        let due = Instant::now() + held.lease() / 3;
        Self::new(held, Class::Renewal, due)
    }

    pub(super) fn ending(held: Arc<Held>, retention: Duration, counted: Counted) -> Self {
        Self::pending(held, Class::Ending, retention, counted)
    }

    pub(super) fn release(held: Arc<Held>, retention: Duration, counted: Counted) -> Self {
        Self::pending(held, Class::Release, retention, counted)
    }

    fn pending(held: Arc<Held>, class: Class, retention: Duration, counted: Counted) -> Self {
        let now = Instant::now();
        Self {
            until: now.checked_add(retention),
            _counted: Some(counted),
            ..Self::new(held, class, now + FIRST_PAUSE)
        }
    }

    fn new(held: Arc<Held>, class: Class, due: Instant) -> Self {
        let now = Instant::now();
        let lease = held.lease();
        Self {
            held,
            class,
            due: Some(due),
            tried: None,
            // The caller's own attempts at the ending may have taken most of the lease.
            kept: match class {
                Class::Ending => now.checked_sub(lease).unwrap_or(now),
                Class::Renewal | Class::Release => now,
            },
            renewed: None,
            pause: FIRST_PAUSE,
            until: None,
            _counted: None,
        }
    }

    /// One round: for a renewal one call, for an ending an attempt, and renewals before and after
    /// it where they are due.
    pub(super) fn round(&self) -> impl Future<Output = Round> + Send + use<> {
        let (held, class, kept) = (Arc::clone(&self.held), self.class, self.kept);
        let renewed = self.renewed;
        let round = async move {
            match class {
                Class::Renewal => {
                    let measures = held.engine.measures();
                    observe::lease_used(&held.key, measures, kept.elapsed(), held.lease());
                    let round = renew(&held, kept).await;
                    if let (Round::Superseded, Some(renewed)) = (&round, renewed) {
                        observe::taken_over(&held.key, renewed.elapsed(), held.lease());
                    }
                    round
                }
                Class::Ending => attempt(&held, kept).await,
                Class::Release => {
                    let ended = held.try_end().await;
                    held.tried();
                    ended.map_or(Round::Failed(kept), |_| Round::Over)
                }
            }
        };
        // A store that panics in one call takes no other job down.
        let round = AssertUnwindSafe(round).catch_unwind();
        async move { round.await.unwrap_or(Round::Failed(kept)) }
    }

    /// When to go on after this round; `None` when there is nothing more to do.
    pub(super) fn next(&mut self, round: &Round, endings: usize) -> Option<Instant> {
        let now = Instant::now();
        let third = self.held.lease() / 3;
        self.tried = Some(now);
        match round {
            Round::Over | Round::Superseded => return None,
            Round::Kept(kept) => (self.kept, self.renewed) = (*kept, Some(*kept)),
            Round::Failed(kept) => self.kept = *kept,
        }
        let pause = match (self.class, round) {
            (Class::Renewal, Round::Kept(kept)) => return Some(*kept + third),
            (Class::Renewal, _) => third / 4,
            (Class::Ending, _) => {
                let longest = LONGEST_PAUSE.min(third);
                let endings = u32::try_from(endings).unwrap_or(u32::MAX);
                let share = Duration::from_secs(1) / ATTEMPTS_PER_SECOND * endings;
                self.double(longest).max(share).min(third.max(FIRST_PAUSE))
            }
            // Nobody waits for it, except a claim, which hurries it.
            (Class::Release, _) => self.double(third * 3),
        };
        if self.until.is_some_and(|until| now >= until) {
            self.give_up("its retention is over");
            return None;
        }
        let due = now + pause.max(Duration::from_millis(1));
        match self.class {
            // The key has to be renewed meanwhile.
            Class::Ending if self.kept + third > now => Some(due.min(self.kept + third)),
            _ => Some(due),
        }
    }

    /// Says that it goes no further.
    pub(super) fn give_up(&self, why: &'static str) {
        match self.class {
            Class::Ending => {
                let ending = self.held.ending().unwrap_or_default();
                observe::ending_lost(&self.held.key, ending, why);
            }
            Class::Release => observe::release_lapsed(&self.held.key),
            Class::Renewal => {}
        }
    }

    fn double(&mut self, longest: Duration) -> Duration {
        let pause = self.held.jittered(self.pause);
        self.pause = (self.pause * 2).min(longest.max(FIRST_PAUSE));
        pause
    }
}

/// Renews once. It counts from when it was sent.
async fn renew(held: &Held, kept: Instant) -> Round {
    let now = Instant::now();
    match held.renew_once().await {
        Ok(()) => Round::Kept(now),
        Err(HoldError::Superseded(_)) => Round::Superseded,
        Err(HoldError::Store(_)) => Round::Failed(kept),
    }
}

/// Tries to end, and keeps the key held between two attempts, whatever the ending's error is.
async fn attempt(held: &Held, kept: Instant) -> Round {
    let before = renew_if_due(held, kept).await;
    let ended = match before {
        Round::Over | Round::Superseded => return Round::Over,
        Round::Kept(_) | Round::Failed(_) => held.try_end().await,
    };
    held.tried();
    match (ended, before) {
        (Ok(_), _) => Round::Over,
        (Err(_), Round::Kept(kept)) => renew_if_due(held, kept).await,
        (Err(_), before) => before,
    }
}

async fn renew_if_due(held: &Held, kept: Instant) -> Round {
    if kept.elapsed() < held.lease() / 3 {
        return Round::Kept(kept);
    }
    renew(held, kept).await
}
