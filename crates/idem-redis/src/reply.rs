//! What a server's reply says of a record.

use std::time::Duration;

use bytes::Bytes;
use idem_core::{StoreError, Stored, codec};
use redis::Value;

use crate::error::unexpected_reply;

/// A value as it was found; its age is not known.
pub(crate) fn found(value: Vec<u8>) -> Result<Stored, StoreError> {
    let decoded = codec::decode(&Bytes::from(value))?;
    Ok(Stored {
        record: decoded.record,
        age: None,
        remaining: None,
    })
}

/// What [`read.lua`](crate::scripts) answers, and the other scripts on a conflict: nothing, or a
/// value and the ttl it has left.
pub(crate) fn read(reply: Value) -> Result<Option<Stored>, StoreError> {
    let parts = match reply {
        Value::Nil => return Ok(None),
        Value::Array(parts) => parts,
        _ => return Err(unexpected_reply()),
    };
    let Ok([Value::BulkString(value), Value::Int(left)]) = <[Value; 2]>::try_from(parts) else {
        return Err(unexpected_reply());
    };
    let decoded = codec::decode(&Bytes::from(value))?;
    let Ok(left) = u64::try_from(left) else {
        return Err(StoreError::corrupt(
            "the record has lost its ttl, so its age is unknown; give it one, or delete it by hand",
        ));
    };
    let remaining = Duration::from_millis(left);
    Ok(Some(Stored {
        record: decoded.record,
        age: Some(decoded.ttl.saturating_sub(remaining)),
        remaining: Some(remaining),
    }))
}
