//! Records as rows, and back.

use std::time::Duration;

use bytes::Bytes;
use idem_core::{
    Fingerprint, Timestamp,
    store::{ClaimToken, Record, State, StoreError, StoreErrorKind, Stored, Version},
};
use idem_sql::{batch::Answer, row::millis};
use sqlx::{Row, postgres::PgRow};

use crate::call::Scalar;

/// The longest ttl that is written, a thousand years: far from where PostgreSQL's times end.
const LONGEST_TTL_MS: u64 = 1000 * 365 * 24 * 3600 * 1000;

/// The last date that is written, in the year 100000.
const LAST_DATE_MS: u64 = 98_000 * 365 * 24 * 3600 * 1000;

/// The largest payload or checkpoint that is written, in bytes. PostgreSQL keeps up to a gigabyte in
/// a column, but reads no literal of more than half of that, and in plain text each byte has two digits.
pub(crate) const LARGEST: usize = 250_000_000;

/// Refuses a record that could not be stored and read back.
pub(crate) fn fits(record: &Record) -> Result<(), StoreError> {
    let bytes = match &record.state {
        State::InFlight { checkpoint, .. } | State::Retryable { checkpoint } => checkpoint.as_ref(),
        State::Completed { payload } | State::Failed { payload } => Some(payload),
    };
    match bytes.map_or(0, Bytes::len) {
        0..=LARGEST => Ok(()),
        len => Err(StoreError::new(
            StoreErrorKind::TooLarge,
            format!("{len} bytes are more than the {LARGEST} that are stored"),
        )),
    }
}

/// The columns of a record that is about to be written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Columns<'a> {
    pub(crate) status: &'static str,
    pub(crate) attempt: i64,
    pub(crate) token: &'a [u8],
    pub(crate) revision: i64,
    pub(crate) fingerprint: &'a [u8],
    pub(crate) lease_ms: Option<i64>,
    pub(crate) checkpoint: Option<&'a [u8]>,
    pub(crate) payload: Option<&'a [u8]>,
    pub(crate) created_ms: i64,
    pub(crate) ttl_ms: i64,
}

impl<'a> Columns<'a> {
    pub(crate) fn new(record: &'a Record, ttl: Duration) -> Self {
        let (lease, checkpoint, payload) = match &record.state {
            State::InFlight { lease, checkpoint } => (Some(*lease), checkpoint.as_deref(), None),
            State::Retryable { checkpoint } => (None, checkpoint.as_deref(), None),
            State::Completed { payload } | State::Failed { payload } => {
                (None, None, Some(&**payload))
            }
        };
        Self {
            status: record.state.name(),
            attempt: i64::from(record.attempt),
            token: record.version.token.as_bytes(),
            revision: signed(record.version.revision),
            fingerprint: record.fingerprint.as_bytes(),
            lease_ms: lease.map(|lease| signed(millis(lease))),
            checkpoint,
            payload,
            created_ms: signed(record.created_at.as_millis().min(LAST_DATE_MS)),
            ttl_ms: signed(millis(ttl).min(LONGEST_TTL_MS)),
        }
    }

    /// Those of a first claim that has no checkpoint yet, in the order in which its statements number
    /// them.
    pub(crate) fn claim(self) -> [Scalar<'a>; 7] {
        [
            Scalar::Int(Some(self.attempt)),
            Scalar::Bytes(Some(self.token)),
            Scalar::Int(Some(self.revision)),
            Scalar::Bytes(Some(self.fingerprint)),
            Scalar::Int(self.lease_ms),
            Scalar::Int(Some(self.created_ms)),
            Scalar::Int(Some(self.ttl_ms)),
        ]
    }

    /// Those of a holder's ending, in the order in which its statements number them.
    pub(crate) fn ending(self) -> [Scalar<'a>; 7] {
        [
            Scalar::Text(self.status),
            Scalar::Int(Some(self.attempt)),
            Scalar::Int(Some(self.revision)),
            Scalar::Bytes(Some(self.fingerprint)),
            Scalar::Bytes(self.payload),
            Scalar::Int(Some(self.created_ms)),
            Scalar::Int(Some(self.ttl_ms)),
        ]
    }

    /// All, in the order in which the other statements number them.
    pub(crate) fn all(self) -> [Scalar<'a>; 10] {
        [
            Scalar::Text(self.status),
            Scalar::Int(Some(self.attempt)),
            Scalar::Bytes(Some(self.token)),
            Scalar::Int(Some(self.revision)),
            Scalar::Bytes(Some(self.fingerprint)),
            Scalar::Int(self.lease_ms),
            Scalar::Bytes(self.checkpoint),
            Scalar::Bytes(self.payload),
            Scalar::Int(Some(self.created_ms)),
            Scalar::Int(Some(self.ttl_ms)),
        ]
    }
}

/// Reads a row of a statement's answer: which of its calls it is for, and what it says.
pub(crate) fn answer(row: &PgRow) -> (usize, Result<Answer, StoreError>) {
    // A number that cannot be read belongs to no call, and no call has `usize::MAX`.
    let n = row
        .try_get::<i64, _>(0)
        .ok()
        .and_then(|n| usize::try_from(n).ok())
        .unwrap_or(usize::MAX);
    (n, read(row))
}

fn read(row: &PgRow) -> Result<Answer, StoreError> {
    match row.try_get::<Option<&str>, _>(1).map_err(unreadable)? {
        None => Ok(Answer::Done),
        Some(_) if row.try_get::<i64, _>(11).map_err(unreadable)? <= 0 => Ok(Answer::Expired),
        Some(status) => Ok(Answer::Found(stored(row, status)?)),
    }
}

fn stored(row: &PgRow, status: &str) -> Result<Stored, StoreError> {
    let attempt = row.try_get::<i64, _>(2).map_err(unreadable)?;
    let token = array(row, 3, "token")?;
    let revision = unsigned(row.try_get(4).map_err(unreadable)?);
    let fingerprint = array(row, 5, "fingerprint")?;
    let created = unsigned(row.try_get(9).map_err(unreadable)?);
    Ok(Stored {
        record: Record {
            fingerprint: Fingerprint::from_bytes(fingerprint),
            attempt: u32::try_from(attempt).map_err(|_| corrupt("its attempt is out of range"))?,
            version: Version {
                token: ClaimToken::from_bytes(token),
                revision,
            },
            created_at: Timestamp::from_millis(created),
            state: state(row, status)?,
        },
        age: Some(micros(row, 10)?),
        remaining: Some(micros(row, 11)?),
    })
}

fn state(row: &PgRow, status: &str) -> Result<State, StoreError> {
    let bytes = |index| -> Result<Option<Bytes>, StoreError> {
        let bytes: Option<Vec<u8>> = row.try_get(index).map_err(unreadable)?;
        Ok(bytes.map(Bytes::from))
    };
    let payload = || bytes(8)?.ok_or_else(|| corrupt("it has ended and has no payload"));
    Ok(match status {
        "in-flight" => {
            let lease: Option<i64> = row.try_get(6).map_err(unreadable)?;
            let lease = lease.ok_or_else(|| corrupt("it is in flight and has no lease"))?;
            State::InFlight {
                lease: Duration::from_millis(unsigned(lease)),
                checkpoint: bytes(7)?,
            }
        }
        "retryable" => State::Retryable {
            checkpoint: bytes(7)?,
        },
        "completed" => State::Completed {
            payload: payload()?,
        },
        "failed" => State::Failed {
            payload: payload()?,
        },
        // Written by a newer release: never guessed at, and no write of ours has its version.
        _ => {
            return Err(corrupt(
                "its status is not known to this release; upgrade first",
            ));
        }
    })
}

fn array<const N: usize>(
    row: &PgRow,
    index: usize,
    name: &'static str,
) -> Result<[u8; N], StoreError> {
    let bytes: Vec<u8> = row.try_get(index).map_err(unreadable)?;
    <[u8; N]>::try_from(bytes)
        .map_err(|_| StoreError::corrupt(format!("its {name} has the wrong length")))
}

/// A time span that the server measured; its clock may have been set back since.
fn micros(row: &PgRow, index: usize) -> Result<Duration, StoreError> {
    let micros: i64 = row.try_get(index).map_err(unreadable)?;
    Ok(Duration::from_micros(u64::try_from(micros).unwrap_or(0)))
}

pub(crate) fn unreadable(error: sqlx::Error) -> StoreError {
    corrupt("the row is not one of this release's; was the table changed by hand?")
        .with_source(error)
}

fn corrupt(message: &'static str) -> StoreError {
    StoreError::corrupt(message)
}

/// PostgreSQL has no unsigned integers: the upper half of the range is kept as negative numbers,
/// which are compared for equality alone.
pub(crate) fn signed(value: u64) -> i64 {
    value.cast_signed()
}

fn unsigned(value: i64) -> u64 {
    value.cast_unsigned()
}
