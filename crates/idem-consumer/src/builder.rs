//! [`Builder`]: the knobs of a consumer.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use idem_core::{Fingerprint, Idempotency, Scope, error::PolicyError};

use crate::{
    Backoff, Consumer, KeyFrom, KeyProblem, Message, Verdict, consumer::Tuned, outage::Outage,
};

/// How many attempts a message has where the engine's policy sets no limit.
const ATTEMPTS: NonZeroU32 = NonZeroU32::new(10).expect("it is not zero");

/// The knobs of a [`Consumer`].
#[must_use = "call `build` to get the consumer"]
pub struct Builder {
    tuned: Tuned,
}

impl Builder {
    pub(crate) fn new(idem: Idempotency, scope: Scope, key: KeyFrom) -> Self {
        Self {
            tuned: Tuned {
                idem,
                scope: Box::new(move |_| Ok(scope.clone())),
                key,
                fingerprint: Box::new(|message| {
                    Fingerprint::of("idem-consumer/v1", message.body())
                }),
                concurrency: 16,
                drain: Duration::from_secs(30),
                backoff: Backoff::default(),
                park: None,
                ack_failures: false,
                attempts: None,
                watch: None,
                outage: Outage::default(),
            },
        }
    }

    /// How many messages are worked on at once by one [`run`](Consumer::run); 16 unless set. Zero
    /// counts as one.
    pub fn concurrency(mut self, messages: usize) -> Self {
        self.tuned.concurrency = messages.max(1);
        self
    }

    /// How long running handlers have to finish once the run is stopped; 30 s unless set. What is not
    /// over then is dropped, which counts as a crash half-way: the message comes again, and runs once
    /// the lease is over.
    pub fn drain_timeout(mut self, timeout: Duration) -> Self {
        self.tuned.drain = timeout;
        self
    }

    /// The delays after a failure without effect, and while the store or the broker is away.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.tuned.backoff = backoff;
        self
    }

    /// What must not change under one key; the whole body unless set. Leave out what differs between
    /// two sendings of one message, such as a time of sending.
    pub fn fingerprint<F>(mut self, fingerprint: F) -> Self
    where
        F: Fn(&Message) -> Fingerprint + Send + Sync + 'static,
    {
        self.tuned.fingerprint = Box::new(fingerprint);
        self
    }

    /// The scope of each message, where several tenants share a queue. It is the scope given to
    /// [`Consumer::builder`] unless set. A problem sends the message to the dead letters.
    pub fn scope_of<F>(mut self, scope: F) -> Self
    where
        F: Fn(&Message) -> Result<Scope, KeyProblem> + Send + Sync + 'static,
    {
        self.tuned.scope = Box::new(scope);
        self
    }

    /// Defers a message whose attempt vanished half-way by `delay`, again and again, until a person has
    /// settled its key, instead of sending it to the dead letters. For engines with
    /// [`OnAbandoned::Halt`](idem_core::OnAbandoned::Halt) or a prober.
    pub fn park_abandoned(mut self, delay: Duration) -> Self {
        self.tuned.park = Some(delay);
        self
    }

    /// Acknowledges messages whose handler failed for good, instead of sending them to the dead
    /// letters: the record says that they failed.
    pub fn ack_failures(mut self) -> Self {
        self.tuned.ack_failures = true;
        self
    }

    /// Is told every verdict before the broker is: for tests, logs and counters of your own.
    pub fn watch<F>(mut self, watch: F) -> Self
    where
        F: Fn(&Message, &Verdict) + Send + Sync + 'static,
    {
        self.tuned.watch = Some(Box::new(watch));
        self
    }

    /// The consumer. Where the engine's policy sets no limit to the attempts at a key, a message has
    /// ten: one that kills its worker must not go round for ever.
    ///
    /// # Errors
    /// [`PolicyError`] when the engine's policy cannot work.
    pub fn build(mut self) -> Result<Consumer, PolicyError> {
        let policy = self.tuned.idem.policy();
        let limit = policy.attempts_limit();
        if limit.is_none() {
            let policy = policy.clone().max_attempts(ATTEMPTS);
            self.tuned.idem = self.tuned.idem.with_policy(policy)?;
        }
        self.tuned.attempts = Some(limit.unwrap_or(ATTEMPTS));
        Ok(Consumer {
            tuned: Arc::new(self.tuned),
        })
    }
}
