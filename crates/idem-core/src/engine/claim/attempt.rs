//! One claim on its way: sending, deciding, asking again, giving back.

use crate::{
    Abandonment, Claim, Created, Execution, Idempotency, OnAbandoned, ProbeResult, Record,
    RecordKey, Refused, State, StoreError, StoreErrorKind, Stored, Updated,
    engine::{
        bounded,
        call::{Budget, in_place},
    },
    machine::{self, Decision, Holding, Request, Write},
    observe,
};

/// Rounds of one claim before a store that only ever answers *conflict* counts as broken. Honest
/// conflicts mean that somebody else got ahead, which ends in a busy, ended or free key soon.
const MAX_ROUNDS: usize = 1000;

/// One claim on its way. Dropped while the outcome of a write is not known (the caller went away,
/// or gave up after a lost reply) it gives the claim back: otherwise a key that never ran would
/// stay locked for a whole lease.
pub(super) struct Attempt<'a> {
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
    pub(super) fn new(engine: &'a Idempotency, key: &'a RecordKey, mut request: Request) -> Self {
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
    pub(super) async fn run(&mut self) -> Result<Claim, StoreError> {
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
                    Decision::Abandoned { .. } => Step::Probe(Box::new(found.record)),
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
            Decision::Mismatch => Claim::Refused(Refused::Mismatch),
            Decision::Busy { retry_after } => Claim::Refused(Refused::InFlight { retry_after }),
            Decision::Abandoned { attempt, .. } => Claim::Refused(Refused::Abandoned { attempt }),
            Decision::Exhausted { attempts } => Claim::Refused(Refused::Exhausted { attempts }),
        })
    }

    /// Asks the policy's prober, where it has one, what became of an abandoned execution; gives the
    /// answer to the claim, or nothing when there is something to send.
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
        let result = match &self.engine.policy().on_abandoned {
            OnAbandoned::Probe(prober) => prober.probe(&abandonment).await,
            OnAbandoned::Reclaim | OnAbandoned::Halt => ProbeResult::unknown(),
        };
        let decision = machine::settle_abandoned(&mut self.request, &abandoned, result).unwrap_or(
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
            State::Failed { payload } => {
                self.engine.shared().waiters.wake(self.key);
                Claim::ReplayFailure(payload.clone())
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
