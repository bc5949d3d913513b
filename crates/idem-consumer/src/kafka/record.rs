//! [`Record`]: a message as it came, as a [`Message`] and as a dead letter.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use rdkafka::message::{BorrowedMessage, Header, Headers as _, Message as _, OwnedHeaders};

use super::assigned::Place;
use crate::{Message, Reason};

/// The header of a dead letter with the reason in words.
pub const REASON: &str = "idem-dead-letter-reason";
/// The header of a dead letter with the reason's name, such as `mismatch`.
pub const REASON_NAME: &str = "idem-dead-letter";
/// The header of a dead letter with the topic, partition and offset that the message had.
pub const PLACE: &str = "idem-dead-letter-place";
/// The header under which the handler finds the record's key, which is not an idempotency key: all
/// records of one customer may have it.
pub const RECORD_KEY: &str = "kafka.key";

/// A message that is out of the client's memory.
pub(super) struct Record {
    pub(super) topic: Arc<str>,
    pub(super) partition: i32,
    pub(super) offset: i64,
    /// Which assignment of the partition it came by.
    pub(super) epoch: u64,
    key: Option<Bytes>,
    /// None in a tombstone.
    payload: Option<Bytes>,
    headers: Vec<(String, Option<Bytes>)>,
}

impl Record {
    pub(super) fn read(received: &BorrowedMessage<'_>) -> Self {
        let headers = received.headers().into_iter().flat_map(|h| h.iter());
        let headers = headers.map(|header| {
            let value = header.value.map(Bytes::copy_from_slice);
            (header.key.to_owned(), value)
        });
        Self {
            topic: received.topic().into(),
            partition: received.partition(),
            offset: received.offset(),
            epoch: 0,
            key: received.key().map(Bytes::copy_from_slice),
            payload: received.payload().map(Bytes::copy_from_slice),
            headers: headers.collect(),
        }
    }

    pub(super) fn place(&self) -> Place {
        (Arc::clone(&self.topic), self.partition)
    }

    fn id(&self) -> String {
        format!("{}/{}/{}", self.topic, self.partition, self.offset)
    }

    pub(super) fn message(&self) -> Message {
        let mut message =
            Message::new(self.payload.clone().unwrap_or_default()).with_broker_id(self.id());
        if let Some(key) = &self.key {
            message = message.with_header(RECORD_KEY, key.clone());
        }
        for (name, value) in &self.headers {
            if let Some(value) = value {
                message = message.with_header(name.clone(), value.clone());
            }
        }
        message
    }

    pub(super) fn key(&self) -> Option<&[u8]> {
        self.key.as_deref()
    }

    pub(super) fn payload(&self) -> Option<&[u8]> {
        self.payload.as_deref()
    }

    /// The headers of the dead letter: the message's, with the reason.
    pub(super) fn dead_letter_headers(&self, reason: Option<&Reason>) -> OwnedHeaders {
        const OURS: [&str; 3] = [REASON, REASON_NAME, PLACE];
        let mut headers = OwnedHeaders::new_with_capacity(self.headers.len() + OURS.len());
        for (key, value) in &self.headers {
            // One that was moved back from the dead letters has them of the last time.
            if !OURS.contains(&key.as_str()) {
                let value = value.as_deref();
                headers = headers.insert(Header { key, value });
            }
        }
        let told = reason.map(|reason| [reason.to_header(), reason.name().to_owned()]);
        let texts = told.into_iter().flatten().chain([self.id()]);
        let names = OURS.iter().skip(if reason.is_some() { 0 } else { 2 });
        for (key, text) in names.zip(texts) {
            let value = Some(&text);
            headers = headers.insert(Header { key, value });
        }
        headers
    }

    #[cfg(test)]
    pub(super) fn at(topic: &str, partition: i32, offset: i64) -> Self {
        Self {
            topic: topic.into(),
            partition,
            offset,
            epoch: 0,
            key: None,
            payload: None,
            headers: Vec::new(),
        }
    }
}

/// Its place alone: a body may hold secrets.
impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Record").field(&self.id()).finish()
    }
}
