//! Records, as far as they are written down.

use std::time::Duration;

use idem_core::{
    Fingerprint,
    store::{Record, State, Stored, Version, codec},
};
use serde::{Deserialize, Serialize};

/// The first 64 bits of the hash of some bytes.
pub(crate) type Digest = u64;

/// A version: the start of its token, and its revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Ver(pub(crate) u64, pub(crate) u64);

/// A record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Summary {
    pub(crate) ver: Ver,
    pub(crate) attempt: u32,
    pub(crate) fingerprint: Digest,
    pub(crate) state: Phase,
    /// All of it.
    pub(crate) digest: Digest,
}

/// A [`State`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Phase {
    InFlight { lease_ms: u64 },
    Retryable,
    Completed(Digest),
    Failed(Digest),
}

/// A record as a store answers with it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Seen {
    pub(crate) record: Summary,
    pub(crate) age_us: Option<u64>,
}

pub(crate) fn digest(bytes: &[u8]) -> Digest {
    first(&Fingerprint::of("digest", bytes))
}

/// What stands for a fingerprint.
pub(crate) fn first(fingerprint: &Fingerprint) -> Digest {
    head(fingerprint.as_bytes())
}

fn head(bytes: &[u8]) -> u64 {
    let head = bytes
        .first_chunk()
        .expect("hashes and tokens have 16 bytes or more");
    u64::from_be_bytes(*head)
}

impl From<Version> for Ver {
    fn from(version: Version) -> Self {
        Self(head(version.token.as_bytes()), version.revision)
    }
}

impl From<&Record> for Summary {
    fn from(record: &Record) -> Self {
        Self {
            ver: record.version.into(),
            attempt: record.attempt,
            fingerprint: first(&record.fingerprint),
            state: (&record.state).into(),
            digest: digest(&codec::encode(record, Duration::ZERO)),
        }
    }
}

impl From<&State> for Phase {
    fn from(state: &State) -> Self {
        match state {
            State::InFlight { lease, .. } => Self::InFlight {
                lease_ms: millis(*lease),
            },
            State::Retryable { .. } => Self::Retryable,
            State::Completed { payload } => Self::Completed(digest(payload)),
            State::Failed { payload } => Self::Failed(digest(payload)),
        }
    }
}

impl From<&Stored> for Seen {
    fn from(stored: &Stored) -> Self {
        Self {
            record: (&stored.record).into(),
            age_us: stored
                .age
                .map(|age| u64::try_from(age.as_micros()).unwrap_or(u64::MAX)),
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
