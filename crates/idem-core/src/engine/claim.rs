//! Claiming a key.

use std::{pin::pin, time::Duration};

use bytes::Bytes;
use tracing::Instrument;

use super::{
    Idempotency,
    call::{Budget, bounded, in_place},
};
use crate::{
    Abandonment, ClaimError, Created, Execution, Fingerprint, OnAbandoned, OnBusy, Record,
    RecordKey, State, StoreError, StoreErrorKind, Stored, Timestamp, Updated, Verdict,
    machine::{self, Decision, Holding, LapsedRule, Request, Write},
    observe,
};

/// Rounds of one claim before a store that only ever answers *conflict* counts as broken. Honest
/// conflicts mean that somebody else got ahead, which ends in a busy, ended or free key soon.
const MAX_ROUNDS: usize = 1000;

/// What became of a claim.
#[derive(Debug)]
#[must_use = "an acquired execution holds its key until it is ended"]
pub enum Claim {
    /// The caller has the right, and the duty, to run.
    Acquired(Execution),
    /// It ran before; this is its stored answer, byte for byte (G2).
    Replay(Bytes),
    /// It failed for good before; this is the stored failure.
    ReplayFailure(Bytes),
    /// Another execution is in flight.
    InFlight {
        /// Lease left: asking again makes sense after it at the latest.
        retry_after: Duration,
    },
    /// The key belongs to another request; nothing runs, nothing changes (G4).
    Mismatch,
    /// An execution vanished half-way, and the policy says to halt.
    Abandoned {
        /// The lost execution's fencing number.
        attempt: u32,
    },
    /// The key has had all the attempts that the policy allows.
    Exhausted {
        /// How many it had.
        attempts: u32,
    },
}

impl Claim {
    fn outcome(&self) -> &'static str {
        match self {
            Self::Acquired(_) => "acquired",
            Self::Replay(_) => "replay",
            Self::ReplayFailure(_) => "replay-failure",
            Self::InFlight { .. } => "in-flight",
            Self::Mismatch => "mismatch",
            Self::Abandoned { .. } => "abandoned",
            Self::Exhausted { .. } => "exhausted",
        }
    }
}

impl Idempotency {
    /// Claims a key for a request: one round trip in the common case.
    ///
    /// A store that fails or does not answer is asked again under the same token until the
    /// policy's retry budget is spent. Under [`OnBusy::Wait`] a busy key is waited for.
    ///
    /// # Errors
    /// [`ClaimError`] when the store gave no answer; nothing runs (G6). A claim that may have gone
    /// through unnoticed is taken back in the background.
    ///
    /// # Cancel safety
    /// Dropping the future takes back, in the background, a claim that may have gone through.
    pub async fn claim(
        &self,
        key: &RecordKey,
        fingerprint: &Fingerprint,
    ) -> Result<Claim, ClaimError> {
        // Pinned before it is wrapped: moving it would cost more than claiming in memory does.
        let claiming = pin!(async {
            let mut claim = in_place!(self.claim_once(key, fingerprint));
            if let (Ok(Claim::InFlight { .. }), OnBusy::Wait(max)) = (&claim, self.policy().on_busy)
            {
                claim = Box::pin(self.claim_waiting(key, fingerprint, max)).await;
            }
            observe::claimed(claim.as_ref().map_or("error", Claim::outcome));
            claim
        });
        claiming.instrument(observe::claim_span(key)).await
    }

    pub(super) async fn claim_once(
        &self,
        key: &RecordKey,
        fingerprint: &Fingerprint,
    ) -> Result<Claim, ClaimError> {
        if let Some(pending) = self.pending_ending(key) {
            Box::pin(pending.land()).await;
        }
        let mut attempt = Attempt::new(self, key, self.request(fingerprint));
        in_place!(attempt.run()).map_err(|source| ClaimError { source })
    }

    /// A wish to run under this engine's policy, with a token of its own: for stores that claim
    /// within a transaction of the user's.
    #[must_use]
    pub fn request(&self, fingerprint: &Fingerprint) -> Request {
        let policy = self.policy();
        Request {
            fingerprint: *fingerprint,
            token: self.shared().entropy.token(),
            sent: 0,
            created_at: Timestamp::now(),
            lease: policy.lease,
            lapsed: match policy.on_abandoned {
                OnAbandoned::Reclaim => LapsedRule::Reclaim,
                OnAbandoned::Halt | OnAbandoned::Probe(_) => LapsedRule::Halt,
            },
            max_attempts: policy.max_attempts,
        }
    }
}

/// One claim on its way. Dropped while the outcome of a write is not known (the caller went away,
/// or gave up after a lost reply) it gives the claim back: otherwise a key that never ran would
/// stay locked for a whole lease.
struct Attempt<'a> {
    engine: &'a Idempotency,
    key: &'a RecordKey,
    request: Request,
    next: Next,
    /// `next` went out, and its outcome is not known.
    open: bool,
    /// A reply was lost, and none has come since.
    uncertain: bool,
    /// For asking again; most claims never do.
    budget: Option<Box<Budget>>,
}

/// The next thing to send.
enum Next {
    Create(Record),
    Replace(Write),
}

/// What the store said to it.
enum Reply {
    Written,
    Found(Stored),
    Vacant,
}

/// What to do about what it said.
enum Step {
    Answer(Claim),
    Send,
    Probe(Box<Record>),
    Retry(StoreError),
}

impl<'a> Attempt<'a> {
    fn new(engine: &'a Idempotency, key: &'a RecordKey, mut request: Request) -> Self {
        Self {
            engine,
            key,
            next: Next::Create(machine::first(&mut request)),
            request,
            open: false,
            uncertain: false,
            budget: None,
        }
    }

    // The paths that wait are boxed, so that those that need not do not carry the room for them.
    async fn run(&mut self) -> Result<Claim, StoreError> {
        for _ in 0..MAX_ROUNDS {
            let step = match in_place!(self.send()) {
                Ok(reply) => self.take(reply),
                Err(error) => Step::Retry(error),
            };
            match step {
                Step::Answer(claim) => return Ok(claim),
                Step::Send => {}
                Step::Probe(abandoned) => {
                    if let Some(claim) = Box::pin(self.probe(abandoned)).await {
                        return Ok(claim);
                    }
                }
                Step::Retry(error) => Box::pin(self.retry(error)).await?,
            }
        }
        Err(StoreError::corrupt(
            "the store answers `conflict` without end; check it with idem-conformance",
        ))
    }

    async fn send(&mut self) -> Result<Reply, StoreError> {
        self.open = true;
        let policy = self.engine.policy();
        let store = &self.engine.shared().store;
        let ttl = |record: &Record| machine::ttl(&record.state, policy.retention);
        match &self.next {
            Next::Create(record) => {
                let call = store.create(self.key, record, ttl(record));
                Ok(match bounded(policy.call_timeout, call).await? {
                    Created::New => Reply::Written,
                    Created::Exists(found) => Reply::Found(found),
                })
            }
            Next::Replace(Write { expected, record }) => {
                let call = store.update(self.key, *expected, record, ttl(record));
                Ok(match bounded(policy.call_timeout, call).await? {
                    Updated::Done => Reply::Written,
                    Updated::Conflict(Some(found)) => Reply::Found(found),
                    Updated::Conflict(None) => Reply::Vacant,
                })
            }
        }
    }

    /// Takes a reply in: with it the outcome of the write is known.
    fn take(&mut self, reply: Reply) -> Step {
        self.open = false;
        match reply {
            Reply::Written => Step::Answer(self.won()),
            Reply::Vacant => {
                self.next = Next::Create(machine::first(&mut self.request));
                Step::Send
            }
            Reply::Found(found) => {
                self.uncertain = false;
                match machine::decide(&mut self.request, &found) {
                    Decision::Abandoned { .. } if self.probes() => {
                        Step::Probe(Box::new(found.record))
                    }
                    decision => self.follow(decision, &found.record),
                }
            }
        }
    }

    fn follow(&mut self, decision: Decision, found: &Record) -> Step {
        Step::Answer(match decision {
            Decision::TakeOver(write) => {
                self.next = Next::Replace(write);
                return Step::Send;
            }
            Decision::Own => self.acquired(found),
            Decision::Replay(payload) => Claim::Replay(payload),
            Decision::ReplayFailure(payload) => Claim::ReplayFailure(payload),
            Decision::Mismatch => Claim::Mismatch,
            Decision::Busy { retry_after } => Claim::InFlight { retry_after },
            Decision::Abandoned { attempt, .. } => Claim::Abandoned { attempt },
            Decision::Exhausted { attempts } => Claim::Exhausted { attempts },
        })
    }

    fn probes(&self) -> bool {
        matches!(self.engine.policy().on_abandoned, OnAbandoned::Probe(_))
    }

    /// Asks the policy's prober what became of an abandoned execution; gives the answer to the
    /// claim, or nothing when there is something to send.
    async fn probe(&mut self, abandoned: Box<Record>) -> Option<Claim> {
        let abandonment = Abandonment {
            key: self.key.clone(),
            fingerprint: self.request.fingerprint,
            attempt: abandoned.attempt,
            checkpoint: match &abandoned.state {
                State::InFlight { checkpoint, .. } => checkpoint.clone(),
                _ => None,
            },
        };
        let verdict = match &self.engine.policy().on_abandoned {
            OnAbandoned::Probe(prober) => prober.probe(&abandonment).await,
            OnAbandoned::Reclaim | OnAbandoned::Halt => Verdict::Unknown,
        };
        let decision = machine::settle_abandoned(&mut self.request, &abandoned, verdict).unwrap_or(
            Decision::Abandoned {
                attempt: abandonment.attempt,
                checkpoint: abandonment.checkpoint,
            },
        );
        match self.follow(decision, &abandoned) {
            Step::Answer(claim) => Some(claim),
            Step::Send | Step::Probe(_) | Step::Retry(_) => None,
        }
    }

    /// Waits before asking again; hands the error back when there is to be no more of it.
    async fn retry(&mut self, error: StoreError) -> Result<(), StoreError> {
        self.uncertain |= error.kind() == StoreErrorKind::Unknown;
        let total = self.engine.policy().retry_budget;
        let budget = self
            .budget
            .get_or_insert_with(|| Box::new(Budget::new(total)));
        if let Err(error) = budget.retry(self.engine, self.key, error).await {
            self.open &= self.uncertain;
            return Err(error);
        }
        // A create goes out under a new revision, anything else unchanged.
        if let Next::Create(record) = &mut self.next {
            *record = machine::first(&mut self.request);
        }
        Ok(())
    }

    fn won(&self) -> Claim {
        let record = self.next.record();
        match &record.state {
            State::Completed { payload } => {
                self.engine.shared().waiters.wake(self.key);
                Claim::Replay(payload.clone())
            }
            _ => self.acquired(record),
        }
    }

    fn acquired(&self, record: &Record) -> Claim {
        if record.attempt > 1 {
            observe::took_over(self.key, record.attempt);
        }
        let holding = Holding::of_claim(record.clone(), self.request.sent);
        let (engine, key) = (self.engine.clone(), self.key.clone());
        Claim::Acquired(Execution::new(engine, key, holding))
    }
}

impl Next {
    fn record(&self) -> &Record {
        match self {
            Self::Create(record) | Self::Replace(Write { record, .. }) => record,
        }
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        let record = self.next.record();
        if self.open && matches!(record.state, State::InFlight { .. }) {
            let holding = Holding::of_claim(record.clone(), self.request.sent);
            self.engine.disown(self.key, holding);
        }
    }
}
