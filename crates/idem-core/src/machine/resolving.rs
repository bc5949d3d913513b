//! [`Resolving`]: settling an abandoned key by hand.

use std::time::Duration;

use super::{Op, Reply, Write, take_over::lease_left};
use crate::{
    Resolution,
    store::{ClaimToken, Record, State, Stored, Version},
};

/// Why a key cannot be resolved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotResolvable {
    /// There is no record.
    #[error("there is no record under this key: it was never claimed, or its retention is over")]
    Absent,
    /// Somebody is running it.
    #[error(
        "the key is in flight and its holder is trusted for another {retry_after:?}; ask again then"
    )]
    Running {
        /// Lease left.
        retry_after: Duration,
    },
    /// It has an ending already.
    #[error("the key is {0} already, and the first ending wins")]
    Ended(&'static str),
}

/// What a reply means to a resolution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolved {
    /// Perform [`Resolving::next`] now.
    Again,
    /// The call failed. Pause and perform [`Resolving::next`], or give up.
    Later,
    /// It is settled.
    Done,
    /// The key is in no state to be settled.
    NotResolvable(NotResolvable),
    /// Somebody else changed the record meanwhile. After a lost reply it may have been settled as
    /// asked, and have been claimed anew since.
    Changed,
}

/// Settles a record that is in flight with its lease over: reads it, then replaces it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Resolving {
    token: ClaimToken,
    resolution: Resolution,
    seen: Option<Version>,
    write: Option<Write>,
}

impl Resolving {
    /// Starts to settle a key, under a token drawn at random.
    #[must_use]
    pub fn new(token: ClaimToken, resolution: Resolution) -> Self {
        Self {
            token,
            resolution,
            seen: None,
            write: None,
        }
    }

    /// Settles this version of the record alone: the one that somebody looked at.
    #[must_use]
    pub fn if_still(mut self, seen: Version) -> Self {
        self.seen = Some(seen);
        self
    }

    /// The next operation: a get, then an update.
    #[must_use]
    pub fn next(&self) -> Op<'_> {
        self.write.as_ref().map_or(Op::Get, Op::Update)
    }

    /// Takes the reply to the operation that [`next`](Self::next) gave.
    pub fn on_reply(&mut self, reply: Reply) -> Resolved {
        match (reply, &self.write) {
            (Reply::Applied, Some(_)) => Resolved::Done,
            (Reply::Found(Some(found)), Some(write))
                if found.record.version == write.record.version =>
            {
                Resolved::Done
            }
            (Reply::Found(_), Some(_)) => Resolved::Changed,
            (Reply::Found(found), None) => self.look(found),
            (Reply::Failed(_) | Reply::Probed(_) | Reply::Applied, _) => Resolved::Later,
        }
    }

    fn look(&mut self, found: Option<Stored>) -> Resolved {
        let Some(found) = found else {
            return Resolved::NotResolvable(NotResolvable::Absent);
        };
        let record = &found.record;
        if self.seen.is_some_and(|seen| seen != record.version) {
            return Resolved::Changed;
        }
        let State::InFlight { lease, checkpoint } = &record.state else {
            return Resolved::NotResolvable(NotResolvable::Ended(record.state.name()));
        };
        let retry_after = lease_left(*lease, &found);
        if !retry_after.is_zero() {
            return Resolved::NotResolvable(NotResolvable::Running { retry_after });
        }
        self.write = Some(Write {
            expected: record.version,
            record: Record {
                version: Version {
                    token: self.token,
                    revision: record.version.revision.saturating_add(1),
                },
                state: self.resolution.clone().into_state(checkpoint.clone()),
                ..record.clone()
            },
        });
        Resolved::Again
    }
}
