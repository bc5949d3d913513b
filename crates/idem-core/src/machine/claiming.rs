//! [`Claiming`]: one claim on its way.

use std::{num::NonZeroU32, time::Duration};

use bytes::Bytes;

use super::{
    Ending, Holding, Op, Reply, Write,
    end::End,
    take_over::{first, lease_left, settle, take_over},
};
use crate::{
    Fingerprint, ProbeResult, Refused, Timestamp,
    store::{ClaimToken, Record, State, Stored},
};

/// One caller's wish to run.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Request {
    /// The request that wants to run.
    pub fingerprint: Fingerprint,
    /// Drawn at random for this claim.
    pub token: ClaimToken,
    /// The highest revision that this claim has used; 0 at first.
    pub sent: u64,
    /// For people; see [`Record::created_at`].
    pub created_at: Timestamp,
    /// How long the holder is trusted after its last write.
    pub lease: Duration,
    /// What to do with a lease that ran out.
    pub lapsed: LapsedRule,
    /// How many executions the key may start.
    pub max_attempts: Option<NonZeroU32>,
}

/// What a claim does with a lease that ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LapsedRule {
    /// Take over.
    Reclaim,
    /// Leave it, and answer [`Refused::Abandoned`].
    Halt,
    /// Ask the prober what became of it.
    Probe,
}

/// What a reply means to a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "to have the key is the usual case, and a box would cost it an allocation"
)]
pub enum Claimed {
    /// Perform [`Claiming::next`] now.
    Again,
    /// The call failed. Pause and perform [`Claiming::next`], or give up.
    Later,
    /// The claim has the key: run.
    Own(Holding),
    /// The key's stored success.
    Replay(Bytes),
    /// The key's stored failure.
    ReplayFailure(Bytes),
    /// It does not run.
    Refused(Refused),
}

/// One claim on its way.
///
/// ```
/// # use std::time::Duration;
/// # use idem_core::{Fingerprint, Timestamp, store::ClaimToken};
/// use idem_core::machine::{Claimed, Claiming, LapsedRule, Op, Reply, Request};
///
/// let mut claiming = Claiming::new(Request {
///     fingerprint: Fingerprint::of("payments/v1", b"500 usd"),
///     token: ClaimToken::from_bytes([7; 16]), // random
///     sent: 0,
///     created_at: Timestamp::now(),
///     lease: Duration::from_secs(30),
///     lapsed: LapsedRule::Reclaim,
///     max_attempts: None,
/// });
/// assert!(matches!(claiming.next(), Op::Create(record) if record.attempt == 1));
/// let claimed = claiming.on_reply(Reply::Applied, Duration::ZERO);
/// assert!(matches!(claimed, Claimed::Own(_)));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Claiming {
    request: Request,
    next: Next,
    /// `next` was given out, and no reply has come since.
    awaiting: bool,
    /// `next` has to go out again after a failure.
    failed: bool,
    /// A reply was lost, and nothing found since tells that the write was not applied.
    maybe: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Next {
    Create(Record),
    TakeOver {
        write: Write,
        /// The record that it replaces was released.
        released: bool,
    },
    /// Stores what the prober said.
    Settle(Write),
    Probe(Record),
}

impl Claiming {
    /// Starts a claim.
    #[must_use]
    pub fn new(mut request: Request) -> Self {
        Self {
            next: Next::Create(first(&mut request)),
            request,
            awaiting: false,
            failed: false,
            maybe: false,
        }
    }

    /// Starts a claim within a transaction. Nothing is probed: an abandoned key is refused. Drop it
    /// instead of giving it up: a transaction that rolls back leaves no claim.
    #[must_use]
    pub fn in_transaction(mut request: Request) -> Self {
        if request.lapsed == LapsedRule::Probe {
            request.lapsed = LapsedRule::Halt;
        }
        Self::new(request)
    }

    /// The next operation: a create, an update, a read or a probe. It counts as sent from now on.
    ///
    /// After a take-over that failed it reads first: the holder may have renewed meanwhile, and if the
    /// store was away, it is due its grace.
    #[expect(
        clippy::should_implement_trait,
        reason = "the operation borrows from the machine"
    )]
    pub fn next(&mut self) -> Op<'_> {
        if let Next::Create(record) = &mut self.next
            && (self.failed || self.awaiting)
        {
            *record = first(&mut self.request);
        }
        let failed = std::mem::take(&mut self.failed);
        match &self.next {
            Next::TakeOver { .. } | Next::Settle(_) if failed => Op::Get,
            Next::Probe(abandoned) => Op::Probe(abandoned),
            Next::Create(record) => {
                self.awaiting = true;
                Op::Create(record)
            }
            Next::TakeOver { write, .. } | Next::Settle(write) => {
                self.awaiting = true;
                Op::Update(write)
            }
        }
    }

    /// Takes the reply to the operation that [`next`](Self::next) gave.
    ///
    /// `grace` is how long a holder whose lease is over is trusted still, because this claimer
    /// could not reach the store for a while: then neither could the holder. Zero without an
    /// outage.
    pub fn on_reply(&mut self, reply: Reply, grace: Duration) -> Claimed {
        self.awaiting = false;
        match reply {
            Reply::Applied => {
                self.maybe = false;
                self.won()
            }
            Reply::Found(None) => {
                self.next = Next::Create(first(&mut self.request));
                Claimed::Again
            }
            Reply::Found(Some(found)) if self.still_fits(&found) => match trusted(&found, grace) {
                Some(retry_after) => Claimed::Refused(Refused::InFlight { retry_after }),
                None => Claimed::Again,
            },
            Reply::Found(Some(found)) => {
                self.maybe = false;
                self.decide(found, grace)
            }
            Reply::Probed(result) => self.probed(result),
            Reply::Failed(kind) => {
                self.failed = true;
                self.maybe |= kind.may_have_landed();
                Claimed::Later
            }
        }
    }

    /// What has to be undone when this claim is given up: a claim that may have gone through
    /// unseen. The holding wants to remove its record, or, where the claim took one over, to hand it
    /// on as it was, retryable or released.
    #[must_use]
    pub fn give_up(&self) -> Option<Holding> {
        if !self.awaiting && !self.maybe {
            return None;
        }
        let (record, end) = match &self.next {
            Next::Create(record) => (record, End::Undo),
            Next::TakeOver { write, released } => {
                let ending = match released {
                    true => Ending::Release,
                    false => Ending::Retry,
                };
                (&write.record, End::write(ending, None))
            }
            Next::Settle(_) | Next::Probe(_) => return None,
        };
        Some(Holding::given_up(record.clone(), self.request.sent, end))
    }

    fn won(&self) -> Claimed {
        let (Next::Create(record)
        | Next::TakeOver {
            write: Write { record, .. },
            ..
        }
        | Next::Settle(Write { record, .. })
        | Next::Probe(record)) = &self.next;
        match &record.state {
            State::Completed { payload } => Claimed::Replay(payload.clone()),
            State::Failed { payload } => Claimed::ReplayFailure(payload.clone()),
            State::InFlight { .. } | State::Retryable { .. } | State::Released => {
                self.own(record.clone())
            }
        }
    }

    fn own(&self, record: Record) -> Claimed {
        Claimed::Own(Holding::of_claim(record, self.request.sent))
    }

    /// The record that the next write replaces is there unchanged. An earlier copy of that write may come
    /// through still.
    fn still_fits(&self, found: &Stored) -> bool {
        match &self.next {
            Next::TakeOver { write, .. } | Next::Settle(write) => {
                write.expected == found.record.version
            }
            Next::Create(_) | Next::Probe(_) => false,
        }
    }

    /// The fingerprint comes before the state: another request is a mismatch even while the first
    /// one is in flight (G4). A released key belongs to no request.
    fn decide(&mut self, found: Stored, grace: Duration) -> Claimed {
        let record = &found.record;
        let is_own = record.version.token == self.request.token;
        if is_own && matches!(record.state, State::InFlight { .. }) {
            return self.own(found.record);
        }
        if record.state == State::Released {
            return self.take_over(record);
        }
        if record.fingerprint != self.request.fingerprint {
            return Claimed::Refused(Refused::Mismatch);
        }
        match &record.state {
            State::Completed { payload } => Claimed::Replay(payload.clone()),
            State::Failed { payload } => Claimed::ReplayFailure(payload.clone()),
            State::Retryable { .. } | State::Released => self.take_over(record),
            State::InFlight { .. } => match trusted(&found, grace) {
                Some(retry_after) => Claimed::Refused(Refused::InFlight { retry_after }),
                None => self.lapsed(found.record),
            },
        }
    }

    fn lapsed(&mut self, record: Record) -> Claimed {
        match self.request.lapsed {
            LapsedRule::Reclaim => self.take_over(&record),
            LapsedRule::Halt => abandoned(&record),
            LapsedRule::Probe => {
                self.next = Next::Probe(record);
                Claimed::Again
            }
        }
    }

    fn probed(&mut self, result: ProbeResult) -> Claimed {
        let Next::Probe(record) = &self.next else {
            return Claimed::Again;
        };
        let record = record.clone();
        let Some(resolution) = result.into_resolution() else {
            return abandoned(&record);
        };
        match resolution.into_state(None) {
            State::Retryable { .. } | State::Released | State::InFlight { .. } => {
                self.take_over(&record)
            }
            state => {
                self.next = Next::Settle(settle(&mut self.request, &record, state));
                Claimed::Again
            }
        }
    }

    fn take_over(&mut self, record: &Record) -> Claimed {
        match take_over(&mut self.request, record) {
            Ok(write) => {
                let released = record.state == State::Released;
                self.next = Next::TakeOver { write, released };
                Claimed::Again
            }
            Err(attempts) => Claimed::Refused(Refused::Exhausted { attempts }),
        }
    }
}

/// For how long the record's holder is trusted still; `None` if it is not.
fn trusted(found: &Stored, grace: Duration) -> Option<Duration> {
    let State::InFlight { lease, .. } = found.record.state else {
        return None;
    };
    let left = lease_left(lease, found);
    let trusted = if left.is_zero() { grace } else { left };
    (!trusted.is_zero()).then_some(trusted)
}

fn abandoned(record: &Record) -> Claimed {
    let attempt = record.attempt;
    Claimed::Refused(Refused::Abandoned { attempt })
}
