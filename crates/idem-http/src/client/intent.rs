//! [`Intent`]: one thing that a client wants done once.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use http::HeaderMap;
use idem_core::IdempotencyKey;

use super::{
    GaveUp, Next, RetryRules, Sent, StopReason,
    answer::Reading,
    doubt::{Doubt, Evidence, Learned},
};
use crate::Malformed;

/// One thing that a client wants done once: a key, and what is known of its sendings.
///
/// For each sending, call [`begin`](Self::begin), send, and call [`after`](Self::after). Every
/// sending has the same bytes, with the header that [`sign`](Self::sign) adds.
///
/// Whether it *may have run* is never unlearned. A sending is in doubt from its start, and only
/// proof that this very sending ran nothing takes it out of doubt: no connection was made, or the
/// server's idempotency layer certifies it.
///
/// | reply | alone | while another sending is in doubt |
/// |---|---|---|
/// | 2xx, or marked as a replay | done | done |
/// | 3xx, 4xx that refuse | done | gives up, outcome unknown |
/// | `store-unavailable` of the layer | sent again; nothing ran so far | sent again |
/// | no connection | sent again; nothing ran so far | sent again |
/// | in-flight 409, 408, 425, 429, 5xx | sent again; it may have run | sent again |
/// | lost | sent again; it may have run | sent again |
///
/// A clone is the same intent: what is learned through one of them, all know. Each has bounds of
/// its own on the number of its sendings.
///
/// # Across a restart
/// Store the key and the time *before* the first sending. Then a restarted client goes on:
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use idem_http::client::{GaveUp, Intent, Next, RetryRules, Sent};
///
/// let intent = Intent::new(RetryRules::default());
/// let (key, first_sent) = (intent.key().clone(), SystemTime::now());
/// // … both are stored, the request is sent, and the process dies …
///
/// let rules = RetryRules::default().most_sendings(1);
/// let mut intent = Intent::resume(key, first_sent, SystemTime::now(), rules);
/// intent.begin(Duration::ZERO)?;
/// let next = intent.after(Sent::NotSent, Duration::ZERO, 0.5);
/// // This sending did not arrive, but the one before the restart may have run.
/// assert!(matches!(next, Next::GiveUp(GaveUp::OutcomeUnknown(_))));
/// # Ok::<(), GaveUp>(())
/// ```
#[derive(Debug, Clone)]
pub struct Intent {
    key: IdempotencyKey,
    rules: RetryRules,
    sendings: u32,
    /// A sending began and has no reply yet.
    is_under_way: bool,
    /// The time from the first sending to when this value was made.
    age: Duration,
    shared: Arc<Mutex<Shared>>,
}

/// What all clones of an intent know.
#[derive(Debug)]
struct Shared {
    doubt: Doubt,
    /// When it was resumed or first sent by the middleware, by the wall clock.
    #[cfg(any(feature = "client-tower", feature = "reqwest"))]
    since: Option<SystemTime>,
}

impl Intent {
    /// A new intent with a random key.
    #[must_use]
    pub fn new(rules: RetryRules) -> Self {
        Self::fresh(IdempotencyKey::random(), rules)
    }

    /// A new intent with a key of the caller's. Nothing was ever sent with this key; use
    /// [`resume`](Self::resume) if anything may have been.
    #[must_use]
    pub fn fresh(key: IdempotencyKey, rules: RetryRules) -> Self {
        Self::made(key, Duration::ZERO, Doubt::FRESH, rules)
    }

    /// An intent that may have been sent before, for instance by a process that has died.
    ///
    /// It may have run from the start. `first_sent` is a time no later than the first sending, by
    /// the wall clock, and `now` is the wall clock's time.
    ///
    /// If `first_sent` lies in the future by more than [`RetryRules::margin`], the clock was set
    /// back and the intent's age is not known. Then nothing is sent: [`begin`](Self::begin) gives
    /// [`StopReason::RetentionOver`].
    #[must_use]
    pub fn resume(
        key: IdempotencyKey,
        first_sent: SystemTime,
        now: SystemTime,
        rules: RetryRules,
    ) -> Self {
        Self::resumed(key, Some(first_sent), now, rules)
    }

    /// As [`resume`](Self::resume). `None` is a time that no clock can show: it lies in the future, and
    /// nothing is sent.
    pub(super) fn resumed(
        key: IdempotencyKey,
        first_sent: Option<SystemTime>,
        now: SystemTime,
        rules: RetryRules,
    ) -> Self {
        let age = first_sent.map_or(Duration::MAX, |first| age(first, now, rules.margin));
        let resumed = Self::made(key, age, Doubt::RESUMED, rules);
        #[cfg(any(feature = "client-tower", feature = "reqwest"))]
        resumed.with_shared(|shared| shared.since = Some(now));
        resumed
    }

    fn made(key: IdempotencyKey, age: Duration, doubt: Doubt, rules: RetryRules) -> Self {
        Self {
            key,
            rules,
            sendings: 0,
            is_under_way: false,
            age,
            shared: Arc::new(Mutex::new(Shared {
                doubt,
                #[cfg(any(feature = "client-tower", feature = "reqwest"))]
                since: None,
            })),
        }
    }

    /// The key. Store it before the first sending, to survive a restart.
    #[must_use]
    pub fn key(&self) -> &IdempotencyKey {
        &self.key
    }

    /// Whether any sending may have run, one that is under way included.
    #[must_use]
    pub fn may_have_run(&self) -> bool {
        self.with_shared(|shared| shared.doubt.may_have_run())
    }

    /// Puts the key into a request's headers, in the form of [`RetryRules::key_form`].
    ///
    /// # Errors
    /// [`Malformed::Characters`] for a key that the form cannot carry: with characters outside of
    /// ASCII, or, without quotes, with a space or one of `"` `,` `;` `\`.
    pub fn sign(&self, headers: &mut HeaderMap) -> Result<(), Malformed> {
        let RetryRules {
            header, key_form, ..
        } = &self.rules;
        key_form.sign(header, &self.key, headers)
    }

    /// Call this right before each sending. From here on the sending may have run.
    ///
    /// `elapsed` is the time since this value was made.
    ///
    /// # Errors
    /// [`GaveUp`] when the server may forget the key before this sending arrives: a resumed intent
    /// can be too old, and a pause can last longer than planned when the machine sleeps. Do not
    /// send then. The first sending of a new intent is always allowed.
    pub fn begin(&mut self, elapsed: Duration) -> Result<(), GaveUp> {
        let is_first = self.sendings == 0 && !self.may_have_run();
        if !is_first && !self.is_remembered(elapsed) {
            return Err(self.give_up(StopReason::RetentionOver));
        }
        self.is_under_way = true;
        self.sendings = self.sendings.saturating_add(1);
        if self.sendings == 1 {
            self.rules.budget.deposit();
        }
        self.with_shared(|shared| shared.doubt.begin());
        Ok(())
    }

    /// What to do after a sending.
    ///
    /// `elapsed` is the time since this value was made. `jitter` is a random number from 0 to 1, so
    /// that many clients do not come back at once.
    ///
    /// A reply without a [`begin`](Self::begin) before it counts as a sending of its own.
    pub fn after(&mut self, sent: Sent<'_>, elapsed: Duration, jitter: f64) -> Next {
        if !std::mem::take(&mut self.is_under_way) {
            self.sendings = self.sendings.saturating_add(1);
            self.with_shared(|shared| shared.doubt.begin());
        }
        let reading = match sent {
            Sent::NotSent => Reading::unanswered(Evidence::NothingRan),
            Sent::Lost => Reading::unanswered(Evidence::MayHaveRun),
            Sent::Answered {
                status,
                headers,
                body,
            } => Reading::of(&self.rules, status, headers, body),
        };
        match self.with_shared(|shared| shared.doubt.learn(reading.evidence)) {
            Learned::Outcome => Next::Done,
            Learned::Open if reading.again => self.again(reading.retry_after, elapsed, jitter),
            Learned::Open | Learned::Unanswered => {
                Next::GiveUp(self.give_up(StopReason::Unanswered))
            }
        }
    }

    /// What is known when the caller stops for a reason of its own.
    #[must_use]
    pub fn give_up(&self, reason: StopReason) -> GaveUp {
        match self.may_have_run() {
            true => GaveUp::OutcomeUnknown(reason),
            false => GaveUp::NothingRan(reason),
        }
    }

    /// Sends again if every bound allows it. The budget is asked last, since asking takes from it.
    fn again(&self, asked: Option<Duration>, elapsed: Duration, jitter: f64) -> Next {
        let asked = asked.unwrap_or_default();
        let pause = asked.max(self.backoff(jitter));
        let reason = if self.sendings >= self.rules.most_sendings {
            StopReason::SendingsSpent
        } else if asked > self.rules.longest_retry_after {
            StopReason::RetryAfterTooLong(asked)
        } else if !self.is_remembered(elapsed.saturating_add(pause)) {
            StopReason::RetentionOver
        } else if !self.rules.budget.withdraw() {
            StopReason::BudgetSpent
        } else {
            return Next::SendAgain(pause);
        };
        Next::GiveUp(self.give_up(reason))
    }

    /// Whether the server still remembers the key, with the margin.
    fn is_remembered(&self, elapsed: Duration) -> bool {
        let RetryRules {
            retention, margin, ..
        } = &self.rules;
        self.age.saturating_add(elapsed) < retention.saturating_sub(*margin)
    }

    /// Half of the pause for sure, the other half by chance.
    fn backoff(&self, jitter: f64) -> Duration {
        let doublings = self.sendings.saturating_sub(1).min(31);
        let pause = self.rules.first_pause.saturating_mul(1 << doublings);
        let pause = pause.min(self.rules.longest_pause);
        let share = match (0.0..=1.0).contains(&jitter) {
            true => jitter,
            false => 1.0,
        };
        pause / 2 + (pause / 2).mul_f64(share)
    }

    fn with_shared<T>(&self, with: impl FnOnce(&mut Shared) -> T) -> T {
        with(&mut self.shared.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The time since it was resumed, or since this was first asked.
    #[cfg(any(feature = "client-tower", feature = "reqwest"))]
    pub(super) fn elapsed(&self, now: SystemTime) -> Duration {
        let since = self.with_shared(|shared| *shared.since.get_or_insert(now));
        age(since, now, self.rules.margin)
    }
}

/// The time between two readings of a wall clock, [`Duration::MAX`] when it was set back by more
/// than the margin in between.
fn age(first: SystemTime, now: SystemTime, margin: Duration) -> Duration {
    match now.duration_since(first) {
        Ok(age) => age,
        Err(ahead) if ahead.duration() <= margin => Duration::ZERO,
        Err(_) => Duration::MAX,
    }
}
