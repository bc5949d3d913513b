//! A delivery as a [`Message`], and as a dead letter.

use aws_sdk_sqs::{
    Client,
    operation::send_message::builders::SendMessageFluentBuilder,
    types::{Message as Received, MessageAttributeValue, MessageSystemAttributeName},
};
use bytes::Bytes;

use crate::{Message, Reason};

/// The attribute of a dead letter with the reason in words.
pub const REASON: &str = "idem-dead-letter-reason";
/// The attribute of a dead letter with the reason's name, such as `mismatch`.
pub const REASON_NAME: &str = "idem-dead-letter";
/// The header with the `MessageDeduplicationId` of a FIFO queue's message. A publisher that sets it, once
/// per intent, has the queue drop its repeats within five minutes, and the consumer those that come later.
/// Where the queue makes it of the body, two equal orders have one.
pub const DEDUPLICATION_ID: &str = "AWS.MessageDeduplicationId";
/// The header with the `MessageGroupId` of a message.
pub const GROUP_ID: &str = "AWS.MessageGroupId";

// No attribute of a publisher's begins with `AWS.`: SQS refuses it.
const SYSTEM: [(&str, MessageSystemAttributeName); 2] = [
    (
        DEDUPLICATION_ID,
        MessageSystemAttributeName::MessageDeduplicationId,
    ),
    (GROUP_ID, MessageSystemAttributeName::MessageGroupId),
];

pub(super) fn message(received: &Received) -> Message {
    let mut message = Message::new(received.body.clone().unwrap_or_default());
    for (name, value) in received.message_attributes.iter().flatten() {
        if let Some(value) = bytes(value) {
            message = message.with_header(name.clone(), value);
        }
    }
    for (header, name) in SYSTEM {
        if let Some(value) = system(received, &name) {
            message = message.with_header(header, value.to_owned());
        }
    }
    match &received.message_id {
        Some(id) => message.with_broker_id(id),
        None => message,
    }
}

fn system<'a>(received: &'a Received, name: &MessageSystemAttributeName) -> Option<&'a str> {
    let attributes = received.attributes.as_ref()?;
    attributes.get(name).map(String::as_str)
}

/// Texts and numbers as they are written.
fn bytes(value: &MessageAttributeValue) -> Option<Bytes> {
    match (&value.string_value, &value.binary_value) {
        (Some(text), _) => Some(text.clone().into()),
        (None, Some(blob)) => Some(Bytes::copy_from_slice(blob.as_ref())),
        (None, None) => None,
    }
}

/// The message as it came, with the reason where one is given.
pub(super) fn dead_letter(
    client: &Client,
    queue: &str,
    received: &Received,
    reason: Option<&Reason>,
) -> SendMessageFluentBuilder {
    let mut letter = client
        .send_message()
        .queue_url(queue)
        .set_message_body(received.body.clone());
    for (name, value) in received.message_attributes.iter().flatten() {
        // One that was moved back from the dead letters has them of the last time.
        if name != REASON && name != REASON_NAME {
            letter = letter.message_attributes(name, value.clone());
        }
    }
    if let Some(reason) = reason {
        for (name, text) in [(REASON, &*reason.to_header()), (REASON_NAME, reason.name())] {
            let value = MessageAttributeValue::builder().string_value(text);
            if let Ok(value) = value.data_type("String").build() {
                letter = letter.message_attributes(name, value);
            }
        }
    }
    let group = system(received, &MessageSystemAttributeName::MessageGroupId);
    if queue.ends_with(".fifo") {
        // The queue drops a second copy of one dead letter within five minutes.
        letter = letter
            .message_group_id(group.unwrap_or("dead-letters"))
            .set_message_deduplication_id(received.message_id.clone());
    }
    letter
}
