//! A stored failure: the same JSON that `Idempotency::execute` stores.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::Reason;

pub(crate) fn error(error: &str) -> Bytes {
    json!({ "error": error }).to_string().into()
}

pub(crate) fn panic(message: &str) -> Bytes {
    json!({ "panic": message }).to_string().into()
}

/// What is stored in place of a failure that the store refuses for its size.
pub(crate) fn too_large() -> Bytes {
    error("the handler failed, and the store refused to keep its error")
}

/// Reads what an earlier delivery stored, or `execute` with an error type of its own.
pub(crate) fn read(payload: &[u8]) -> Reason {
    let replayed = true;
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let value: Value = serde_json::from_slice(payload).unwrap_or_default();
    if let Some(message) = value.get("panic") {
        return Reason::Panicked {
            message: text(message),
            replayed,
        };
    }
    let error = value.get("error").or_else(|| value.get("unstorable"));
    Reason::Failed {
        error: error.map_or_else(|| "an earlier delivery stored a failure".to_owned(), text),
        replayed,
    }
}
