//! [`Policy`]: how long a holder is trusted, how long an answer is kept, and what to do when in
//! doubt.

use std::{borrow::Cow, fmt, num::NonZeroU32, sync::Arc, time::Duration};

use crate::{
    Prober,
    machine::{LapsedRule, Retention},
};

/// The knobs of an [`Idempotency`](crate::Idempotency) engine; can differ per route or job kind.
///
/// ```
/// use std::time::Duration;
/// use idem_core::{OnAbandoned, OnBusy, Policy};
///
/// let policy = Policy::default()
///     .lease(Duration::from_secs(10))
///     .retention(Duration::from_secs(7 * 24 * 3600))
///     .on_busy(OnBusy::Wait(Duration::from_secs(5)))
///     .on_abandoned(OnAbandoned::Halt);
/// assert!(policy.validate().is_ok());
/// ```
#[derive(Debug, Clone)]
pub struct Policy {
    pub(crate) lease: Duration,
    pub(crate) retention: Duration,
    pub(crate) failure_retention: Option<Duration>,
    pub(crate) on_busy: OnBusy,
    pub(crate) on_abandoned: OnAbandoned,
    pub(crate) on_panic: OnPanic,
    pub(crate) on_outage: OnOutage,
    pub(crate) max_attempts: Option<NonZeroU32>,
    pub(crate) retry_budget: Duration,
    pub(crate) call_timeout: Option<Duration>,
    pub(crate) route: Cow<'static, str>,
}

impl Default for Policy {
    /// 30 s lease, 24 h retention, failures included, reject when busy, reclaim what was abandoned, a panic is a
    /// failure, fail closed, any number of attempts, 2 s retry budget, and for a store call 1 s or a
    /// quarter of the lease, whichever is shorter.
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(30),
            retention: Duration::from_secs(24 * 3600),
            failure_retention: None,
            on_busy: OnBusy::Reject,
            on_abandoned: OnAbandoned::Reclaim,
            on_panic: OnPanic::Fail,
            on_outage: OnOutage::FailClosed,
            max_attempts: None,
            retry_budget: Duration::from_secs(2),
            call_timeout: None,
            route: Cow::Borrowed("default"),
        }
    }
}

impl Policy {
    /// How long a holder is trusted after its last write. It renews at a third of this; past it
    /// another execution may start.
    ///
    /// Choose it longer than any pause of a healthy process: blocked threads, a suspended virtual
    /// machine, a slow disk. It is also how long a crashed execution blocks its key. At least 3 ms.
    ///
    /// ```
    /// use std::time::Duration;
    /// use idem_core::{Policy, error::PolicyError};
    ///
    /// let short = Policy::default().lease(Duration::from_millis(2));
    /// assert!(matches!(short.validate(), Err(PolicyError::LeaseTooShort(_))));
    /// ```
    #[must_use]
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// How long an answer is replayed, counted from the ending. Past it the key is as new.
    #[must_use]
    pub fn retention(mut self, retention: Duration) -> Self {
        self.retention = retention;
        self
    }

    /// How long a stored failure is replayed, counted from its ending; by default the
    /// [`retention`](Self::retention). Past it the key is as new, so the work can run again.
    ///
    /// Choose it longer than clients go on sending a request again, unless a failure is certainly
    /// without effect.
    ///
    /// ```
    /// use std::time::Duration;
    /// use idem_core::Policy;
    ///
    /// let policy = Policy::default()
    ///     .retention(Duration::from_secs(7 * 24 * 3600))
    ///     .failure_retention(Duration::from_secs(24 * 3600));
    /// assert!(policy.validate().is_ok());
    /// ```
    #[must_use]
    pub fn failure_retention(mut self, retention: Duration) -> Self {
        self.failure_retention = Some(retention);
        self
    }

    /// What a claim does while another execution is in flight.
    #[must_use]
    pub fn on_busy(mut self, on_busy: OnBusy) -> Self {
        self.on_busy = on_busy;
        self
    }

    /// What a claim does when the last holder vanished without an ending.
    #[must_use]
    pub fn on_abandoned(mut self, on_abandoned: OnAbandoned) -> Self {
        self.on_abandoned = on_abandoned;
        self
    }

    /// What a panic in the work is recorded as. Deliberately not `#[non_exhaustive]`: whoever ends an
    /// execution must record one or the other.
    #[must_use]
    pub fn on_panic(mut self, on_panic: OnPanic) -> Self {
        self.on_panic = on_panic;
        self
    }

    /// What happens when the store cannot be reached before the claim.
    #[must_use]
    pub fn on_outage(mut self, on_outage: OnOutage) -> Self {
        self.on_outage = on_outage;
        self
    }

    /// How many executions a key may start before claims answer
    /// [`Exhausted`](crate::Refused::Exhausted). Unlimited by default.
    ///
    /// ```
    /// use std::num::NonZeroU32;
    /// use idem_core::Policy;
    ///
    /// // A job that kills its worker is tried three times, and then left for a person.
    /// let policy = Policy::default().max_attempts(const { NonZeroU32::new(3).unwrap() });
    /// ```
    #[must_use]
    pub fn max_attempts(mut self, attempts: NonZeroU32) -> Self {
        self.max_attempts = Some(attempts);
        self
    }

    /// How long a claim, renewal or checkpoint is tried on a store that fails or does not answer.
    /// Zero tries once. A claim behind an ending that the store has not taken waits no longer either.
    #[must_use]
    pub fn retry_budget(mut self, budget: Duration) -> Self {
        self.retry_budget = budget;
        self
    }

    /// How long one store call may take before its outcome counts as unknown; by default 1 s or a
    /// quarter of the lease, whichever is shorter. At most a third of the lease: a key is renewed at
    /// a third, and a renewal that hangs must leave time for another.
    ///
    /// A call that carries a payload or a checkpoint has a second more for each MiB, up to a third
    /// of the lease. So the lease also bounds how slowly a large answer may be written.
    #[must_use]
    pub fn call_timeout(mut self, timeout: Duration) -> Self {
        self.call_timeout = Some(timeout);
        self
    }

    /// Names what runs under this policy, in the label `route` of the histograms: a route, or a kind
    /// of job. `default` by default. At most 64 bytes are kept, and a hundred names in an engine; all
    /// others share the name `other`.
    ///
    /// ```
    /// use idem_core::{Idempotency, error::PolicyError};
    ///
    /// # fn example(idem: Idempotency) -> Result<(), PolicyError> {
    /// let payments = idem.with_policy(idem.policy().clone().route("POST /payments"))?;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn route(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.route = name.into();
        self
    }

    /// The limit of a call that carries so many bytes.
    pub(crate) fn call_limit(&self, bytes: usize) -> Duration {
        const PER_SECOND: f64 = 1024.0 * 1024.0;
        let default = || Duration::from_secs(1).min(self.lease / 4);
        let limit = self.call_timeout.unwrap_or_else(default);
        if bytes < 1024 {
            return limit;
        }
        let more = Duration::from_secs_f64(bytes as f64 / PER_SECOND);
        limit.saturating_add(more).min(limit.max(self.lease / 3))
    }

    /// Checks the knobs against each other.
    ///
    /// # Errors
    /// [`PolicyError`] naming the knob and the mend.
    pub fn validate(&self) -> Result<(), PolicyError> {
        if self.lease < Duration::from_millis(3) {
            return Err(PolicyError::LeaseTooShort(self.lease));
        }
        let Retention { failures, others } = self.retentions();
        for retention in [others, failures] {
            if retention < Duration::from_millis(1) {
                return Err(PolicyError::RetentionTooShort(retention));
            }
        }
        match self.call_timeout {
            Some(Duration::ZERO) => return Err(PolicyError::NoCallTimeout),
            Some(timeout) if timeout > self.lease / 3 => {
                let lease = self.lease;
                return Err(PolicyError::CallTimeoutTooLong { timeout, lease });
            }
            _ => {}
        }
        let knobs = [
            ("lease", self.lease),
            ("retention", others),
            ("failure retention", failures),
        ];
        for (name, value) in knobs {
            if value > Self::LONGEST {
                return Err(PolicyError::TooLong { name, value });
            }
        }
        Ok(())
    }

    /// The longest lease and retentions: a hundred years, so that no store overflows.
    const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

    /// How long a call is tried again; see [`retry_budget`](Self::retry_budget).
    #[must_use]
    pub fn retry_budget_time(&self) -> Duration {
        self.retry_budget
    }

    /// The choice for an abandoned execution, as the machine knows it.
    pub(crate) fn lapsed_rule(&self) -> LapsedRule {
        match self.on_abandoned {
            OnAbandoned::Reclaim => LapsedRule::Reclaim,
            OnAbandoned::Halt => LapsedRule::Halt,
            OnAbandoned::Probe(_) => LapsedRule::Probe,
        }
    }

    /// The lease.
    #[must_use]
    pub fn lease_time(&self) -> Duration {
        self.lease
    }

    /// The retention.
    #[must_use]
    pub fn retention_time(&self) -> Duration {
        self.retention
    }

    /// The retention of failures.
    #[must_use]
    pub fn failure_retention_time(&self) -> Duration {
        self.retentions().failures
    }

    pub(crate) fn retentions(&self) -> Retention {
        Retention {
            failures: self.failure_retention.unwrap_or(self.retention),
            others: self.retention,
        }
    }

    /// The limit of attempts, where there is one.
    #[must_use]
    pub fn attempts_limit(&self) -> Option<NonZeroU32> {
        self.max_attempts
    }

    /// The choice for an outage before the claim.
    #[must_use]
    pub fn outage(&self) -> OnOutage {
        self.on_outage
    }

    /// The choice for a panic in the work.
    #[must_use]
    pub fn panic(&self) -> OnPanic {
        self.on_panic
    }
}

/// What a claim does while another execution is in flight.
///
/// ```
/// use std::time::Duration;
/// use idem_core::{OnBusy, Policy};
///
/// // A repeat that comes while the first request runs gets its answer, if that takes five seconds at most.
/// let policy = Policy::default().on_busy(OnBusy::Wait(Duration::from_secs(5)));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnBusy {
    /// Answer [`InFlight`](crate::Refused::InFlight) at once.
    Reject,
    /// Wait at most so long for the ending, then answer as things stand; [`Duration::MAX`] waits
    /// without end. A waiter never runs without a claim of its own, and never touches the holder's
    /// record.
    ///
    /// However many wait for a key in this process, with the same fingerprint and policy, one of
    /// them asks the store for all.
    Wait(Duration),
}

/// What a claim does when a lease ran out and nobody ended the execution.
///
/// No library can know what the lost execution did to the outside world (G8), so this is a choice
/// per kind of work.
///
/// ```
/// use idem_core::{OnAbandoned, Policy};
///
/// let emails = Policy::default().on_abandoned(OnAbandoned::Reclaim); // the mail API takes our key
/// let payouts = Policy::default().on_abandoned(OnAbandoned::Halt); // a person looks first
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub enum OnAbandoned {
    /// Run again, with the next attempt number and the last checkpoint. For work that is safe to
    /// repeat, or hands [`derive_key`](crate::Execution::derive_key) to the next API downstream.
    Reclaim,
    /// Never run again by itself: answer [`Abandoned`](crate::Refused::Abandoned) until somebody
    /// calls [`resolve`](crate::Idempotency::resolve), also past the retention. A record that is
    /// claimed under `Halt` or `Probe` is kept for a hundred years until it ends, and for the
    /// retention after that. An execution that ended as retryable or released is not in doubt: past
    /// the retention its key is as new.
    Halt,
    /// Ask a [`Prober`] to look the effect up where it would be, then complete, reclaim or halt. One
    /// that takes longer than the lease is dropped, and the key is left halted.
    Probe(Arc<dyn Prober>),
}

impl OnAbandoned {
    /// [`OnAbandoned::Probe`] with this prober.
    pub fn probe(prober: impl Prober + 'static) -> Self {
        Self::Probe(Arc::new(prober))
    }
}

impl fmt::Debug for OnAbandoned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reclaim => "Reclaim",
            Self::Halt => "Halt",
            Self::Probe(_) => "Probe",
        })
    }
}

/// What a panic in the work is recorded as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnPanic {
    /// A final failure: the effect may have happened, so it is never run again.
    Fail,
    /// Retryable: the next claim with the same fingerprint runs.
    Retry,
}

/// What happens when the store cannot be reached before the claim (G6).
///
/// ```
/// use idem_core::{OnOutage, Policy};
///
/// // Reading a thermometer twice does no harm.
/// let policy = Policy::default().on_outage(OnOutage::FailOpen);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnOutage {
    /// Nothing runs; the caller gets the store's error.
    FailClosed,
    /// The work runs *unprotected*: repeats may run it again. Only for work where a missed answer
    /// is worse than a double effect.
    FailOpen,
}

/// A [`Policy`] that cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// It could not be renewed in time.
    #[error("a lease of {0:?} is too short to be renewed; use at least 3 ms, better 5 s or more")]
    LeaseTooShort(Duration),
    /// Answers would be gone before they could be replayed.
    #[error("a retention of {0:?} keeps nothing; use at least 1 ms, better 24 h")]
    RetentionTooShort(Duration),
    /// Every store call would fail.
    #[error("a call timeout of zero fails every store call; use at least the store's round trip")]
    NoCallTimeout,
    /// A call that hangs would outlast the lease.
    #[error(
        "a call timeout of {timeout:?} is too long for a lease of {lease:?}; use at most a third of it"
    )]
    CallTimeoutTooLong {
        /// The call timeout.
        timeout: Duration,
        /// The lease.
        lease: Duration,
    },
    /// A store could not express it.
    #[error("a {name} of {value:?} is longer than a hundred years; shorten it")]
    TooLong {
        /// Which knob.
        name: &'static str,
        /// What it is set to.
        value: Duration,
    },
    /// Without the `rt` feature the engine has nothing to run background work on.
    #[error("no spawner: call `spawner(…)`, or turn the crate's `rt` feature on")]
    NoSpawner,
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_call_has_more_time_for_more_bytes_up_to_a_third_of_the_lease() {
        let policy = Policy::default();
        assert_eq!(policy.call_limit(0), SECOND);
        assert_eq!(policy.call_limit(5 << 20), 6 * SECOND);
        assert_eq!(policy.call_limit(1 << 40), 10 * SECOND);
        let short = policy.clone().lease(2 * SECOND);
        assert_eq!(short.call_limit(0), SECOND / 2);
        assert_eq!(short.call_limit(5 << 20), 2 * SECOND / 3);
        assert_eq!(policy.call_timeout(3 * SECOND).call_limit(0), 3 * SECOND);
    }
}
