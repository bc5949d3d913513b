//! A record as it lies in memory.

use std::time::Duration;

use bytes::Bytes;
use idem_core::{
    RecordKey,
    store::{Record, State, Stored},
};

use crate::clock::Moment;

/// What a record costs beside its key, payload and checkpoint: the slot itself, its places in the
/// table and in the queue, and what an allocator adds to each. Rounded up.
pub(crate) const OVERHEAD: usize = 384;

pub(crate) struct Slot {
    key: RecordKey,
    record: Record,
    written: Moment,
    expires: Moment,
    /// The date in the queue that counts; never after `expires`.
    queued: Moment,
}

impl Slot {
    pub(crate) fn new(key: RecordKey, record: Record, ttl: Duration, now: Moment) -> Self {
        let mut slot = Self {
            key,
            record,
            written: now,
            expires: now.after(ttl),
            queued: now,
        };
        slot.queued = slot.next_look(now);
        slot
    }

    pub(crate) fn key(&self) -> &RecordKey {
        &self.key
    }

    pub(crate) fn record(&self) -> &Record {
        &self.record
    }

    pub(crate) fn queued(&self) -> Moment {
        self.queued
    }

    pub(crate) fn is_expired(&self, now: Moment) -> bool {
        self.expires <= now
    }

    /// Swaps the record for another. Gives the new date when the queue has to learn of one: when
    /// the record expires before anybody would look at it.
    pub(crate) fn swap(
        &mut self,
        record: &mut Record,
        ttl: Duration,
        now: Moment,
    ) -> Option<Moment> {
        std::mem::swap(&mut self.record, record);
        self.written = now;
        self.expires = now.after(ttl);
        (self.expires < self.queued).then(|| self.requeue(now))
    }

    /// The next date to look at it again, for the queue.
    pub(crate) fn requeue(&mut self, now: Moment) -> Moment {
        self.queued = self.next_look(now);
        self.queued
    }

    /// A record in flight is kept for its lease longer than one that ended. Looking at it a lease
    /// early means that its ending, which brings its expiry forward, needs no date of its own. That
    /// is all that the lease is read for: nothing is decided by it.
    fn next_look(&self, now: Moment) -> Moment {
        let early = match self.record.state {
            State::InFlight { lease, .. } => self.expires.before(lease),
            _ => self.expires,
        };
        if early > now { early } else { self.expires }
    }

    pub(crate) fn stored(&self, now: Moment) -> Stored {
        Stored {
            record: self.record.clone(),
            age: Some(now.since(self.written)),
            remaining: Some(self.expires.since(now)),
        }
    }

    pub(crate) fn size(&self) -> usize {
        size(&self.key, &self.record)
    }
}

pub(crate) fn size(key: &RecordKey, record: &Record) -> usize {
    OVERHEAD + key.as_str().len() + body(&record.state).map_or(0, Bytes::len)
}

fn body(state: &State) -> Option<&Bytes> {
    match state {
        State::InFlight { checkpoint, .. } | State::Retryable { checkpoint } => checkpoint.as_ref(),
        State::Completed { payload } | State::Failed { payload } => Some(payload),
    }
}

/// The record with its bytes in an allocation of their own: a few bytes of a large buffer would
/// otherwise keep all of it in memory for a whole retention.
pub(crate) fn compact(record: &Record) -> Record {
    let copy = |bytes: &Bytes| Bytes::copy_from_slice(bytes);
    let state = match &record.state {
        State::InFlight { lease, checkpoint } => State::InFlight {
            lease: *lease,
            checkpoint: checkpoint.as_ref().map(copy),
        },
        State::Retryable { checkpoint } => State::Retryable {
            checkpoint: checkpoint.as_ref().map(copy),
        },
        State::Completed { payload } => State::Completed {
            payload: copy(payload),
        },
        State::Failed { payload } => State::Failed {
            payload: copy(payload),
        },
    };
    Record { state, ..*record }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_overhead_covers_the_slot_and_its_places() {
        assert!(size_of::<Slot>() + 160 <= OVERHEAD, "{}", size_of::<Slot>());
    }
}
