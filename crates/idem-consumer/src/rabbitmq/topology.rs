//! The queues for retries and for dead letters.

use std::time::Duration;

use lapin::{
    Channel, ErrorKind,
    options::QueueDeclareOptions,
    protocol::{AMQPErrorKind, AMQPSoftError},
    types::{AMQPValue, FieldTable},
};

use super::Queue;
use crate::SourceError;

impl Queue {
    pub(super) async fn declare(&self, channel: &Channel) -> lapin::Result<()> {
        for delay in &self.delays {
            let name = retry_queue(&self.name, *delay);
            declare(channel, &name, retrying(*delay, &self.name)).await?;
        }
        declare(channel, &self.dead_letters, FieldTable::default()).await
    }

    /// The shortest delay with a retry queue that is long enough, or the longest.
    pub(super) fn level(&self, delay: Duration) -> Duration {
        let mut levels = self.delays.iter().copied();
        let longest = self.delays.last().copied().unwrap_or(delay);
        levels.find(|level| *level >= delay).unwrap_or(longest)
    }
}

pub(super) fn retry_queue(queue: &str, delay: Duration) -> String {
    format!("{queue}.retry.{}", delay.as_millis())
}

async fn declare(channel: &Channel, name: &str, arguments: FieldTable) -> lapin::Result<()> {
    let options = QueueDeclareOptions {
        durable: true,
        ..QueueDeclareOptions::default()
    };
    channel
        .queue_declare(name.into(), options, arguments)
        .await?;
    Ok(())
}

/// Messages expire after the delay, and go back to the queue.
fn retrying(delay: Duration, queue: &str) -> FieldTable {
    let text = |text: &str| AMQPValue::LongString(text.into());
    let delay = i64::try_from(delay.as_millis()).unwrap_or(i64::MAX);
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), text("quorum"));
    arguments.insert("x-message-ttl".into(), AMQPValue::LongLongInt(delay));
    arguments.insert("x-dead-letter-exchange".into(), text(""));
    arguments.insert("x-dead-letter-routing-key".into(), text(queue));
    // Without these two a node that is killed while a message changes queues loses it.
    arguments.insert("x-dead-letter-strategy".into(), text("at-least-once"));
    arguments.insert("x-overflow".into(), text("reject-publish"));
    arguments
}

/// A queue that is not there, may not be used or was declared otherwise stays so.
pub(super) fn error(error: lapin::Error) -> SourceError {
    let ErrorKind::ProtocolError(protocol) = error.kind() else {
        return SourceError::away(error);
    };
    match protocol.kind() {
        AMQPErrorKind::Soft(
            AMQPSoftError::NOTFOUND
            | AMQPSoftError::ACCESSREFUSED
            | AMQPSoftError::PRECONDITIONFAILED,
        ) => SourceError::config(error),
        _ => SourceError::away(error),
    }
}
