//! The compact binary form of a record, for stores that keep one value per key.
//!
//! Format 1, all integers big-endian or LEB128 varints:
//!
//! ```text
//! u8       format (1)            ┐
//! [u8; 16] claim token           │ the version prefix: two records share it
//! varint   revision              ┘ if and only if they share their version
//! u8       state and attempt, which a varint follows where it is large; see `head.rs`
//! varint   ttl as written, in its largest unit; see `span.rs`
//! varint   created_at, ms since the epoch
//! [u8; 32] fingerprint
//! varint   lease, as the ttl     (in flight only)
//! rest     checkpoint or payload
//! u32      CRC-32 (IEEE) of all before it
//! ```
//!
//! The ttl is part of the value because a store that counts a ttl down learns a record's age from
//! it: `age = ttl as written − ttl left`. The checksum tells damage from data: a value that was
//! cut short or has a byte flipped is refused, never read as something else (rule S7).
//!
//! A completed record kept for a day takes 62 bytes beside its payload.

mod head;
mod span;
mod varint;
mod version;

use std::time::Duration;

use bytes::{BufMut, Bytes};
use head::{Head, Kind};

pub use version::VersionPrefix;

use crate::{
    Fingerprint, Timestamp,
    store::{ClaimToken, Record, State, StoreError, Version},
};

/// The format that [`encode`] writes. [`decode`] reads it and every one before it.
pub const FORMAT: u8 = 1;

/// The longest form of what comes before the checkpoint or payload.
const HEADER_LEN: usize = version::MAX_LEN + head::MAX_LEN + 3 * varint::MAX_LEN + 32;
const CHECKSUM_LEN: usize = 4;

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
///
/// ```
/// use std::time::Duration;
/// use idem_core::{Fingerprint, Timestamp, store::{ClaimToken, Record, State, Version, codec}};
///
/// let version = Version { token: ClaimToken::from_bytes([7; 16]), revision: 3 };
/// let record = Record {
///     fingerprint: Fingerprint::of("payments/v1", b"500 usd"),
///     attempt: 1,
///     version,
///     created_at: Timestamp::now(),
///     state: State::Completed { payload: "paid".into() },
/// };
/// let bytes = codec::encode(&record, Duration::from_secs(3600));
/// assert_eq!(codec::decode(&bytes)?.record, record);
/// // A conditional write compares no more than this:
/// assert!(bytes.starts_with(codec::version_prefix(version).as_ref()));
/// # Ok::<(), codec::CodecError>(())
/// ```
#[must_use]
pub fn encode(record: &Record, ttl: Duration) -> Bytes {
    let (lease, tail) = match &record.state {
        State::InFlight { lease, checkpoint } => (Some(*lease), checkpoint.as_ref()),
        State::Retryable { checkpoint } => (None, checkpoint.as_ref()),
        State::Released => (None, None),
        State::Completed { payload } | State::Failed { payload } => (None, Some(payload)),
    };
    let mut header = [0; HEADER_LEN];
    let mut rest = &mut header[..];
    rest.put_slice(&version_prefix(record.version));
    Head::put(&mut rest, Kind::of(&record.state), record.attempt);
    span::put(&mut rest, ttl);
    varint::put(&mut rest, record.created_at.as_millis());
    rest.put_slice(record.fingerprint.as_bytes());
    if let Some(lease) = lease {
        span::put(&mut rest, lease);
    }
    let header_len = HEADER_LEN - rest.len();

    // As large as need be: bytes with room to spare would have to be allocated a second time.
    let tail = tail.map_or(&[][..], |tail| tail);
    let mut out = Vec::with_capacity(header_len + tail.len() + CHECKSUM_LEN);
    out.extend_from_slice(&header[..header_len]);
    out.extend_from_slice(tail);
    out.extend_from_slice(&crc32fast::hash(&out).to_be_bytes());
    out.into()
}

/// The first bytes of every record with this version, and of no other: what a conditional write
/// compares.
#[must_use]
pub fn version_prefix(version: Version) -> VersionPrefix {
    VersionPrefix::of(version)
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
    let head = Head::from_byte(reader.byte()?).ok_or(CodecError::Damaged("its state is none"))?;
    let attempt = reader.attempt(head)?;
    let ttl = reader.duration()?;
    let created_at = Timestamp::from_millis(reader.varint()?);
    let fingerprint = Fingerprint::from_bytes(reader.array()?);
    let lease = match head.kind {
        Kind::InFlight { .. } => reader.duration()?,
        Kind::Retryable { .. } | Kind::Released | Kind::Completed | Kind::Failed => Duration::ZERO,
    };
    let state = state(head.kind, lease, bytes.slice(reader.at..body_len))?;
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

fn state(kind: Kind, lease: Duration, tail: Bytes) -> Result<State, CodecError> {
    let checkpoint = |is_there: bool| match is_there {
        true => Ok(Some(tail.clone())),
        false if tail.is_empty() => Ok(None),
        false => Err(CodecError::Damaged("it has bytes left over")),
    };
    Ok(match kind {
        Kind::InFlight { checkpoint: there } => State::InFlight {
            lease,
            checkpoint: checkpoint(there)?,
        },
        Kind::Retryable { checkpoint: there } => State::Retryable {
            checkpoint: checkpoint(there)?,
        },
        Kind::Released if !tail.is_empty() => {
            return Err(CodecError::Damaged("it has bytes left over"));
        }
        Kind::Released => State::Released,
        Kind::Completed => State::Completed { payload: tail },
        Kind::Failed => State::Failed { payload: tail },
    })
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

    fn attempt(&mut self, head: Head) -> Result<u32, CodecError> {
        let more = if head.more_attempts {
            self.varint()?
        } else {
            0
        };
        u32::try_from(more)
            .ok()
            .and_then(|more| more.checked_add(head.attempt))
            .ok_or(CodecError::Damaged("its attempt is out of range"))
    }

    fn duration(&mut self) -> Result<Duration, CodecError> {
        span::from_number(self.varint()?).ok_or(CodecError::Damaged("a duration in it is none"))
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
