//! Claiming a key.

use std::{pin::pin, time::Duration};

use bytes::Bytes;
use tracing::Instrument;

use super::{
    Idempotency,
    call::{Budget, bounded},
};
use crate::{
    ClaimError, Created, Execution, Fingerprint, OnAbandoned, OnBusy, Record, RecordKey, State,
    StoreError, StoreErrorKind, Stored, Timestamp, Updated,
    machine::{self, Decision, Holding, LapsedRule, Request, Write},
    observe,
    policy::Abandonment,
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
            let mut claim = self.claim_once(key, fingerprint).await;
            if let (Ok(Claim::InFlight { .. }), OnBusy::Wait(max)) = (&claim, self.policy.on_busy) {
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
        self.land_pending(key).await;
        let mut attempt = Attempt {
            engine: self,
            key,
            request: self.request(fingerprint),
        };
        attempt.run().await.map_err(|source| ClaimError { source })
    }

    fn request(&self, fingerprint: &Fingerprint) -> Request {
        let policy = &self.policy;
        Request {
            fingerprint: *fingerprint,
            token: self.shared.entropy.token(),
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

/// One claim on its way.
struct Attempt<'a> {
    engine: &'a Idempotency,
    key: &'a RecordKey,
    request: Request,
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

impl Attempt<'_> {
    async fn run(&mut self) -> Result<Claim, StoreError> {
        let mut budget = Budget::new(self.engine.policy.retry_budget);
        let mut next = self.create();
        let mut uncertain = false;
        for _ in 0..MAX_ROUNDS {
            let sent = self.sent(next);
            next = match sent.send().await {
                Ok(Reply::Written) => return Ok(self.won(sent.settled())),
                Ok(Reply::Found(found)) => {
                    sent.settled();
                    uncertain = false;
                    match self.decide(found).await {
                        Ok(write) => Next::Replace(write),
                        Err(claim) => return Ok(claim),
                    }
                }
                Ok(Reply::Vacant) => {
                    sent.settled();
                    self.create()
                }
                Err(error) => {
                    uncertain |= error.kind() == StoreErrorKind::Unknown;
                    match budget.retry(self.engine, self.key, error).await {
                        Ok(()) => self.again(sent.settled()),
                        Err(error) => {
                            if !uncertain {
                                sent.settled();
                            }
                            return Err(error);
                        }
                    }
                }
            };
        }
        Err(StoreError::corrupt(
            "the store answers `conflict` without end; check it with idem-conformance",
        ))
    }

    fn create(&mut self) -> Next {
        Next::Create(machine::first(&mut self.request))
    }

    /// What to send after a lost reply: a create under a new revision, anything else unchanged.
    fn again(&mut self, sent: Next) -> Next {
        match sent {
            Next::Create(_) => self.create(),
            replace @ Next::Replace(_) => replace,
        }
    }

    fn sent(&self, written: Next) -> Sent<'_> {
        Sent {
            engine: self.engine,
            key: self.key,
            revisions: self.request.sent,
            written: Some(written),
        }
    }

    /// Goes on from a record that was found: `Ok` with a write to try, `Err` with the answer.
    async fn decide(&self, found: Stored) -> Result<Write, Claim> {
        let mut decision = machine::decide(&self.request, &found);
        if let Decision::Abandoned {
            attempt,
            checkpoint,
        } = &decision
            && let OnAbandoned::Probe(prober) = &self.engine.policy.on_abandoned
        {
            let abandonment = Abandonment {
                key: self.key.clone(),
                fingerprint: self.request.fingerprint,
                attempt: *attempt,
                checkpoint: checkpoint.clone(),
            };
            let verdict = prober.probe(&abandonment).await;
            if let Some(settled) = machine::settle_abandoned(&self.request, &found.record, verdict)
            {
                decision = settled;
            }
        }
        Err(match decision {
            Decision::TakeOver(write) => return Ok(write),
            Decision::Own => self.acquired(found.record),
            Decision::Replay(payload) => Claim::Replay(payload),
            Decision::ReplayFailure(payload) => Claim::ReplayFailure(payload),
            Decision::Mismatch => Claim::Mismatch,
            Decision::Busy { retry_after } => Claim::InFlight { retry_after },
            Decision::Abandoned { attempt, .. } => Claim::Abandoned { attempt },
            Decision::Exhausted { attempts } => Claim::Exhausted { attempts },
        })
    }

    fn won(&self, written: Next) -> Claim {
        let (Next::Create(record) | Next::Replace(Write { record, .. })) = written;
        match record.state {
            State::Completed { payload } => {
                self.engine.shared.waiters.wake(self.key);
                Claim::Replay(payload)
            }
            _ => self.acquired(record),
        }
    }

    fn acquired(&self, record: Record) -> Claim {
        if record.attempt > 1 {
            observe::took_over(self.key, record.attempt);
        }
        let holding = Holding::of_claim(record, self.request.sent);
        let (engine, key) = (self.engine.clone(), self.key.clone());
        Claim::Acquired(Execution::new(engine, key, holding))
    }
}

/// A write on its way. Dropped before its outcome is known (the caller went away, or gave up after
/// a lost reply) it gives the claim back: otherwise a key that never ran would stay locked for a
/// whole lease.
struct Sent<'a> {
    engine: &'a Idempotency,
    key: &'a RecordKey,
    revisions: u64,
    written: Option<Next>,
}

impl Sent<'_> {
    async fn send(&self) -> Result<Reply, StoreError> {
        let policy = &self.engine.policy;
        let store = &self.engine.shared.store;
        let ttl = |record: &Record| machine::ttl(&record.state, policy.retention);
        match &self.written {
            Some(Next::Create(record)) => {
                let call = store.create(self.key, record, ttl(record));
                Ok(match bounded(policy.call_timeout, call).await? {
                    Created::New => Reply::Written,
                    Created::Exists(found) => Reply::Found(found),
                })
            }
            Some(Next::Replace(Write { expected, record })) => {
                let call = store.update(self.key, *expected, record, ttl(record));
                Ok(match bounded(policy.call_timeout, call).await? {
                    Updated::Done => Reply::Written,
                    Updated::Conflict(Some(found)) => Reply::Found(found),
                    Updated::Conflict(None) => Reply::Vacant,
                })
            }
            None => Ok(Reply::Vacant),
        }
    }

    /// What became of the write is known, or it is about to be sent again.
    fn settled(mut self) -> Next {
        self.written
            .take()
            .expect("a write is taken out once, here")
    }
}

impl Drop for Sent<'_> {
    fn drop(&mut self) {
        let Some(Next::Create(record) | Next::Replace(Write { record, .. })) = self.written.take()
        else {
            return;
        };
        if matches!(record.state, State::InFlight { .. }) {
            let holding = Holding::of_claim(record, self.revisions);
            self.engine.disown(self.key, holding);
        }
    }
}
