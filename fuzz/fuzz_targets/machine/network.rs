//! A store that keeps the rules, behind a network that does not: what is sent is lost, repeated and
//! late. Each change of the record is held against the promises.

use std::time::Duration;

use idem_core::{
    Record, State, Stored, Version,
    machine::{Write, ttl},
};
use libfuzzer_sys::arbitrary::{self, Arbitrary};

const RETENTION: Duration = Duration::from_secs(100);

/// What becomes of the first thing that is sent. What is sent again arrives, and so does its reply.
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

#[derive(Clone)]
pub enum Message {
    Create(Record),
    Update(Write),
    Delete(Version),
}

/// What the store says: it is done, or what was found instead.
pub type Reply = Result<(), Option<Stored>>;

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
}

impl Network {
    pub fn send(&mut self, message: Message, fate: Fate) -> Option<Reply> {
        match fate {
            Fate::Done => Some(self.apply(message)),
            Fate::ReplyLost => {
                let _ = self.apply(message);
                None
            }
            Fate::Late => {
                self.late.push(message);
                None
            }
            Fate::Twice => {
                if !matches!(message, Message::Create(_)) {
                    self.late.push(message.clone());
                }
                Some(self.apply(message))
            }
        }
    }

    fn apply(&mut self, message: Message) -> Reply {
        let found = self.stored();
        match message {
            Message::Create(record) => match found {
                None => self.put(record),
                Some(found) => return Err(Some(found)),
            },
            Message::Update(Write { expected, record }) => match found {
                Some(found) if found.record.version == expected => {
                    expect_lawful(&found, &record);
                    self.put(record);
                }
                found => return Err(found),
            },
            Message::Delete(version) => match found {
                Some(found) if found.record.version == version => {
                    assert!(matches!(found.record.state, State::InFlight { .. }), "G2");
                    self.entry = None;
                }
                found => return Err(found),
            },
        }
        Ok(())
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
            expires: self.time + ttl(&record.state, RETENTION),
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
    assert_eq!(before.fingerprint, after.fingerprint, "G4");
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
