//! What a call asks for, and the columns that it sends.

use std::time::Duration;

use idem_core::{
    RecordKey,
    store::{Record, State, StoreError, Version},
};
use tokio::sync::oneshot;

use super::{MAX_RACES, kind::Kind};
use crate::{
    call::Scalar,
    rows::{Answer, Columns, signed},
};

/// What comes back: no answer means that no row was there.
pub(crate) type Reply = Result<Option<Answer>, StoreError>;

/// What a call asks for.
#[derive(Debug)]
pub(crate) enum Job {
    Create {
        record: Record,
        ttl: Duration,
    },
    Update {
        expected: Version,
        record: Record,
        ttl: Duration,
    },
    Delete {
        expected: Version,
    },
    Get,
}

impl Job {
    /// What it is when it is asked for the first time.
    fn first_kind(&self) -> Kind {
        match self {
            Self::Create { record, .. } if is_plain_claim(&record.state) => Kind::Claim,
            Self::Create { .. } => Kind::Create,
            Self::Update {
                expected, record, ..
            } if record.state.is_final() && record.version.token == expected.token => Kind::End,
            Self::Update { .. } => Kind::Update,
            Self::Delete { .. } => Kind::Delete,
            Self::Get => Kind::Get,
        }
    }

    /// Whether it files a record where there is none.
    pub(super) fn creates(&self) -> bool {
        self.first_kind().creates()
    }

    /// The version that has to be there.
    pub(super) fn expected(&self) -> Option<&Version> {
        match self {
            Self::Update { expected, .. } | Self::Delete { expected } => Some(expected),
            Self::Create { .. } | Self::Get => None,
        }
    }

    /// About how many bytes it sends.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Create { record, .. } | Self::Update { record, .. } => match &record.state {
                State::InFlight { checkpoint, .. } | State::Retryable { checkpoint } => {
                    checkpoint.as_ref().map_or(0, bytes::Bytes::len)
                }
                State::Completed { payload } | State::Failed { payload } => payload.len(),
            },
            Self::Delete { .. } | Self::Get => 0,
        }
    }

    /// The columns of its row, in the order in which the statement that waits numbers them.
    pub(crate) fn row<'a>(&'a self, key: &'a RecordKey) -> Vec<Scalar<'a>> {
        let mut row = Vec::new();
        self.write_row(self.first_kind().thorough(), key, &mut row);
        row
    }

    /// Appends the columns of its row, in the order in which the statement of a kind numbers them.
    fn write_row<'a>(&'a self, kind: Kind, key: &'a RecordKey, row: &mut Vec<Scalar<'a>>) {
        row.extend([Scalar::Text(key.scope()), Scalar::Text(key.key())]);
        row.extend(self.expected().into_iter().flat_map(version));
        if let Self::Create { record, ttl } | Self::Update { record, ttl, .. } = self {
            let columns = Columns::new(record, *ttl);
            match kind {
                Kind::Claim => row.extend(columns.claim()),
                Kind::End => row.extend(columns.ending()),
                Kind::Look => {}
                Kind::Create | Kind::Update | Kind::Delete | Kind::Get => row.extend(columns.all()),
            }
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

fn version(version: &Version) -> [Scalar<'_>; 2] {
    [
        Scalar::Bytes(Some(version.token.as_bytes())),
        Scalar::Int(Some(signed(version.revision))),
    ]
}

/// What whoever waits for a call is told.
#[derive(Debug)]
pub(super) enum Said {
    Answer(Reply),
    /// It was not sent, and nobody is left to send it.
    Unsent(Job),
}

/// A job, and who waits for it.
#[derive(Debug)]
pub(super) struct Call {
    /// Given by its queue.
    pub(super) id: u64,
    pub(super) job: Job,
    /// Whether its caller has taken it back.
    withdrawn: bool,
    /// Whether its key is likely to have a record. Noted here, for a call that waits has to stay of
    /// one kind.
    seen: bool,
    /// How often it was asked and knows nothing.
    races: u32,
    reply: oneshot::Sender<Said>,
}

impl Call {
    pub(super) fn new(job: Job, seen: bool, reply: oneshot::Sender<Said>) -> Self {
        Self {
            id: 0,
            job,
            withdrawn: false,
            seen,
            races: 0,
            reply,
        }
    }

    pub(super) fn kind(&self) -> Kind {
        let first = match self.job.first_kind() {
            kind if self.seen && kind.creates() => Kind::Look,
            kind => kind,
        };
        match self.races {
            0 => first,
            _ => first.thorough(),
        }
    }

    /// Whether nobody waits any more.
    pub(super) fn is_abandoned(&self) -> bool {
        self.withdrawn || self.reply.is_closed()
    }

    /// Takes it back: it is not sent any more.
    pub(super) fn withdraw(&mut self) {
        self.withdrawn = true;
    }

    pub(super) fn answer(self, reply: Reply) {
        // Whoever asked may have gone.
        let _ = self.reply.send(Said::Answer(reply));
    }

    /// Gives the job back to whoever asked.
    pub(super) fn hand_back(self) {
        let _ = self.reply.send(Said::Unsent(self.job));
    }
}

/// The calls for one key that travel as one row: the first asks, the others listen.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) key: RecordKey,
    pub(super) first: Call,
    pub(super) others: Vec<Call>,
}

impl Group {
    pub(super) fn write_row<'a>(&'a self, kind: Kind, row: &mut Vec<Scalar<'a>>) {
        self.first.job.write_row(kind, &self.key, row);
    }

    /// Whether somebody may be at work on the row, so that its lock has to be waited for: the
    /// statement found the very version that it was to replace, or a row past its ttl.
    pub(super) fn is_undecided(&self, kind: Kind, reply: &Reply) -> bool {
        match reply {
            Ok(Some(Answer::Found(found))) => {
                self.first.job.expected() == Some(&found.record.version)
            }
            Ok(Some(Answer::Expired)) => !kind.creates(),
            _ => false,
        }
    }

    /// Answers the calls as far as that goes. What is left has to ask again.
    pub(super) fn settle(mut self, kind: Kind, reply: Reply) -> (RecordKey, Vec<Call>) {
        let key = self.key.clone();
        let left = match (kind, &reply) {
            // Only one of them made it; the others find it next time.
            (Kind::Claim | Kind::Create, Ok(Some(Answer::Done))) => {
                self.first.answer(reply);
                self.others.iter_mut().for_each(|call| call.seen = true);
                self.others
            }
            _ if has_raced(kind, &reply) => self.ask_again(),
            _ => {
                self.answer_all(&reply);
                Vec::new()
            }
        };
        (key, left)
    }

    fn ask_again(self) -> Vec<Call> {
        let mut calls = Vec::with_capacity(1 + self.others.len());
        for mut call in std::iter::once(self.first).chain(self.others) {
            call.races += 1;
            if call.races > MAX_RACES {
                call.answer(Err(raced()));
            } else {
                calls.push(call);
            }
        }
        calls
    }

    /// Gives everybody the same answer.
    pub(super) fn answer_all(self, reply: &Reply) {
        for call in self.others {
            call.answer(reply.clone());
        }
        self.first.answer(reply.clone());
    }
}

/// Whether a call raced with another process', and knows nothing of it yet.
pub(super) fn has_raced(kind: Kind, reply: &Reply) -> bool {
    match reply {
        Ok(None) => kind.creates() || kind == Kind::End,
        Ok(Some(Answer::Expired)) => kind.creates(),
        _ => false,
    }
}

/// What a call is told that has no answer after [`MAX_RACES`].
pub(super) fn raced() -> StoreError {
    StoreError::unavailable("the call raced with others without end")
}

#[cfg(test)]
mod tests {
    use idem_core::{Fingerprint, IdempotencyKey, Scope, Timestamp, store::ClaimToken};

    use super::*;

    fn claim() -> Job {
        let lease = Duration::from_secs(30);
        let version = Version {
            token: ClaimToken::from_bytes([1; 16]),
            revision: 1,
        };
        let record = Record {
            fingerprint: Fingerprint::of("tests", b"request"),
            attempt: 1,
            version,
            created_at: Timestamp::from_millis(0),
            state: State::InFlight {
                lease,
                checkpoint: None,
            },
        };
        Job::Create { record, ttl: lease }
    }

    fn group(seen: bool) -> Group {
        let scope = Scope::global();
        Group {
            key: scope.key(&IdempotencyKey::random()),
            first: Call::new(claim(), seen, oneshot::channel().0),
            others: vec![Call::new(claim(), seen, oneshot::channel().0)],
        }
    }

    /// A replay is one statement where the key was seen, and a first claim always.
    #[test]
    fn a_key_that_was_seen_is_looked_at_and_any_other_is_inserted() {
        for (seen, first) in [(false, Kind::Claim), (true, Kind::Look)] {
            let group = group(seen);
            assert_eq!(group.first.kind(), first);
            let (_, left) = group.settle(first, Ok(None));
            assert_eq!(left.len(), 2, "nothing is known of either");
            assert!(left.iter().all(|call| call.kind() == Kind::Create));
        }
    }

    #[test]
    fn whoever_came_with_the_one_that_made_it_looks_at_it() {
        let (_, left) = group(false).settle(Kind::Claim, Ok(Some(Answer::Done)));
        let kinds: Vec<_> = left.iter().map(Call::kind).collect();
        assert_eq!(kinds, [Kind::Look]);
    }
}
