//! [`Kind`]: which calls fit into one statement, and which one it is.

use crate::sql::{Statement, Statements};

/// Jobs of one kind fit into one statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A first claim that is asked for the first time, by a statement that does nothing else.
    Claim,
    /// The same of a key that was seen before, by a look at its record.
    Look,
    Create,
    /// A holder's ending that is asked for the first time, by a statement that says nothing but
    /// whether it did it: nothing is likely to be in its way.
    End,
    Update,
    Delete,
    Get,
}

impl Kind {
    pub(super) const ALL: [Self; 7] = [
        Self::Claim,
        Self::Look,
        Self::Create,
        Self::End,
        Self::Update,
        Self::Delete,
        Self::Get,
    ];

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

    pub(super) fn creates(self) -> bool {
        self.thorough() == Self::Create
    }

    /// Whether calls for one key may be answered with one row: those that leave the row as it is
    /// when it is there.
    pub(super) fn shares_answers(self) -> bool {
        self.creates() || self == Self::Get
    }

    /// Whether the statement for many of these may wait for a lock.
    pub(super) fn many_may_wait(self) -> bool {
        self.creates() && self != Self::Look
    }

    /// Whether the statement for one of these may wait for a lock.
    pub(super) fn one_may_wait(self) -> bool {
        !matches!(self, Self::Look | Self::Get | Self::End)
    }
}
