//! [`Register`]: what a store keeps of one key.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use idem_core::store::{Record, Version, codec};

use super::{Call, Model};

/// A record as far as two of them are told apart: its version, and a hash of all that is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Imprint {
    /// The record's version.
    pub version: Version,
    /// A hash over the whole record.
    pub hash: u64,
}

impl From<&Record> for Imprint {
    fn from(record: &Record) -> Self {
        let mut hasher = DefaultHasher::new();
        codec::encode(record, Duration::ZERO).hash(&mut hasher);
        Self {
            version: record.version,
            hash: hasher.finish(),
        }
    }
}

/// A call to a store, on one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreCall {
    /// [`Store::create`](idem_core::store::Store::create), with the record's ttl.
    Create(Imprint, Duration),
    /// [`Store::update`](idem_core::store::Store::update), with the new record's ttl.
    Update(Version, Imprint, Duration),
    /// [`Store::delete`](idem_core::store::Store::delete).
    Delete(Version),
    /// [`Store::get`](idem_core::store::Store::get).
    Get,
}

/// What a store replied. An error that leaves the outcome unknown is no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreReply {
    /// `New`, or `Done`.
    Applied,
    /// `Exists`, `Conflict`, or the answer to a get.
    Found(Option<Imprint>),
    /// An error that says that nothing was applied.
    Refused,
}

/// Rules S1, S2, S3, S5 and S6 as a model: a record that is created where none is, replaced or
/// removed at its version, and gone when its ttl is over, and not before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Register {
    /// By how much the store's clock may differ from the history's over the length of a ttl.
    pub slack: Duration,
    /// Whether the store may send a call again by itself, and so be told of its own write.
    pub resends: bool,
}

/// What is there, and the earliest and latest end of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Kept {
    imprint: Imprint,
    /// Invocation of its write, plus its ttl.
    may_be_gone_from: Duration,
    /// Reply to its write, plus its ttl; unknown where the reply is.
    is_gone_from: Option<Duration>,
}

impl Model for Register {
    type State = Option<Kept>;
    type Call = StoreCall;
    type Reply = StoreReply;

    fn start(&self) -> Self::State {
        None
    }

    fn step(
        &self,
        state: &Self::State,
        call: &Call<StoreCall, StoreReply>,
        by: Duration,
    ) -> Vec<Self::State> {
        let there = state.filter(|kept| self.may_be_there(kept, call));
        let may_be_gone = state.is_none_or(|kept| self.may_be_gone(&kept, by));
        let mut next = Vec::new();
        if there.is_some() {
            next.extend(self.effect(there, call));
        }
        if may_be_gone {
            next.extend(self.effect(None, call));
        }
        if call.replied.is_none() {
            next.retain(|next| next != state);
        }
        next
    }
}

impl Register {
    fn may_be_there(&self, kept: &Kept, call: &Call<StoreCall, StoreReply>) -> bool {
        let end = kept.is_gone_from;
        end.is_none_or(|end| call.invoked < end.saturating_add(self.slack))
    }

    fn may_be_gone(&self, kept: &Kept, by: Duration) -> bool {
        by.saturating_add(self.slack) >= kept.may_be_gone_from
    }

    /// What the call leaves where `there` is; nothing where its reply is impossible.
    fn effect(
        &self,
        there: Option<Kept>,
        call: &Call<StoreCall, StoreReply>,
    ) -> Option<Option<Kept>> {
        let found = there.map(|kept| kept.imprint);
        let at = |expected| found.is_some_and(|found: Imprint| found.version == expected);
        let (applies, after) = match call.call {
            StoreCall::Create(imprint, ttl) => (found.is_none(), Some(keep(imprint, ttl, call))),
            StoreCall::Update(expected, imprint, ttl) => {
                (at(expected), Some(keep(imprint, ttl, call)))
            }
            StoreCall::Delete(expected) => (at(expected), None),
            StoreCall::Get => (false, None),
        };
        let itself = after.map(|kept| kept.imprint);
        match call.replied {
            Some((_, StoreReply::Refused)) => Some(there),
            Some((_, StoreReply::Applied)) => applies.then_some(after),
            Some((_, StoreReply::Found(told))) if applies => {
                (self.resends && told == itself).then_some(after)
            }
            Some((_, StoreReply::Found(told))) => (told == found).then_some(there),
            None => Some(if applies { after } else { there }),
        }
    }
}

fn keep(imprint: Imprint, ttl: Duration, call: &Call<StoreCall, StoreReply>) -> Kept {
    Kept {
        imprint,
        may_be_gone_from: call.invoked.saturating_add(ttl),
        is_gone_from: call.replied.map(|(at, _)| at.saturating_add(ttl)),
    }
}
