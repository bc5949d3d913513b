//! [`Holding`]: what the holder of a key may still write.

use std::time::Duration;

use bytes::Bytes;

use super::{Ending, Held, Landed, Op, Reply, Want, Write, end::End};
use crate::{
    error::Superseded,
    store::{Record, State, StoreErrorKind, Stored, Version},
};

/// The holder's side of one key, from the claim to the ending.
///
/// State what is wanted ([`want`](Self::want)), then perform [`next`](Self::next) and hand each
/// reply to [`on_reply`](Self::on_reply) until it says something else than [`Held::Again`]. One
/// operation is under way at a time. A driver that is dropped between the two calls loses nothing:
/// whatever it sent is recognised when it is found.
///
/// An ending stays wanted until it lands. In between the holder may renew: a renewal goes first,
/// once, and the ending is then built on top of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Holding {
    /// The last record that is known to be this holder's and in flight.
    record: Record,
    /// The highest revision used: no two writes share one.
    used: u64,
    step: Option<Step>,
    end: Option<End>,
    /// The write for `step` or `end`, to be sent again unchanged when its reply is lost.
    write: Option<Write>,
    over: Option<Result<Landed, Superseded>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Step {
    Renew,
    Checkpoint(Bytes),
}

impl Holding {
    /// The holding of a claim that wrote or found `record`, and has used revisions up to `sent`.
    #[must_use]
    pub fn of_claim(record: Record, sent: u64) -> Self {
        Self {
            used: record.version.revision.max(sent),
            record,
            step: None,
            end: None,
            write: None,
            over: None,
        }
    }

    /// The holding of a claim that may never have gone through, and is given back.
    pub(super) fn given_up(record: Record, sent: u64) -> Self {
        let end = match record.attempt {
            1 => End::release(true),
            _ => End::write(Ending::Retry, None),
        };
        Self {
            end: Some(end),
            ..Self::of_claim(record, sent)
        }
    }

    /// The record as last known to be in flight under this holder.
    #[must_use]
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// The checkpoint as last known.
    #[must_use]
    pub fn checkpoint(&self) -> Option<&Bytes> {
        match &self.record.state {
            State::InFlight { checkpoint, .. } => checkpoint.as_ref(),
            _ => None,
        }
    }

    /// The lease that the key was claimed with.
    #[must_use]
    pub fn lease(&self) -> Duration {
        match self.record.state {
            State::InFlight { lease, .. } => lease,
            _ => Duration::ZERO,
        }
    }

    /// How the execution ended, once it has.
    #[must_use]
    pub fn over(&self) -> Option<Result<Landed, Superseded>> {
        self.over
    }

    /// The ending that is wanted and has not landed: `completed`, `failed`, `retryable` or
    /// `released`.
    #[must_use]
    pub fn ending(&self) -> Option<&'static str> {
        let end = self.end.as_ref().filter(|_| self.over.is_none());
        end.map(End::name)
    }

    /// States what to do next. A new ending replaces one that has not landed.
    ///
    /// # Errors
    /// [`Superseded`] when the execution is over: nothing more can be written.
    pub fn want(&mut self, want: Want) -> Result<(), Superseded> {
        if self.over.is_some() {
            return Err(Superseded);
        }
        self.step = None;
        self.write = None;
        if let Some(end) = &mut self.end {
            end.stop_awaiting();
        }
        match want {
            Want::Renew => self.step = Some(Step::Renew),
            Want::Checkpoint(bytes) => self.step = Some(Step::Checkpoint(bytes)),
            Want::End { ending, fallback } => self.end = Some(End::write(ending, fallback)),
            Want::Release => self.end = Some(End::release(false)),
        }
        Ok(())
    }

    /// The next operation, an update or a delete; `None` when nothing is wanted or the execution is
    /// over. It counts as sent from now on.
    #[expect(
        clippy::should_implement_trait,
        reason = "the operation borrows from the machine"
    )]
    pub fn next(&mut self) -> Option<Op<'_>> {
        if self.over.is_some() {
            return None;
        }
        if self.step.is_none()
            && let Some(End::Release { awaiting, maybe }) = &mut self.end
        {
            *maybe |= *awaiting;
            *awaiting = true;
            return Some(Op::Delete(self.record.version));
        }
        if self.write.is_none() {
            let state = self.wanted_state()?;
            self.write = Some(self.build(state));
        }
        self.write.as_ref().map(Op::Update)
    }

    /// Takes the reply to the operation that [`next`](Self::next) gave.
    pub fn on_reply(&mut self, reply: Reply) -> Held {
        match reply {
            Reply::Applied => match self.write.take() {
                Some(write) => self.landed(write.record),
                None => self.close(Ok(Landed::Released)),
            },
            Reply::Found(found) => self.found(found.map(|found| found.record)),
            Reply::Failed(kind) => self.failed(kind),
            Reply::Probed(_) => Held::Later,
        }
    }

    /// Takes what a read found, outside of any operation: is the execution still in charge?
    pub fn on_read(&mut self, found: Option<Stored>) -> Held {
        match self.found(found.map(|found| found.record)) {
            Held::Again => Held::Kept,
            held => held,
        }
    }

    /// Takes note that a transaction in which an ending was applied may not have been committed.
    /// The ending may have landed or not; state what is wanted now.
    pub fn reopen(&mut self) {
        self.over = None;
        self.end = None;
    }

    fn wanted_state(&self) -> Option<State> {
        let lease = self.lease();
        let in_flight = |checkpoint| State::InFlight { lease, checkpoint };
        match (&self.step, &self.end) {
            (Some(Step::Renew), _) => Some(in_flight(self.checkpoint().cloned())),
            (Some(Step::Checkpoint(bytes)), _) => Some(in_flight(Some(bytes.clone()))),
            (None, Some(End::Write { ending, .. })) => Some(ending.state(self.checkpoint())),
            (None, _) => None,
        }
    }

    fn build(&mut self, state: State) -> Write {
        self.used = self.used.saturating_add(1);
        let Record {
            fingerprint,
            attempt,
            version: expected,
            created_at,
            ..
        } = self.record;
        let version = Version {
            revision: self.used,
            ..expected
        };
        Write {
            expected,
            record: Record {
                fingerprint,
                attempt,
                version,
                created_at,
                state,
            },
        }
    }

    /// This holder's own record, as written or found.
    fn landed(&mut self, record: Record) -> Held {
        let Some(landed) = Landed::of(&record.state) else {
            self.record = record;
            self.step = None;
            return Held::Kept;
        };
        let revision = record.version.revision;
        let is_fallback = self.end.as_ref().is_some_and(|e| e.is_fallback(revision));
        self.close(Ok(if is_fallback {
            Landed::Fallback
        } else {
            landed
        }))
    }

    fn found(&mut self, found: Option<Record>) -> Held {
        let sent = self.write.take();
        let attempt = found.as_ref().map(|found| found.attempt);
        let token = self.record.version.token;
        let Some(own) = found.filter(|found| found.version.token == token) else {
            return self.gone(attempt);
        };
        let is_sent = sent.is_some_and(|sent| sent.record.version == own.version);
        if is_sent || own.state.is_ended() {
            return self.landed(own);
        }
        // An earlier write of this holder had landed unseen: the next one goes on top of it.
        self.used = self.used.max(own.version.revision);
        self.record = own;
        if let Some(end) = &mut self.end {
            end.not_deleted();
        }
        Held::Again
    }

    /// The record is gone, or another claim's. After a lost reply to a delete it is what a release
    /// leaves if it is gone or was made anew since; a take-over would have counted the attempt up.
    fn gone(&mut self, attempt: Option<u32>) -> Held {
        let released = self.end.as_ref().is_some_and(End::may_have_released)
            && attempt.is_none_or(|attempt| attempt <= self.record.attempt);
        self.close(if released {
            Ok(Landed::Released)
        } else {
            Err(Superseded)
        })
    }

    fn failed(&mut self, kind: StoreErrorKind) -> Held {
        let Some(end) = &mut self.end else {
            return Held::Later;
        };
        if self.step.take().is_some() {
            // The ending is not kept waiting by a renewal that fails.
            self.write = None;
        } else if end.failed(kind, self.used.saturating_add(1)) {
            self.write = None;
            return Held::Again;
        }
        Held::Later
    }

    fn close(&mut self, over: Result<Landed, Superseded>) -> Held {
        self.over = Some(over);
        self.step = None;
        self.write = None;
        match over {
            Ok(landed) => Held::Ended(landed),
            Err(Superseded) => Held::Superseded,
        }
    }
}
