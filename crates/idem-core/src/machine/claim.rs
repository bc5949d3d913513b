//! What a claim does with what it finds.

use std::{num::NonZeroU32, time::Duration};

use bytes::Bytes;

use super::Write;
use crate::{ClaimToken, Fingerprint, ProbeResult, Record, State, Stored, Timestamp, Version};

/// One caller's wish to run.
#[derive(Debug, Clone)]
pub struct Request {
    /// The request that wants to run.
    pub fingerprint: Fingerprint,
    /// Drawn at random for this claim.
    pub token: ClaimToken,
    /// The highest revision that this claim has used so far; 0 at first. Whatever makes a write for
    /// it counts it up, so that no two of its writes share a version.
    pub sent: u64,
    /// For people; see [`Record::created_at`].
    pub created_at: Timestamp,
    /// How long to be trusted.
    pub lease: Duration,
    /// What to do with a lease that ran out.
    pub lapsed: LapsedRule,
    /// How many executions the key may start.
    pub max_attempts: Option<NonZeroU32>,
}

/// What a claim does with a lease that ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LapsedRule {
    /// Take over.
    Reclaim,
    /// Leave it, and say so.
    Halt,
}

/// What to do with what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// The record is this very claim: its reply was lost. Run.
    Own,
    /// Replace the record; run when that write lands.
    TakeOver(Write),
    /// Answer with the stored success.
    Replay(Bytes),
    /// Answer with the stored failure.
    ReplayFailure(Bytes),
    /// Refuse: the key belongs to another request.
    Mismatch,
    /// Refuse for now: somebody runs it, and is trusted for so long still.
    Busy {
        /// Lease left.
        retry_after: Duration,
    },
    /// Refuse: somebody ran it and vanished.
    Abandoned {
        /// The lost execution's fencing number.
        attempt: u32,
        /// What it left.
        checkpoint: Option<Bytes>,
    },
    /// Refuse: the key has had all its attempts.
    Exhausted {
        /// How many it had.
        attempts: u32,
    },
}

/// The record of a key that nobody claimed before, under a revision of its own.
///
/// A create whose reply was lost is sent again as another `first`, because both may be applied:
/// one, then a take-over and its release, then the other. What expects the one must not fit the
/// other.
#[must_use]
pub fn first(request: &mut Request) -> Record {
    request.sent = request.sent.saturating_add(1);
    in_flight(request, 1, request.sent, request.created_at, None)
}

/// Decides over a record that was found.
///
/// The fingerprint comes before the state: another request is a mismatch even while the first one
/// is in flight (G4).
#[must_use]
pub fn decide(request: &mut Request, found: &Stored) -> Decision {
    let record = &found.record;
    let own = record.version.token == request.token;
    if own && matches!(record.state, State::InFlight { .. }) {
        return Decision::Own;
    }
    if record.fingerprint != request.fingerprint {
        return Decision::Mismatch;
    }
    match &record.state {
        State::Completed { payload } => Decision::Replay(payload.clone()),
        State::Failed { payload } => Decision::ReplayFailure(payload.clone()),
        State::Retryable { .. } => take_over(request, record),
        State::InFlight { lease, checkpoint } => {
            let left = lease.saturating_sub(found.age.unwrap_or(Duration::ZERO));
            if !left.is_zero() {
                return Decision::Busy { retry_after: left };
            }
            match request.lapsed {
                LapsedRule::Reclaim => take_over(request, record),
                LapsedRule::Halt => Decision::Abandoned {
                    attempt: record.attempt,
                    checkpoint: checkpoint.clone(),
                },
            }
        }
    }
}

/// Takes over a record that is free: retryable, or in flight with its lease over.
#[must_use]
pub fn take_over(request: &mut Request, record: &Record) -> Decision {
    let limit = request.max_attempts.map_or(u32::MAX, NonZeroU32::get);
    if record.attempt >= limit {
        return Decision::Exhausted {
            attempts: record.attempt,
        };
    }
    let checkpoint = match &record.state {
        State::InFlight { checkpoint, .. } | State::Retryable { checkpoint } => checkpoint.clone(),
        State::Completed { .. } | State::Failed { .. } => None,
    };
    let revision = next_revision(request, record);
    Decision::TakeOver(Write {
        expected: record.version,
        record: in_flight(
            request,
            record.attempt + 1,
            revision,
            record.created_at,
            checkpoint,
        ),
    })
}

/// What the result of a probe makes of an abandoned record.
///
/// `None` leaves it halted. An answer comes with the write that stores it first.
#[must_use]
pub fn settle_abandoned(
    request: &mut Request,
    found: &Record,
    result: ProbeResult,
) -> Option<Decision> {
    match result.into_resolution()?.into_state(None) {
        State::Retryable { .. } => Some(take_over(request, found)),
        state => Some(Decision::TakeOver(Write {
            expected: found.version,
            record: Record {
                version: Version {
                    token: request.token,
                    revision: next_revision(request, found),
                },
                state,
                ..found.clone()
            },
        })),
    }
}

/// Above what the record has, and above what this claim has used: a write that it made for another
/// record, or for none, may still be under way or have been applied.
fn next_revision(request: &mut Request, found: &Record) -> u64 {
    request.sent = found.version.revision.max(request.sent).saturating_add(1);
    request.sent
}

fn in_flight(
    request: &Request,
    attempt: u32,
    revision: u64,
    created_at: Timestamp,
    checkpoint: Option<Bytes>,
) -> Record {
    Record {
        fingerprint: request.fingerprint,
        attempt,
        version: Version {
            token: request.token,
            revision,
        },
        created_at,
        state: State::InFlight {
            lease: request.lease,
            checkpoint,
        },
    }
}
