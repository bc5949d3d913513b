//! [`Event`]: what a handler gets.

use std::fmt;

use bytes::Bytes;
use idem_core::{Context, IdempotencyKey};
use serde::de::DeserializeOwned;

/// A verified event that this handler is to work off.
///
/// It may come a second time only after an attempt that failed or vanished half-way: then
/// [`attempt`](Self::attempt) is above 1. Hand [`derive_key`](Self::derive_key) to other APIs.
#[derive(Clone)]
pub struct Event {
    id: IdempotencyKey,
    kind: Option<String>,
    body: Bytes,
    context: Context,
}

impl Event {
    pub(crate) fn new(
        id: IdempotencyKey,
        kind: Option<String>,
        body: Bytes,
        context: Context,
    ) -> Self {
        Self {
            id,
            kind,
            body,
            context,
        }
    }

    /// The event's id.
    #[must_use]
    pub fn id(&self) -> &IdempotencyKey {
        &self.id
    }

    /// The event's name, where a header has it: GitHub's `X-GitHub-Event`, such as `push`. Other
    /// senders have it in the body.
    #[must_use]
    pub fn kind(&self) -> Option<&str> {
        self.kind.as_deref()
    }

    /// The bytes that were delivered.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The body, read as JSON.
    ///
    /// # Errors
    /// When it is not of this type.
    pub fn json<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        serde_json::from_slice(&self.body)
    }

    /// 1 for the first attempt at this event, one more for each later one.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.context.attempt()
    }

    /// An idempotency key to send to the next API: the same for every attempt at this event and
    /// step, another one for any other.
    #[must_use]
    pub fn derive_key(&self, step: &str) -> IdempotencyKey {
        self.context.derive_key(step)
    }
}

impl fmt::Debug for Event {
    /// Without the body, which never reaches a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("id", &self.id)
            .field("kind", &self.kind)
            .field("attempt", &self.attempt())
            .finish_non_exhaustive()
    }
}

/// The first byte of an event as it is stored until it is worked off.
const FORMAT: u8 = 1;

/// An event as it is stored: the format, the length of its name (big-endian), the name, the body.
pub(crate) fn pack(kind: Option<&str>, body: &[u8]) -> Bytes {
    // A header's value is shorter than that in every server; one that is not is cut off.
    let kind = kind.unwrap_or_default().as_bytes();
    let kind = &kind[..kind.len().min(usize::from(u16::MAX))];
    let len = u16::try_from(kind.len()).unwrap_or(u16::MAX);
    let mut packed = Vec::with_capacity(3 + kind.len() + body.len());
    packed.push(FORMAT);
    packed.extend(len.to_be_bytes());
    packed.extend(kind);
    packed.extend(body);
    packed.into()
}

/// The name and the body; `None` for what this crate did not store.
pub(crate) fn unpack(packed: &Bytes) -> Option<(Option<String>, Bytes)> {
    let [FORMAT, high, low, ..] = packed[..] else {
        return None;
    };
    let start = 3 + usize::from(u16::from_be_bytes([high, low]));
    let kind = std::str::from_utf8(packed.get(3..start)?).ok()?;
    let kind = (!kind.is_empty()).then(|| kind.to_owned());
    Some((kind, packed.slice(start..)))
}
