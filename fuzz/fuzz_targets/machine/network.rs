//! A store that keeps the rules, behind a network that does not: what is sent is lost, repeated and
//! late. Each change of the record is held against the promises.

use std::{collections::HashMap, time::Duration};

use idem_core::{machine::{LapsedRule, Op, Reply, Retention, Write, ttl}, store::{ClaimToken, Record, State, StoreErrorKind, Stored, Version}};
use libfuzzer_sys::arbitrary::{self, Arbitrary};

const RETENTION: Duration = Duration::from_secs(100);
const KEPT: Retention = Retention {
    failures: RETENTION,
    others: RETENTION,
};

/// What becomes of the first thing that is sent, and of a claim's second. What is sent after that
/// arrives, and so does its reply.
#[derive(Arbitrary, Debug, Clone, Copy, PartialEq)]
pub enum Fate {
    Done,
    ReplyLost,
    /// Arrives later, if at all; the sender gives up on the reply.
    Late,
    /// Arrives now, and once more later: its sender sent it again. A create does not, for each
    /// goes out under a revision of its own.
    Twice,
}

#[derive(Clone, PartialEq)]
pub enum Message {
    Create(Record),
    Update(Write),
    Delete(Version),
    Get,
}

impl Message {
    fn of(op: Op<'_>) -> Self {
        match op {
            Op::Create(record) => Self::Create(record.clone()),
            Op::Update(write) => Self::Update(write.clone()),
            Op::Delete(version) => Self::Delete(version),
            Op::Get => Self::Get,
            Op::Probe(_) => unreachable!("nothing is probed here"),
        }
    }
}

struct Entry {
    record: Record,
    written: Duration,
    expires: Duration,
}

/// One key in a store, and what is on its way there.
#[derive(Default)]
pub struct Network {
    pub time: Duration,
    entry: Option<Entry>,
    late: Vec<Message>,
    /// All writes that were ever sent.
    sent: HashMap<Version, Message>,
    /// Claims whose execution has ended, or was told that it is superseded.
    closed: Vec<ClaimToken>,
}

impl Network {
    pub fn send(&mut self, op: Op<'_>, fate: Fate) -> Reply {
        const LOST: Reply = Reply::Failed(StoreErrorKind::Unknown);
        let message = Message::of(op);
        self.expect_own_version(&message);
        match fate {
            Fate::Done => self.apply(message),
            Fate::ReplyLost => {
                let _ = self.apply(message);
                LOST
            }
            Fate::Late => {
                self.late.push(message);
                LOST
            }
            Fate::Twice => {
                if !matches!(message, Message::Create(_)) {
                    self.late.push(message.clone());
                }
                self.apply(message)
            }
        }
    }

    /// No two writes share a version, or what expects the one would fit the other. The same write
    /// may be sent again, but a create, of which both copies could be applied.
    fn expect_own_version(&mut self, message: &Message) {
        let version = match message {
            Message::Create(record) | Message::Update(Write { record, .. }) => record.version,
            Message::Delete(_) | Message::Get => return,
        };
        if let Some(earlier) = self.sent.insert(version, message.clone()) {
            let is_update = matches!(message, Message::Update(_));
            assert!(is_update && earlier == *message, "a version is used twice");
        }
    }

    /// From now on nothing that this claim's execution sent may change anything.
    pub fn close(&mut self, claim: ClaimToken) {
        self.closed.push(claim);
    }

    /// A write over a version, or its removal, is about to be applied.
    fn expect_open(&self, version: Version) {
        let is_closed = self.closed.contains(&version.token);
        assert!(!is_closed, "G3: a write of an execution that was over");
    }

    fn apply(&mut self, message: Message) -> Reply {
        let found = self.stored();
        match message {
            // It may come late and bring back a claim that is over; nobody runs under it.
            Message::Create(record) => match found {
                None => self.put(record),
                Some(found) => return Reply::Found(Some(found)),
            },
            Message::Update(Write { expected, record }) => match found {
                Some(found) if found.record.version == expected => {
                    if expected.token == record.version.token {
                        self.expect_open(expected);
                    }
                    expect_lawful(&found, &record);
                    self.put(record);
                }
                found => return Reply::Found(found),
            },
            Message::Delete(version) => match found {
                Some(found) if found.record.version == version => {
                    self.expect_open(version);
                    assert!(matches!(found.record.state, State::InFlight { .. }), "G2");
                    self.entry = None;
                }
                found => return Reply::Found(found),
            },
            Message::Get => return Reply::Found(found),
        }
        Reply::Applied
    }

    pub fn stored(&self) -> Option<Stored> {
        let entry = self.entry.as_ref()?;
        (self.time < entry.expires).then(|| Stored {
            record: entry.record.clone(),
            age: Some(self.time - entry.written),
            remaining: Some(entry.expires - self.time),
        })
    }

    fn put(&mut self, record: Record) {
        self.entry = Some(Entry {
            expires: self.time + ttl(&record.state, KEPT, LapsedRule::Reclaim),
            written: self.time,
            record,
        });
    }

    /// Something that was sent long ago arrives.
    pub fn arrive(&mut self, which: u8) {
        if !self.late.is_empty() {
            let message = self.late.remove(usize::from(which) % self.late.len());
            let _ = self.apply(message);
        }
    }
}

/// Holds a change of the record against the promises.
fn expect_lawful(found: &Stored, after: &Record) {
    let before = &found.record;
    assert!(!before.state.is_final(), "G2: the first ending wins");
    let same = before.fingerprint == after.fingerprint;
    assert!(same || before.state == State::Released, "G4");
    assert!(
        before.version.revision < after.version.revision,
        "a version of its own"
    );
    if before.version.token == after.version.token {
        assert!(matches!(before.state, State::InFlight { .. }));
        assert_eq!(before.attempt, after.attempt);
    } else {
        let free = match before.state {
            State::InFlight { lease, .. } => found.age >= Some(lease),
            _ => true,
        };
        assert!(free, "G1: taken over within its lease");
        assert!(matches!(after.state, State::InFlight { .. }), "G3");
        assert_eq!(before.attempt + 1, after.attempt, "a take-over counts");
    }
}
