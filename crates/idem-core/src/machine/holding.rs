//! What the holder of a claim may write.

use std::time::Duration;

use bytes::Bytes;

use crate::{Record, State, Stored, Version};

/// A conditional write: replace the record if its version is still `expected`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Write {
    /// The version that has to be there.
    pub expected: Version,
    /// What to put in its place.
    pub record: Record,
}

/// A write that leaves the holder in charge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Start the lease anew.
    Renew,
    /// Leave something for a successor, and start the lease anew.
    Checkpoint(Bytes),
}

/// A write that ends the execution. The first ending wins (G2).
#[derive(Clone, PartialEq, Eq)]
pub enum Ending {
    /// Store a success for ever after.
    Complete(Bytes),
    /// Store a failure for ever after.
    Fail(Bytes),
    /// No effect: let the next claim run.
    Retry,
}

impl Ending {
    /// `completed`, `failed` or `retryable`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Complete(_) => "completed",
            Self::Fail(_) => "failed",
            Self::Retry => "retryable",
        }
    }
}

impl std::fmt::Debug for Ending {
    /// The kind alone: payloads never reach a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// What became of a write that found another version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// It had been applied before; only the reply was lost.
    Landed,
    /// An earlier write of this holder had been applied unnoticed: send this one instead.
    Again(Write),
    /// Somebody else owns the key, or it is gone (G3).
    Superseded,
}

/// How a claimer gives back a claim whose reply it never saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undo {
    /// The claim made the record: remove it.
    Release,
    /// The claim took a record over: hand it on as retryable, with its history.
    Retry,
}

impl Undo {
    /// How to give back the claim that wrote this record.
    #[must_use]
    pub const fn of(record: &Record) -> Self {
        match record.attempt {
            1 => Self::Release,
            _ => Self::Retry,
        }
    }
}

/// What a holder knows of its record: the version it last saw there, and which revisions it has
/// used up, so that no two of its writes share one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Holding {
    record: Record,
    used: u64,
}

impl Holding {
    /// The holding of whoever wrote this record.
    #[must_use]
    pub fn new(record: Record) -> Self {
        let used = record.version.revision;
        Self { record, used }
    }

    /// The holding of a claim that found its own record: it may have sent revisions up to `sent`
    /// that were not applied, or not yet.
    #[must_use]
    pub fn of_claim(record: Record, sent: u64) -> Self {
        let used = record.version.revision.max(sent);
        Self { record, used }
    }

    /// The record as last known.
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

    /// The write that renews the lease or leaves a checkpoint.
    #[must_use]
    pub fn step(&mut self, step: Step) -> Write {
        let checkpoint = match step {
            Step::Renew => self.checkpoint().cloned(),
            Step::Checkpoint(bytes) => Some(bytes),
        };
        let lease = self.lease();
        self.write(State::InFlight { lease, checkpoint })
    }

    /// The write that ends the execution.
    #[must_use]
    pub fn end(&mut self, ending: Ending) -> Write {
        let state = match ending {
            Ending::Complete(payload) => State::Completed { payload },
            Ending::Fail(payload) => State::Failed { payload },
            Ending::Retry => State::Retryable {
                checkpoint: self.checkpoint().cloned(),
            },
        };
        self.write(state)
    }

    /// Takes note that `write` was applied.
    pub fn wrote(&mut self, write: Write) {
        self.record = write.record;
    }

    /// Finds out what became of `write`, which found `found` instead of what it expected.
    #[must_use]
    pub fn settle(&mut self, write: &Write, found: Option<&Stored>) -> Settled {
        let Some(found) = found.map(|stored| &stored.record) else {
            return Settled::Superseded;
        };
        if found.version == write.record.version {
            return Settled::Landed;
        }
        if !self.owns(found) {
            return Settled::Superseded;
        }
        let state = self.rebased(&write.record.state, found);
        self.used = self.used.max(found.version.revision);
        self.record = found.clone();
        Settled::Again(self.write(state))
    }

    /// The state to write over `found`: a write that only passed the known checkpoint on passes
    /// the found one on instead, which an unnoticed write of this holder left.
    fn rebased(&self, state: &State, found: &Record) -> State {
        let mut state = state.clone();
        if let State::InFlight { checkpoint, .. } | State::Retryable { checkpoint } = &mut state
            && checkpoint.as_ref() == self.checkpoint()
            && let State::InFlight {
                checkpoint: newer, ..
            } = &found.state
        {
            checkpoint.clone_from(newer);
        }
        state
    }

    /// Whether a record found on a failed release is still this holder's, so that releasing has
    /// to be tried again at its version; notes that version.
    #[must_use]
    pub fn still_owns(&mut self, found: Option<&Stored>) -> bool {
        let Some(found) = found
            .map(|stored| &stored.record)
            .filter(|found| self.owns(found))
        else {
            return false;
        };
        self.record = found.clone();
        true
    }

    fn owns(&self, found: &Record) -> bool {
        found.version.token == self.record.version.token
            && matches!(found.state, State::InFlight { .. })
    }

    /// The lease that the record was claimed with.
    #[must_use]
    pub fn lease(&self) -> Duration {
        match self.record.state {
            State::InFlight { lease, .. } => lease,
            _ => Duration::ZERO,
        }
    }

    fn write(&mut self, state: State) -> Write {
        self.used = self.used.saturating_add(1);
        let version = Version {
            revision: self.used,
            ..self.record.version
        };
        Write {
            expected: self.record.version,
            record: Record {
                version,
                state,
                ..self.record.clone()
            },
        }
    }
}
