//! The records and writes of a claim.

use std::{num::NonZeroU32, time::Duration};

use bytes::Bytes;

use super::{Request, Write};
use crate::{
    Timestamp,
    store::{Record, State, Stored, Version},
};

/// The record of a key that has none, under a new revision.
pub(super) fn first(request: &mut Request) -> Record {
    request.sent = request.sent.saturating_add(1);
    in_flight(request, 1, request.created_at, None)
}

/// Takes over a record that is free: retryable, or in flight with its lease over. `Err` has the
/// number of attempts when they are used up.
pub(super) fn take_over(request: &mut Request, found: &Record) -> Result<Write, u32> {
    let limit = request.max_attempts.map_or(u32::MAX, NonZeroU32::get);
    if found.attempt >= limit {
        return Err(found.attempt);
    }
    let checkpoint = match &found.state {
        State::InFlight { checkpoint, .. } | State::Retryable { checkpoint } => checkpoint.clone(),
        State::Completed { .. } | State::Failed { .. } => None,
    };
    next_revision(request, found);
    Ok(Write {
        expected: found.version,
        record: in_flight(request, found.attempt + 1, found.created_at, checkpoint),
    })
}

/// Settles an abandoned execution as the prober said, under the claim's own token (G3).
pub(super) fn settle(request: &mut Request, found: &Record, state: State) -> Write {
    next_revision(request, found);
    Write {
        expected: found.version,
        record: Record {
            version: version(request),
            state,
            ..found.clone()
        },
    }
}

/// What is left of a record's lease. A record without an age counts as just written.
pub(super) fn lease_left(lease: Duration, found: &Stored) -> Duration {
    lease.saturating_sub(found.age.unwrap_or(Duration::ZERO))
}

/// Above the record's revision and above all that this claim has used: an earlier write of this
/// claim may be under way or applied.
fn next_revision(request: &mut Request, found: &Record) {
    request.sent = found.version.revision.max(request.sent).saturating_add(1);
}

fn version(request: &Request) -> Version {
    Version {
        token: request.token,
        revision: request.sent,
    }
}

fn in_flight(
    request: &Request,
    attempt: u32,
    created_at: Timestamp,
    checkpoint: Option<Bytes>,
) -> Record {
    Record {
        fingerprint: request.fingerprint,
        attempt,
        version: version(request),
        created_at,
        state: State::InFlight {
            lease: request.lease,
            checkpoint,
        },
    }
}
