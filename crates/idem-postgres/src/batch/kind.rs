//! [`Kind`]: which calls fit into one statement, and which one it is.

use idem_core::store::State;
use idem_sql::batch::{Answer, Job, Reply};

use crate::sql::{Statement, Statements};

/// Jobs of one kind fit into one statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A first claim that is sent for the first time, by a statement that does nothing else.
    Claim,
    /// The same of a key that was seen before, by a look at its record.
    Look,
    Create,
    /// A holder's ending that is sent for the first time, by a statement that says nothing but
    /// whether it did it: nothing is likely to be in its way.
    End,
    Update,
    Delete,
    Get,
}

impl Kind {
    pub(super) fn statement(self, sql: &Statements) -> &Statement {
        match self {
            Self::Claim => &sql.claim,
            Self::Create => &sql.create,
            Self::End => &sql.end,
            Self::Update => &sql.update,
            Self::Delete => &sql.delete,
            Self::Look | Self::Get => &sql.get,
        }
    }

    /// The kind whose statement waits for whom it meets and tells what is there.
    pub(super) fn thorough(self) -> Self {
        match self {
            Self::Claim | Self::Look => Self::Create,
            Self::End => Self::Update,
            Self::Create | Self::Update | Self::Delete | Self::Get => self,
        }
    }

    /// Whether the statement for many of these may wait for a lock.
    pub(super) fn many_may_wait(self) -> bool {
        self.thorough() == Self::Create && self != Self::Look
    }

    /// Whether the statement for one of these may wait for a lock.
    pub(super) fn one_may_wait(self) -> bool {
        !matches!(self, Self::Look | Self::Get | Self::End)
    }
}

impl idem_sql::batch::Kind for Kind {
    const ALL: &'static [Self] = &[
        Self::Claim,
        Self::Look,
        Self::Create,
        Self::End,
        Self::Update,
        Self::Delete,
        Self::Get,
    ];

    fn of(job: &Job, seen: bool, raced: bool) -> Self {
        let first = match job {
            Job::Create { .. } if seen => Self::Look,
            Job::Create { record, .. } if is_plain_claim(&record.state) => Self::Claim,
            Job::Create { .. } => Self::Create,
            Job::Update {
                expected, record, ..
            } if record.state.is_final() && record.version.token == expected.token => Self::End,
            Job::Update { .. } => Self::Update,
            Job::Delete { .. } => Self::Delete,
            Job::Get => Self::Get,
        };
        match raced {
            true => first.thorough(),
            false => first,
        }
    }

    fn index(self) -> usize {
        self as usize
    }

    fn creates(self) -> bool {
        self.thorough() == Self::Create
    }

    fn reads(self) -> bool {
        self == Self::Get
    }

    /// Whether a call raced with another process', and knows nothing of it yet.
    fn has_raced(self, reply: &Reply) -> bool {
        match reply {
            Ok(None) => self.creates() || self == Self::End,
            Ok(Some(Answer::Expired)) => self.creates(),
            _ => false,
        }
    }
}

fn is_plain_claim(state: &State) -> bool {
    matches!(
        state,
        State::InFlight {
            checkpoint: None,
            ..
        }
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use idem_core::{
        Fingerprint, Timestamp,
        store::{ClaimToken, Record, Version},
    };
    use idem_sql::batch::Kind as _;

    use super::*;

    fn claim() -> Job {
        let lease = Duration::from_secs(30);
        let record = Record {
            fingerprint: Fingerprint::of("tests", b"request"),
            attempt: 1,
            version: Version {
                token: ClaimToken::from_bytes([1; 16]),
                revision: 1,
            },
            created_at: Timestamp::from_millis(0),
            state: State::InFlight {
                lease,
                checkpoint: None,
            },
        };
        Job::Create { record, ttl: lease }
    }

    /// A replay is one statement where the key was seen, and a first claim always.
    #[test]
    fn a_key_that_was_seen_is_looked_at_and_any_other_is_inserted() {
        assert_eq!(Kind::of(&claim(), false, false), Kind::Claim);
        assert_eq!(Kind::of(&claim(), true, false), Kind::Look);
        for first in [Kind::Claim, Kind::Look] {
            assert!(first.has_raced(&Ok(None)), "nothing is known of it");
        }
        for seen in [false, true] {
            assert_eq!(Kind::of(&claim(), seen, true), Kind::Create);
        }
    }
}
