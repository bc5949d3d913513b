//! The compact binary form of a record, for stores that keep one value per key.
//!
//! Format 1, all integers big-endian or LEB128 varints:
//!
//! ```text
//! u8       format (1)            ┐
//! [u8; 16] claim token           │ the version prefix: two records share it
//! varint   revision              ┘ if and only if they share their version
//! u8       state (0 in flight, 1 retryable, 2 completed, 3 failed; +8 with a checkpoint)
//! varint   ttl as written, ms
//! varint   created_at, ms since the epoch
//! varint   attempt
//! [u8; 32] fingerprint
//! varint   lease, ms             (in flight only)
//! rest     checkpoint or payload
//! u32      CRC-32 (IEEE) of all before it
//! ```
//!
//! The ttl is part of the value because a store that counts a ttl down learns a record's age from
//! it: `age = ttl as written − ttl left`. The checksum tells damage from data: a value that was
//! cut short or has a byte flipped is refused, never read as something else (rule S7).

mod varint;

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};

use crate::{ClaimToken, Fingerprint, Record, State, StoreError, Timestamp, Version};

/// The format that [`encode`] writes. [`decode`] reads it and every one before it.
pub const FORMAT: u8 = 1;

const CHECKPOINT_FLAG: u8 = 8;
const CHECKSUM_LEN: usize = 4;
/// Longest header: format, token, five varints, state, fingerprint, checksum.
const MAX_OVERHEAD: usize = 1 + 16 + 5 * varint::MAX_LEN + 1 + 32 + CHECKSUM_LEN;

/// A record and the ttl that it was written with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// The record.
    pub record: Record,
    /// The ttl at the last write, in whole milliseconds.
    pub ttl: Duration,
}

/// Why bytes are no record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// Written in a format that this release does not know, by a newer one.
    #[error("record format {0} is not known to this release; upgrade before reading it")]
    UnknownFormat(u8),
    /// Cut short, or bytes changed.
    #[error("the record is damaged: {0}")]
    Damaged(&'static str),
}

impl From<CodecError> for StoreError {
    fn from(error: CodecError) -> Self {
        Self::corrupt("restore it from a backup, or delete it by hand").with_source(error)
    }
}

/// The bytes of a record that is about to be written with `ttl`.
///
/// Durations are kept in whole milliseconds, rounded up, so that no lease gets shorter.
#[must_use]
pub fn encode(record: &Record, ttl: Duration) -> Bytes {
    let (tag, lease, tail) = match &record.state {
        State::InFlight { lease, checkpoint } => (0, Some(*lease), checkpoint.as_ref()),
        State::Retryable { checkpoint } => (1, None, checkpoint.as_ref()),
        State::Completed { payload } => (2, None, Some(payload)),
        State::Failed { payload } => (3, None, Some(payload)),
    };
    let flag = if tag < 2 && tail.is_some() {
        CHECKPOINT_FLAG
    } else {
        0
    };
    let mut out = BytesMut::with_capacity(MAX_OVERHEAD + tail.map_or(0, Bytes::len));
    put_version(&mut out, record.version);
    out.put_u8(tag | flag);
    varint::put(&mut out, millis(ttl));
    varint::put(&mut out, record.created_at.as_millis());
    varint::put(&mut out, u64::from(record.attempt));
    out.put_slice(record.fingerprint.as_bytes());
    if let Some(lease) = lease {
        varint::put(&mut out, millis(lease));
    }
    if let Some(tail) = tail {
        out.put_slice(tail);
    }
    let checksum = crc32fast::hash(&out);
    out.put_u32(checksum);
    out.freeze()
}

/// The first bytes of every record with this version, and of no other: what a conditional write
/// compares.
#[must_use]
pub fn version_prefix(version: Version) -> Bytes {
    let mut out = BytesMut::with_capacity(17 + varint::MAX_LEN);
    put_version(&mut out, version);
    out.freeze()
}

/// Reads a record; the payload shares the memory of `bytes`.
///
/// # Errors
/// [`CodecError`] for a format of a newer release and for damaged bytes. Never panics.
pub fn decode(bytes: &Bytes) -> Result<Decoded, CodecError> {
    match bytes.first() {
        None => return Err(CodecError::Damaged("it is empty")),
        Some(&FORMAT) => {}
        Some(&other) => return Err(CodecError::UnknownFormat(other)),
    }
    let Some(body_len) = bytes.len().checked_sub(CHECKSUM_LEN) else {
        return Err(CodecError::Damaged("it is cut short"));
    };
    let (body, checksum) = bytes.split_at(body_len);
    if crc32fast::hash(body).to_be_bytes() != checksum {
        return Err(CodecError::Damaged("its checksum does not match"));
    }
    let mut reader = Reader { body, at: 1 };
    let version = reader.version()?;
    let tag = reader.byte()?;
    let ttl = reader.duration()?;
    let created_at = Timestamp::from_millis(reader.varint()?);
    let attempt = u32::try_from(reader.varint()?)
        .map_err(|_| CodecError::Damaged("its attempt is out of range"))?;
    let fingerprint = Fingerprint::from_bytes(reader.array()?);
    let lease = if tag & !CHECKPOINT_FLAG == 0 {
        reader.duration()?
    } else {
        Duration::ZERO
    };
    let state = state(tag, lease, bytes.slice(reader.at..body_len))?;
    Ok(Decoded {
        record: Record {
            fingerprint,
            attempt,
            version,
            created_at,
            state,
        },
        ttl,
    })
}

fn state(tag: u8, lease: Duration, tail: Bytes) -> Result<State, CodecError> {
    let none = |state| match tail.is_empty() {
        true => Ok(state),
        false => Err(CodecError::Damaged("it has bytes left over")),
    };
    const IN_FLIGHT_CHECKPOINT: u8 = CHECKPOINT_FLAG;
    const RETRYABLE_CHECKPOINT: u8 = 1 | CHECKPOINT_FLAG;
    match tag {
        0 => none(State::InFlight {
            lease,
            checkpoint: None,
        }),
        1 => none(State::Retryable { checkpoint: None }),
        2 => Ok(State::Completed { payload: tail }),
        3 => Ok(State::Failed { payload: tail }),
        IN_FLIGHT_CHECKPOINT => Ok(State::InFlight {
            lease,
            checkpoint: Some(tail),
        }),
        RETRYABLE_CHECKPOINT => Ok(State::Retryable {
            checkpoint: Some(tail),
        }),
        _ => Err(CodecError::Damaged("its state is none")),
    }
}

fn put_version(out: &mut BytesMut, version: Version) {
    out.put_u8(FORMAT);
    out.put_slice(version.token.as_bytes());
    varint::put(out, version.revision);
}

/// Whole milliseconds, rounded up.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

struct Reader<'a> {
    body: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], CodecError> {
        let array = self.body.get(self.at..).and_then(<[u8]>::first_chunk::<N>);
        self.at += N;
        array.copied().ok_or(CodecError::Damaged("it is cut short"))
    }

    fn byte(&mut self) -> Result<u8, CodecError> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn version(&mut self) -> Result<Version, CodecError> {
        let token = ClaimToken::from_bytes(self.array()?);
        Ok(Version {
            token,
            revision: self.varint()?,
        })
    }

    fn duration(&mut self) -> Result<Duration, CodecError> {
        self.varint().map(Duration::from_millis)
    }

    fn varint(&mut self) -> Result<u64, CodecError> {
        let (value, len) = varint::get(self.body.get(self.at..).unwrap_or_default()).ok_or(
            CodecError::Damaged("a number in it is cut short or not minimal"),
        )?;
        self.at += len;
        Ok(value)
    }
}

#[cfg(test)]
mod tests;
