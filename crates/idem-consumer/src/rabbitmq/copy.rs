//! A delivery as a [`Message`], and as a dead letter.

use bytes::Bytes;
use lapin::{
    BasicProperties,
    message::Delivery,
    types::{AMQPValue, FieldTable, ShortString},
};

use crate::{Message, Reason};

/// The header of a dead letter with the reason in words.
pub const REASON: &str = "x-idem-dead-letter-reason";
/// The header of a dead letter with the reason's name, such as `mismatch`.
pub const REASON_NAME: &str = "x-idem-dead-letter";

/// Keeps messages on disk.
const PERSISTENT: u8 = 2;

pub(super) fn message(delivery: &Delivery) -> Message {
    let mut message = Message::new(delivery.data.clone());
    let headers = delivery.properties.headers().iter().flatten();
    for (name, value) in headers {
        if let Some(value) = text(value) {
            message = message.with_header(name.as_str(), value);
        }
    }
    match delivery.properties.message_id() {
        Some(id) => message.with_broker_id(id.as_str()),
        None => message,
    }
}

/// Texts as they are, integers in decimal; what else a header may hold is no key.
fn text(value: &AMQPValue) -> Option<Bytes> {
    let number = |number: i64| Some(number.to_string().into());
    match value {
        AMQPValue::ShortString(text) => Some(text.as_str().to_owned().into()),
        AMQPValue::LongString(text) => Some(text.as_bytes().to_vec().into()),
        AMQPValue::ByteArray(bytes) => Some(bytes.as_slice().to_vec().into()),
        AMQPValue::ShortShortInt(n) => number((*n).into()),
        AMQPValue::ShortShortUInt(n) => number((*n).into()),
        AMQPValue::ShortInt(n) => number((*n).into()),
        AMQPValue::ShortUInt(n) => number((*n).into()),
        AMQPValue::LongInt(n) => number((*n).into()),
        AMQPValue::LongUInt(n) => number((*n).into()),
        AMQPValue::LongLongInt(n) => number(*n),
        _ => None,
    }
}

/// The properties of a dead letter: all but two of the message's, and all headers but `CC` and `BCC`. A time to live would have it vanish. A
/// user id is checked against the connection's, which is not the publisher's.
pub(super) fn dead_letter(delivery: &Delivery, reason: &Reason) -> BasicProperties {
    let old = &delivery.properties;
    let mut new = BasicProperties::default().with_delivery_mode(PERSISTENT);
    macro_rules! keep {
        ($($get:ident => $set:ident),+) => {
            $(if let Some(value) = old.$get() {
                new = new.$set(value.clone());
            })+
        };
    }
    keep!(
        content_type => with_content_type,
        content_encoding => with_content_encoding,
        priority => with_priority,
        correlation_id => with_correlation_id,
        reply_to => with_reply_to,
        message_id => with_message_id,
        timestamp => with_timestamp,
        kind => with_type,
        app_id => with_app_id,
        cluster_id => with_cluster_id
    );
    let mut headers = FieldTable::default();
    for (name, value) in old.headers().iter().flat_map(FieldTable::inner) {
        // The broker routes by these two: the copy would go where the message came from.
        if !matches!(name.as_str(), "CC" | "BCC") {
            headers.insert(name.clone(), value.clone());
        }
    }
    let mut tell = |name: &str, text: &str| {
        headers.insert(ShortString::from(name), AMQPValue::LongString(text.into()));
    };
    tell(REASON, &reason.to_header());
    tell(REASON_NAME, reason.name());
    new.with_headers(headers)
}
