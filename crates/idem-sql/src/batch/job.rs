//! [`Job`]: what a call asks for. [`Group`]: the calls for one key that travel as one row.

use std::time::Duration;

use idem_core::{
    RecordKey,
    store::{Created, Deleted, Record, StoreError, StoreErrorKind, Stored, Updated, Version},
};
use tokio::sync::oneshot;

use super::{Kind, MAX_RACES};

/// What a statement says of one call.
#[derive(Debug, Clone)]
pub enum Answer {
    /// It did what it was asked to.
    Done,
    /// It found this record.
    Found(Stored),
    /// It saw a row past its ttl without locking it: whether it is absent depends on what may be
    /// under way.
    Expired,
}

/// What comes back: no answer means that no row was there.
pub type Reply = Result<Option<Answer>, StoreError>;

/// What a call asks for.
#[derive(Debug)]
pub enum Job {
    /// [`Store::create`](idem_core::store::Store::create).
    Create {
        /// What to file.
        record: Record,
        /// For how long.
        ttl: Duration,
    },
    /// [`Store::update`](idem_core::store::Store::update).
    Update {
        /// The version that has to be there.
        expected: Version,
        /// What to put in its place.
        record: Record,
        /// For how long.
        ttl: Duration,
    },
    /// [`Store::delete`](idem_core::store::Store::delete).
    Delete {
        /// The version that has to be there.
        expected: Version,
    },
    /// [`Store::get`](idem_core::store::Store::get).
    Get,
}

impl Job {
    /// The version that has to be there.
    #[must_use]
    pub fn expected(&self) -> Option<&Version> {
        match self {
            Self::Update { expected, .. } | Self::Delete { expected } => Some(expected),
            Self::Create { .. } | Self::Get => None,
        }
    }

    /// What it writes.
    #[must_use]
    pub fn written(&self) -> Option<(&Record, Duration)> {
        match self {
            Self::Create { record, ttl } | Self::Update { record, ttl, .. } => Some((record, *ttl)),
            Self::Delete { .. } | Self::Get => None,
        }
    }

    /// The bytes of payload or checkpoint that it sends.
    pub(super) fn weight(&self) -> usize {
        self.written().map_or(0, |(record, _)| record.state.bytes())
    }
}

/// The answer to a create.
///
/// # Errors
/// The reply's own; [`Unknown`](StoreErrorKind::Unknown) for a reply that says nothing.
pub fn created(reply: Reply) -> Result<Created, StoreError> {
    match reply? {
        Some(Answer::Done) => Ok(Created::New),
        Some(Answer::Found(found)) => Ok(Created::Exists(found)),
        None | Some(Answer::Expired) => Err(undecided()),
    }
}

/// The answer to an update.
///
/// # Errors
/// As [`created`].
pub fn updated(reply: Reply) -> Result<Updated, StoreError> {
    match reply? {
        Some(Answer::Done) => Ok(Updated::Done),
        Some(Answer::Found(found)) => Ok(Updated::Conflict(Some(found))),
        Some(Answer::Expired) => Err(undecided()),
        None => Ok(Updated::Conflict(None)),
    }
}

/// The answer to a delete.
///
/// # Errors
/// As [`created`].
pub fn deleted(reply: Reply) -> Result<Deleted, StoreError> {
    match reply? {
        Some(Answer::Done) => Ok(Deleted::Done),
        Some(Answer::Found(found)) => Ok(Deleted::Conflict(Some(found))),
        Some(Answer::Expired) => Err(undecided()),
        None => Ok(Deleted::Conflict(None)),
    }
}

/// The answer to a get.
///
/// # Errors
/// As [`created`].
pub fn got(reply: Reply) -> Result<Option<Stored>, StoreError> {
    match reply? {
        Some(Answer::Found(found)) => Ok(Some(found)),
        Some(Answer::Expired) => Err(undecided()),
        Some(Answer::Done) | None => Ok(None),
    }
}

/// Never seen by a caller while stores keep to [`Kind::has_raced`]: such a call is sent again.
fn undecided() -> StoreError {
    StoreError::new(StoreErrorKind::Unknown, "the database gave no answer")
}

/// What the caller is told.
#[derive(Debug)]
pub(super) enum Outcome {
    Answered(Reply),
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
    reply: oneshot::Sender<Outcome>,
}

impl Call {
    pub(super) fn new(job: Job, seen: bool, reply: oneshot::Sender<Outcome>) -> Self {
        Self {
            id: 0,
            job,
            withdrawn: false,
            seen,
            races: 0,
            reply,
        }
    }

    pub(super) fn kind<K: Kind>(&self) -> K {
        K::of(&self.job, self.seen, self.races > 0)
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
        let _ = self.reply.send(Outcome::Answered(reply));
    }

    /// Gives the job back to whoever asked.
    pub(super) fn hand_back(self) {
        let _ = self.reply.send(Outcome::Unsent(self.job));
    }
}

/// The calls for one key that travel as one row: the first asks, the others listen.
#[derive(Debug)]
pub struct Group<K> {
    pub(super) kind: K,
    pub(super) key: RecordKey,
    pub(super) first: Call,
    pub(super) others: Vec<Call>,
}

impl<K: Kind> Group<K> {
    /// The kind of its statement.
    #[must_use]
    pub fn kind(&self) -> K {
        self.kind
    }

    /// The key of its row.
    #[must_use]
    pub fn key(&self) -> &RecordKey {
        &self.key
    }

    /// What to send.
    #[must_use]
    pub fn job(&self) -> &Job {
        &self.first.job
    }

    /// Answers the calls as far as that goes. What is left has to ask again.
    pub(super) fn settle(mut self, reply: Reply) -> (RecordKey, Vec<Call>) {
        let key = self.key.clone();
        let left = match &reply {
            // Only one of them made it; the others find it next time.
            Ok(Some(Answer::Done)) if self.kind.creates() => {
                self.first.answer(reply);
                self.others.iter_mut().for_each(|call| call.seen = true);
                self.others
            }
            _ if self.kind.has_raced(&reply) => self.ask_again(),
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

/// What a call is told that has no answer after [`MAX_RACES`].
fn raced() -> StoreError {
    StoreError::unavailable("the call raced with others without end")
}
