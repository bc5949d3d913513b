//! What a machine asks of a store, and what it is told.

use crate::{
    ProbeResult,
    store::{Created, Deleted, Record, StoreErrorKind, Stored, Updated, Version},
};

/// A conditional write: replace the record if its version is still `expected`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Write {
    /// The version that has to be there.
    pub expected: Version,
    /// What to put in its place.
    pub record: Record,
}

/// The next operation to perform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op<'a> {
    /// [`Store::create`](crate::store::Store::create).
    Create(&'a Record),
    /// [`Store::update`](crate::store::Store::update).
    Update(&'a Write),
    /// [`Store::delete`](crate::store::Store::delete).
    Delete(Version),
    /// [`Store::get`](crate::store::Store::get).
    Get,
    /// Ask the [`Prober`](crate::Prober) about this abandoned record.
    Probe(&'a Record),
}

impl Op<'_> {
    /// The bytes of payload and checkpoint that the operation carries.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::Create(record) => record.state.bytes(),
            Self::Update(write) => write.record.state.bytes(),
            Self::Delete(_) | Self::Get | Self::Probe(_) => 0,
        }
    }
}

/// What became of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The write was applied. Within a transaction: it will be, if the transaction commits.
    Applied,
    /// Nothing was written: this is there instead. Also the reply to [`Op::Get`].
    Found(Option<Stored>),
    /// The prober's answer.
    Probed(ProbeResult),
    /// The call failed; the kind tells whether the write may have been applied.
    Failed(StoreErrorKind),
}

impl From<Created> for Reply {
    fn from(created: Created) -> Self {
        match created {
            Created::New => Self::Applied,
            Created::Exists(found) => Self::Found(Some(found)),
        }
    }
}

impl From<Updated> for Reply {
    fn from(updated: Updated) -> Self {
        match updated {
            Updated::Done => Self::Applied,
            Updated::Conflict(found) => Self::Found(found),
        }
    }
}

impl From<Deleted> for Reply {
    fn from(deleted: Deleted) -> Self {
        match deleted {
            Deleted::Done => Self::Applied,
            Deleted::Conflict(found) => Self::Found(found),
        }
    }
}

impl StoreErrorKind {
    /// The write may have been applied.
    pub(super) const fn may_have_landed(self) -> bool {
        matches!(self, Self::Unknown)
    }

    /// The store refuses this record, and will refuse it again.
    pub(super) const fn refuses(self) -> bool {
        matches!(self, Self::TooLarge | Self::Full | Self::Config)
    }
}
