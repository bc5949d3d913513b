//! [`Link`]: a connection, its channels and its consumer.

use futures_util::{FutureExt as _, StreamExt as _};
use lapin::{
    Channel, Connection, ErrorKind,
    options::{
        BasicCancelOptions, BasicConsumeOptions, BasicQosOptions, ConfirmSelectOptions,
        QueueDeclareOptions,
    },
    protocol::{AMQPErrorKind, AMQPSoftError},
    types::FieldTable,
};

use super::{Queue, requeue};
use crate::SourceError;

/// What is there while the connection holds.
pub(super) struct Link {
    pub(super) taking: Channel,
    pub(super) placing: Channel,
    pub(super) consumer: lapin::Consumer,
    /// The channels close with it.
    _connection: Connection,
}

impl Link {
    /// Takes nothing more, and gives back what was fetched and not handed out.
    pub(super) async fn give_back(&mut self) -> Result<(), SourceError> {
        let tag = self.consumer.tag();
        let cancelled = self.taking.basic_cancel(tag, BasicCancelOptions::default());
        cancelled.await.map_err(SourceError::away)?;
        while let Some(Some(Ok(received))) = self.consumer.next().now_or_never() {
            requeue(&received.acker).await?;
        }
        Ok(())
    }
}

impl Queue {
    pub(super) async fn open(&self) -> Result<Link, SourceError> {
        let connection = (self.connect)().await.map_err(SourceError::away)?;
        let opened = async {
            let placing = connection.create_channel().await?;
            placing
                .confirm_select(ConfirmSelectOptions::default())
                .await?;
            let durable = QueueDeclareOptions {
                durable: true,
                ..QueueDeclareOptions::default()
            };
            let dead_letters = self.dead_letters.as_str().into();
            placing
                .queue_declare(dead_letters, durable, FieldTable::default())
                .await?;
            let taking = connection.create_channel().await?;
            taking
                .basic_qos(self.prefetch, BasicQosOptions::default())
                .await?;
            let name = self.name.as_str().into();
            let consuming = taking.basic_consume(
                name,
                "".into(),
                BasicConsumeOptions::default(),
                FieldTable::default(),
            );
            Ok((placing, consuming.await?, taking))
        };
        let (placing, consumer, taking) = opened.await.map_err(opening)?;
        Ok(Link {
            taking,
            placing,
            consumer,
            _connection: connection,
        })
    }
}

/// A queue that is not there, may not be used or was declared otherwise stays so. One whose node is away is
/// *not found* as well, in other words.
fn opening(error: lapin::Error) -> SourceError {
    let ErrorKind::ProtocolError(protocol) = error.kind() else {
        return SourceError::away(error);
    };
    match protocol.kind() {
        AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND)
            if !protocol.get_message().as_str().contains("no queue") =>
        {
            SourceError::away(error)
        }
        AMQPErrorKind::Soft(
            AMQPSoftError::NOTFOUND
            | AMQPSoftError::ACCESSREFUSED
            | AMQPSoftError::PRECONDITIONFAILED,
        ) => SourceError::config(error),
        _ => SourceError::away(error),
    }
}
