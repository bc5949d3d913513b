//! NATS JetStream: a durable pull consumer as a [`Source`].
//!
//! | verdict | what the adapter does |
//! |---|---|
//! | acknowledge | `+ACK`, and waits for the server's confirmation (a double ack) |
//! | defer | `-NAK` with the delay: the server keeps it |
//! | dead letter | publishes to the subject for dead letters, waits until a stream has it, then `+TERM` |
//! | handler runs | `+WPI` at a third of the consumer's `ack_wait` |
//!
//! It asks for as many messages as can be worked on at once, so none waits in this process while its
//! `ack_wait` runs out.

use std::{fmt, future::Future, sync::Arc, time::Duration};

use async_nats::{
    HeaderMap,
    jetstream::{
        self, AckKind,
        consumer::{AckPolicy, PullConsumer, pull::Batch},
    },
};
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::{sync::Mutex, time::timeout};

use crate::{Message, Reason, Source, SourceError};

/// The header of a dead letter with the reason in words.
pub const REASON: &str = "Idem-Dead-Letter-Reason";
/// The header of a dead letter with the reason's name, such as `mismatch`.
pub const REASON_NAME: &str = "Idem-Dead-Letter";
/// The header of a dead letter with the subject that the message came by.
pub const SUBJECT: &str = "Idem-Dead-Letter-Subject";

/// How long the server holds a request for messages.
const EXPIRES: Duration = Duration::from_secs(5);
/// How much longer an answer may take before the request counts as lost: the server was restarted.
const LATE: Duration = Duration::from_secs(1);
/// How long a message is put off at most: the server counts nanoseconds in 64 bits, which are 292 years.
const LONGEST_DELAY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// A durable pull consumer of a stream.
///
/// The consumer needs `AckPolicy::Explicit` and no `max_deliver`: the server would give a message up in
/// silence after so many deliveries. Attempts are bounded by the engine.
///
/// ```no_run
/// use async_nats::jetstream::{self, consumer::pull, stream};
/// use idem_consumer::{Consumer, Message, nats::JetStream};
/// use idem_core::{Context, Failure};
///
/// async fn pack(context: Context, message: Message) -> Result<(), Failure<String>> {
///     println!("{} bytes under {}", message.body().len(), context.key());
///     Ok(())
/// }
///
/// # async fn example(consumer: Consumer) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
/// let client = async_nats::connect("localhost:4222").await?;
/// let jetstream = jetstream::new(client);
/// let orders = jetstream.get_stream("orders").await?;
/// let config = pull::Config {
///     durable_name: Some("packing".to_owned()),
///     ..pull::Config::default()
/// };
/// let packing = orders.get_or_create_consumer("packing", config).await?;
/// // A stream has to capture this subject, else a dead letter stays where it is.
/// let source = JetStream::new(jetstream, packing, "dead.orders")?;
/// let stop = async { /* a signal */ };
/// consumer.run(source, pack, stop).await?;
/// # Ok(()) }
/// ```
pub struct JetStream {
    context: jetstream::Context,
    consumer: PullConsumer,
    dead_letters: String,
    extend_every: Duration,
    batch: Mutex<Option<Batch>>,
}

impl JetStream {
    /// A source over a pull consumer. Dead letters are published to the subject `dead_letters`.
    ///
    /// # Errors
    /// [`SourceError`] when the consumer does not ask for explicit acks, or has a `max_deliver`.
    pub fn new(
        context: jetstream::Context,
        consumer: PullConsumer,
        dead_letters: impl Into<String>,
    ) -> Result<Self, SourceError> {
        let config = &consumer.cached_info().config;
        if config.ack_policy != AckPolicy::Explicit {
            return Err(SourceError::config(
                "the consumer needs AckPolicy::Explicit",
            ));
        }
        if config.max_deliver > 0 {
            return Err(SourceError::config(
                "the consumer has a `max_deliver`, so the server would give messages up in silence; \
                 leave it out, attempts are bounded by the engine's policy",
            ));
        }
        let waits = config.backoff.iter().copied().chain([config.ack_wait]);
        let wait = waits.filter(|wait| !wait.is_zero()).min();
        Ok(Self {
            extend_every: wait.unwrap_or(Duration::from_secs(30)) / 3,
            context,
            consumer,
            dead_letters: dead_letters.into(),
            batch: Mutex::default(),
        })
    }

    async fn request(&self, room: usize) -> Result<Batch, SourceError> {
        let batch = self.consumer.batch().max_messages(room.max(1));
        let request = batch.expires(EXPIRES).messages();
        in_time(request).await
    }
}

impl fmt::Debug for JetStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let info = self.consumer.cached_info();
        f.debug_struct("JetStream")
            .field("stream", &info.stream_name)
            .field("consumer", &info.name)
            .field("dead_letters", &self.dead_letters)
            .finish_non_exhaustive()
    }
}

/// One delivery of a message.
#[derive(Debug)]
pub struct Delivery(Arc<jetstream::Message>);

impl Source for JetStream {
    type Delivery = Delivery;

    async fn next(&self, room: usize) -> Result<Option<Delivery>, SourceError> {
        let mut held = self.batch.lock().await;
        loop {
            let batch = match &mut *held {
                Some(batch) => batch,
                None => held.insert(self.request(room).await?),
            };
            match timeout(EXPIRES + LATE, batch.next()).await {
                Ok(Some(Ok(message))) => return Ok(Some(Delivery(Arc::new(message)))),
                // The request is over, or the server forgot it.
                Ok(None) | Err(_) => *held = None,
                Ok(Some(Err(error))) => {
                    *held = None;
                    return Err(SourceError::away(error));
                }
            }
        }
    }

    /// The broker id is the stream, the sequence and the time at which the stream took the message: the
    /// same for each delivery, and another one when the publisher sends it again.
    fn message(&self, Delivery(delivery): &Delivery) -> Message {
        let mut message = Message::new(delivery.payload.clone());
        for (name, values) in delivery.headers.iter().flat_map(HeaderMap::iter) {
            for value in values {
                let value = value.as_str().to_owned();
                message = message.with_header(AsRef::<str>::as_ref(name), value);
            }
        }
        match delivery.info() {
            Ok(info) => message.with_broker_id(format!(
                "{}:{}@{}",
                info.stream,
                info.stream_sequence,
                info.published.unix_timestamp_nanos()
            )),
            Err(_) => message,
        }
    }

    async fn ack(&self, Delivery(delivery): &Delivery) -> Result<(), SourceError> {
        in_time(delivery.double_ack()).await
    }

    async fn defer(
        &self,
        Delivery(delivery): &Delivery,
        delay: Duration,
    ) -> Result<(), SourceError> {
        let delay = delay.min(LONGEST_DELAY);
        in_time(delivery.double_ack_with(AckKind::Nak(Some(delay)))).await
    }

    async fn dead_letter(
        &self,
        Delivery(delivery): &Delivery,
        reason: &Reason,
    ) -> Result<(), SourceError> {
        let mut headers = HeaderMap::new();
        for (name, values) in delivery.headers.iter().flat_map(HeaderMap::iter) {
            // Headers of the server's own would say what to do with the copy.
            if !AsRef::<str>::as_ref(name).starts_with("Nats-") {
                values
                    .iter()
                    .for_each(|value| headers.append(name.clone(), value.clone()));
            }
        }
        headers.insert(REASON, reason.to_header().as_str());
        headers.insert(REASON_NAME, reason.name());
        headers.insert(SUBJECT, delivery.subject.as_str());
        // Within the stream's window a second copy of one dead letter is dropped.
        if let Some(id) = self.message(&Delivery(Arc::clone(delivery))).broker_id() {
            headers.insert(async_nats::header::NATS_MESSAGE_ID, id);
        }
        let (subject, body) = (self.dead_letters.clone(), delivery.payload.clone());
        let published = self.context.publish_with_headers(subject, headers, body);
        in_time(async { published.await?.await }).await?;
        in_time(delivery.double_ack_with(AckKind::Term)).await
    }

    fn extend_every(&self) -> Option<Duration> {
        Some(self.extend_every)
    }

    async fn extend(&self, Delivery(delivery): &Delivery) -> Result<(), SourceError> {
        in_time(delivery.ack_with(AckKind::Progress)).await
    }

    /// What was fetched and not handed out goes back at once.
    async fn close(&self) {
        let Some(mut batch) = self.batch.lock().await.take() else {
            return;
        };
        while let Some(Some(Ok(message))) = batch.next().now_or_never() {
            // One that fails comes again after `ack_wait`.
            let _ = in_time(message.ack_with(AckKind::Nak(None))).await;
        }
    }
}

/// Bounds a call: while the server is away, the client queues what it is given, and waits.
async fn in_time<T, E>(call: impl Future<Output = Result<T, E>>) -> Result<T, SourceError>
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    match timeout(EXPIRES, call).await {
        Ok(result) => result.map_err(SourceError::away),
        Err(elapsed) => Err(SourceError::away(elapsed)),
    }
}
