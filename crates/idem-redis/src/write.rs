//! The conditional writes: what is sent, and what is made of the answer.

use std::time::Duration;

use bytes::Bytes;
use idem_core::store::{
    Created, Deleted, Record, State, StoreError, StoreErrorKind, Stored, Updated, Version, codec,
};
use redis::{Cmd, Value};

use crate::{
    error::{Failure, unexpected_reply},
    link::Written,
    reply,
    scripts::{Call, Replacement},
    store::Shared,
};

/// How often a call starts anew because the record it found was gone a moment later. That happens
/// when a record expires or is released between two commands, and hardly ever twice.
pub(crate) const ROUNDS: usize = 100;

/// A record on its way to the server.
pub(crate) struct Write<'a> {
    name: String,
    record: &'a Record,
    ttl: Duration,
}

impl<'a> Write<'a> {
    pub(crate) fn new(name: String, record: &'a Record, ttl: Duration) -> Self {
        Self { name, record, ttl }
    }

    fn value(&self) -> Bytes {
        codec::encode(self.record, self.ttl)
    }

    fn set_if_absent(&self, value: &[u8]) -> Cmd {
        const ARGS: usize = 7;
        const WORDS: usize = 40;
        let mut set = Cmd::with_capacity(ARGS, self.name.len() + value.len() + WORDS);
        set.arg("SET").arg(&self.name).arg(value);
        set.arg("NX").arg("GET").arg("PX").arg(millis(self.ttl));
        set
    }
}

/// What a write found in its way.
enum Obstacle {
    Nothing,
    Record(Stored),
}

impl Shared {
    /// Whether this process saw that the key of a claim had ended.
    pub(crate) fn has_ended(&self, claim: &Write<'_>) -> bool {
        self.ended.has(&claim.name)
    }

    /// The answer to a claim of such a key, if it still is one.
    pub(crate) async fn find_ended(&self, claim: &Write<'_>) -> Result<Option<Stored>, StoreError> {
        let (name, version) = (&*claim.name, claim.record.version);
        let Some(found) = self.link.get(name).await? else {
            self.ended.forget(name);
            return Ok(None);
        };
        if !found.record.state.is_final() {
            self.ended.forget(name);
            return Ok(None);
        }
        match self.is_settled(version, &found) {
            true => Ok(Some(found)),
            false => Box::pin(self.settle(name, version, found)).await,
        }
    }

    pub(crate) async fn create(&self, write: &Write<'_>) -> Result<Created, StoreError> {
        let value = write.value();
        for _ in 0..ROUNDS {
            let Some(found) = self.set_if_absent(write, &value).await? else {
                self.native.remember(write.record.version, value);
                return Ok(Created::New);
            };
            if self.is_settled(write.record.version, &found) {
                self.remember_ended(&write.name, &found);
                return Ok(Created::Exists(found));
            }
            let settling = Box::pin(self.settle(&write.name, write.record.version, found));
            if let Some(found) = settling.await? {
                return Ok(Created::Exists(found));
            }
        }
        Err(restless())
    }

    pub(crate) async fn update(
        &self,
        write: &Write<'_>,
        expected: Version,
    ) -> Result<Updated, StoreError> {
        for _ in 0..ROUNDS {
            let found = match self.replace(write, expected).await? {
                None => {
                    if matches!(write.record.state, State::InFlight { .. }) {
                        self.native.remember(write.record.version, write.value());
                    } else if write.record.state.is_final() {
                        self.ended.remember(&write.name);
                    }
                    return Ok(Updated::Done);
                }
                Some(Obstacle::Nothing) => return Ok(Updated::Conflict(None)),
                Some(Obstacle::Record(found)) => found,
            };
            if self.is_settled(write.record.version, &found) {
                self.remember_ended(&write.name, &found);
                return Ok(Updated::Conflict(Some(found)));
            }
            let settling = Box::pin(self.settle(&write.name, write.record.version, found));
            if let Some(found) = settling.await? {
                return Ok(Updated::Conflict(Some(found)));
            }
        }
        Err(restless())
    }

    pub(crate) async fn delete(
        &self,
        name: &str,
        expected: Version,
    ) -> Result<Deleted, StoreError> {
        let call = Call {
            name,
            expected: Some(&codec::version_prefix(expected)),
        };
        let written = self.link.run(&self.link.scripts.delete, call).await?;
        Ok(match obstacle(written)? {
            None => Deleted::Done,
            Some(Obstacle::Nothing) => Deleted::Conflict(None),
            Some(Obstacle::Record(found)) => Deleted::Conflict(Some(found)),
        })
    }

    /// What is there already, or nothing after writing.
    async fn set_if_absent(
        &self,
        write: &Write<'_>,
        value: &[u8],
    ) -> Result<Option<Stored>, StoreError> {
        let set = write.set_if_absent(value);
        match self.link.write(&write.name, set).await {
            Ok(written) => match written.reply {
                Value::Nil => written.confirmed().map(|()| None),
                Value::BulkString(value) => reply::found(&value.into()).map(Some),
                _ => Err(unexpected_reply()),
            },
            Err(failure) => {
                // Boxed, as all that is rare here: it would make every call's future larger.
                let finding = Box::pin(self.find_in_full_store(write, failure));
                finding.await.map(Some)
            }
        }
    }

    /// A server without room refuses the command before it looks whether the record is there. One
    /// that is there needs no room, and is still found.
    async fn find_in_full_store(
        &self,
        write: &Write<'_>,
        failure: Failure,
    ) -> Result<Stored, StoreError> {
        if failure.kind() == StoreErrorKind::Full
            && let Some(found) = self.link.read(&write.name).await?
        {
            return Ok(found);
        }
        Err(failure.into())
    }

    /// What is there instead of the expected version; `None` after writing.
    async fn replace(
        &self,
        write: &Write<'_>,
        expected: Version,
    ) -> Result<Option<Obstacle>, StoreError> {
        let (name, value, ttl) = (&write.name, write.value(), millis(write.ttl));
        if let Some(cmd) = self.native.replace(name, expected, &value, ttl)
            && let Some(written) = self.native.applied(self.link.write(name, cmd).await)?
        {
            return written.confirmed().map(|()| None);
        }
        let replacement = Replacement {
            name: name.clone(),
            expected: codec::version_prefix(expected),
            value,
            ttl,
        };
        obstacle(self.link.replace(replacement).await?)
    }

    /// Whether a decision may rest on what was found: it has an age if it is in flight, and is as
    /// durable as it has to be if it is an answer or the caller's own.
    fn is_settled(&self, written: Version, found: &Stored) -> bool {
        !self.lacks_durability(written, found) && !lacks_age(found)
    }

    fn lacks_durability(&self, written: Version, found: &Stored) -> bool {
        let is_own = found.record.version.token == written.token;
        (is_own || found.record.state.is_final()) && self.link.durability.waits()
    }

    /// Makes what was found such that a decision may rest on it. `None` when it is gone, or another,
    /// by now. To be boxed: with all that it holds it would make every call's future larger.
    async fn settle(
        &self,
        name: &str,
        written: Version,
        found: Stored,
    ) -> Result<Option<Stored>, StoreError> {
        if self.lacks_durability(written, &found)
            && !self.link.confirm(name, found.record.version).await?
        {
            return Ok(None);
        }
        if lacks_age(&found) {
            return self.link.read(name).await;
        }
        self.remember_ended(name, &found);
        Ok(Some(found))
    }

    fn remember_ended(&self, name: &str, found: &Stored) {
        if found.record.state.is_final() {
            self.ended.remember(name);
        }
    }
}

/// A command that finds a record does not tell its age, and a decision about one in flight needs it.
fn lacks_age(found: &Stored) -> bool {
    matches!(found.record.state, State::InFlight { .. }) && found.age.is_none()
}

/// What a script that writes found instead of the expected version; `None` if it wrote.
fn obstacle(written: Written) -> Result<Option<Obstacle>, StoreError> {
    match written.reply {
        Value::Okay | Value::Int(1) => written.confirmed().map(|()| None),
        _ => Ok(Some(match reply::conflict(written.reply)? {
            None => Obstacle::Nothing,
            Some(found) => Obstacle::Record(found),
        })),
    }
}

pub(crate) fn restless() -> StoreError {
    StoreError::unavailable("the record came and went as often as it was looked at")
}

/// Whole milliseconds, rounded up as the codec does; the server takes no 0.
fn millis(ttl: Duration) -> u64 {
    u64::try_from(ttl.as_nanos().div_ceil(1_000_000))
        .unwrap_or(u64::MAX)
        .max(1)
}
