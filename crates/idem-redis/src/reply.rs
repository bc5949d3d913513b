//! What a server's reply says of a record.

use std::time::Duration;

use bytes::Bytes;
use idem_core::store::{StoreError, Stored, codec};
use redis::Value;

use crate::error::unexpected_reply;

/// A value as it was found; its age is not known.
pub(crate) fn found(value: &Bytes) -> Result<Stored, StoreError> {
    let decoded = codec::decode(value)?;
    Ok(Stored {
        record: decoded.record,
        age: None,
        remaining: None,
    })
}

/// What a script answers on a conflict: nothing, or a value and the ttl it has left.
pub(crate) fn conflict(reply: Value) -> Result<Option<Stored>, StoreError> {
    let parts = match reply {
        Value::Nil => return Ok(None),
        Value::Array(parts) => parts,
        _ => return Err(unexpected_reply()),
    };
    let Ok([Value::BulkString(value), Value::Int(left)]) = <[Value; 2]>::try_from(parts) else {
        return Err(unexpected_reply());
    };
    stored(&value.into(), left).map(Some)
}

/// A value that was read, and the reply of `PTTL` to its name.
pub(crate) fn read(value: Option<Bytes>, ttl: Option<i64>) -> Result<Option<Stored>, StoreError> {
    match (value, ttl) {
        // Gone between the two commands.
        (Some(_), Some(GONE)) => Ok(None),
        (Some(value), Some(left)) => stored(&value, left).map(Some),
        (Some(value), None) => found(&value).map(Some),
        // A key without a ttl whose value cannot be read as a string.
        (None, Some(FOREVER)) => Err(StoreError::corrupt(
            "a key under this prefix is no string; somebody else uses it",
        )),
        (None, _) => Ok(None),
    }
}

/// What `PTTL` answers of a name that is not there, and of one that has no ttl.
pub(crate) const GONE: i64 = -2;
const FOREVER: i64 = -1;

fn stored(value: &Bytes, left: i64) -> Result<Stored, StoreError> {
    let decoded = codec::decode(value)?;
    let Ok(left) = u64::try_from(left) else {
        return Err(StoreError::corrupt(
            "the record has lost its ttl, so its age is unknown; give it one, or delete it by hand",
        ));
    };
    let remaining = Duration::from_millis(left);
    Ok(Stored {
        record: decoded.record,
        age: Some(decoded.ttl.saturating_sub(remaining)),
        remaining: Some(remaining),
    })
}
