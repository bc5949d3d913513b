//! What there is to do.

use std::fmt;

use anyhow::Result;
use idem::{Scope, consumer::Message};
use serde::{Deserialize, Serialize};

/// One job. Its number is the intent: however often it is delivered, it is to happen once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub(crate) struct Job {
    pub(crate) kind: Kind,
    pub(crate) number: u32,
}

/// The kinds differ in what the world offers to somebody who does not know whether he did it
/// already, and so in what to do when a worker vanished half-way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// The bank takes an idempotency key: just ask again.
    Payout,
    /// Many pages of our own: go on where the last checkpoint was left.
    Report,
    /// The courier can be asked what was booked: ask before booking again.
    Parcel,
    /// The printer offers nothing: only a person can look into its tray.
    Letter,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] = [Self::Payout, Self::Report, Self::Parcel, Self::Letter];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Payout => "payout",
            Self::Report => "report",
            Self::Parcel => "parcel",
            Self::Letter => "letter",
        }
    }
}

/// What a job comes to; the same for every delivery of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Receipt(pub(crate) String);

impl Job {
    /// What the queue delivers: `{"kind": "payout", "number": 7}`. What must not change under one
    /// number is the whole of it.
    pub(crate) fn message(self) -> Result<Message> {
        Ok(Message::new(serde_json::to_vec(&self)?))
    }
}

impl Kind {
    /// One namespace per kind, in which a job's number is its key.
    pub(crate) fn scope(self) -> Result<Scope> {
        Ok(Scope::new("jobs")?.child(self.name())?)
    }
}

impl fmt::Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.name(), self.number)
    }
}
