//! RabbitMQ: a queue as a [`Source`].
//!
//! | verdict | what the adapter does |
//! |---|---|
//! | acknowledge | `basic.ack` |
//! | defer | publishes to a retry queue, waits for the confirm, then acknowledges the original |
//! | dead letter | publishes to the queue for dead letters, waits for the confirm, then acknowledges |
//! | handler runs | nothing: RabbitMQ has no way to extend. Its `consumer_timeout` (30 minutes unless set) must be longer than any handler runs |
//!
//! # How a message is delayed
//! RabbitMQ has no "nack with delay". `basic.nack` with `requeue` brings a message back at once, which is
//! a hot loop, and counts towards the `delivery-limit` of a quorum queue, which then drops it. Holding the
//! message unacknowledged keeps a place of the prefetch for as long. So there is one retry queue for each
//! of a few delays: its messages expire all after the same time (with a time for each message, a long one
//! at the head would hold up the short ones behind it), and go back to the queue by dead-lettering. The
//! retry queues are quorum queues whose dead-lettering is *at least once* (RabbitMQ 3.10 or later): that of
//! classic queues loses messages when the node is killed at that moment.
//!
//! Between the publish and the acknowledgement there are two copies of one message. If the worker is
//! killed there, both are delivered, and the claim of their key has one of them run.

mod copy;
mod topology;

use std::{fmt, pin::Pin, time::Duration};

use futures_util::{FutureExt as _, StreamExt as _};
use lapin::{
    Channel, Confirmation, Connection, ConnectionProperties,
    message::Delivery as Received,
    options::{
        BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicNackOptions,
        BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
    },
    types::FieldTable,
};
use tokio::{
    sync::Mutex,
    time::{sleep, timeout},
};

use crate::{Message, Reason, Source, SourceError};

pub use copy::{REASON, REASON_NAME};

/// How long the broker may take to confirm a message.
const CONFIRMED: Duration = Duration::from_secs(10);
/// How long a message is held, at most, that could not be put into a retry queue.
const HELD: Duration = Duration::from_secs(5);

type Connecting = Pin<Box<dyn Future<Output = lapin::Result<Connection>> + Send>>;

/// A queue of RabbitMQ, consumed over a connection of its own that is made anew when it breaks.
///
/// The queue has to be there, and should be durable. The queues for retries and for dead letters are
/// declared: `orders.retry.5000` and so on, and `orders.dead` for a queue `orders`.
///
/// ```no_run
/// use idem_consumer::{Consumer, Message, rabbitmq::Queue};
/// use idem_core::{Context, Failure};
///
/// async fn pack(context: Context, message: Message) -> Result<(), Failure<String>> {
///     println!("{} bytes under {}", message.body().len(), context.key());
///     Ok(())
/// }
///
/// # async fn example(consumer: Consumer) -> Result<(), Box<dyn std::error::Error>> {
/// let orders = Queue::new("amqp://localhost:5672/%2f", "orders").prefetch(32);
/// let stop = async { /* a signal */ };
/// consumer.run(orders, pack, stop).await?;
/// # Ok(()) }
/// ```
pub struct Queue {
    connect: Box<dyn Fn() -> Connecting + Send + Sync>,
    name: String,
    prefetch: u16,
    dead_letters: String,
    delays: Vec<Duration>,
    link: Mutex<Option<Link>>,
}

/// What is there while the connection holds.
struct Link {
    taking: Channel,
    placing: Channel,
    consumer: lapin::Consumer,
    /// The channels close with it.
    _connection: Connection,
}

impl Queue {
    /// The queue `name` of the broker at `url`.
    #[must_use]
    pub fn new(url: impl Into<String>, name: impl Into<String>) -> Self {
        let url = url.into();
        Self::connecting(name, move || {
            let url = url.clone();
            async move { Connection::connect(&url, ConnectionProperties::default()).await }
        })
    }

    /// The queue `name` over connections that `connect` makes: for TLS, or properties of your own.
    #[must_use]
    pub fn connecting<F>(
        name: impl Into<String>,
        connect: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = lapin::Result<Connection>> + Send + 'static,
    {
        let name = name.into();
        Self {
            connect: Box::new(move || Box::pin(connect())),
            dead_letters: format!("{name}.dead"),
            name,
            prefetch: 16,
            delays: [1, 5, 15, 60, 300].map(Duration::from_secs).to_vec(),
            link: Mutex::default(),
        }
    }

    /// How many unacknowledged messages the broker hands to this worker; 16 unless set. Set it to the
    /// consumer's concurrency: what is fetched and does not start is kept from other workers.
    #[must_use]
    pub fn prefetch(mut self, messages: u16) -> Self {
        // Zero means without bound to the broker.
        self.prefetch = messages.max(1);
        self
    }

    /// The queue for dead letters; the queue's name with `.dead` unless set.
    #[must_use]
    pub fn dead_letters(mut self, queue: impl Into<String>) -> Self {
        self.dead_letters = queue.into();
        self
    }

    /// The delays for which there is a retry queue; 1 s, 5 s, 15 s, 1 min and 5 min unless set. A message
    /// is put off by the next longer one, or the longest.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn delays(mut self, delays: impl IntoIterator<Item = Duration>) -> Self {
        self.delays = delays.into_iter().collect();
        self.delays.sort_unstable();
        assert!(!self.delays.is_empty(), "there has to be a delay");
        self
    }

    async fn open(&self) -> Result<Link, SourceError> {
        let connection = (self.connect)().await.map_err(SourceError::away)?;
        let opened = async {
            let placing = connection.create_channel().await?;
            placing
                .confirm_select(ConfirmSelectOptions::default())
                .await?;
            self.declare(&placing).await?;
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
        let (placing, consumer, taking) = opened.await.map_err(topology::error)?;
        Ok(Link {
            taking,
            placing,
            consumer,
            _connection: connection,
        })
    }

    /// Publishes a copy of a delivery, and returns once the broker has it safe.
    async fn place(
        &self,
        delivery: &Delivery,
        queue: &str,
        reason: Option<&Reason>,
    ) -> Result<(), SourceError> {
        let properties = copy::properties(&delivery.received, reason);
        let options = BasicPublishOptions {
            // One that reaches no queue comes back instead of being dropped.
            mandatory: true,
            ..BasicPublishOptions::default()
        };
        let published = async {
            let body = &delivery.received.data;
            let placing = &delivery.placing;
            let sent = placing.basic_publish("".into(), queue.into(), options, body, properties);
            sent.await?.await
        };
        match timeout(CONFIRMED, published).await {
            Ok(Ok(Confirmation::Ack(None))) => Ok(()),
            Ok(Ok(_)) => Err(SourceError::away(format!(
                "the queue `{queue}` did not take it"
            ))),
            Ok(Err(error)) => Err(SourceError::away(error)),
            Err(elapsed) => Err(SourceError::away(elapsed)),
        }
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("name", &self.name)
            .field("prefetch", &self.prefetch)
            .field("dead_letters", &self.dead_letters)
            .field("delays", &self.delays)
            .finish_non_exhaustive()
    }
}

/// One delivery of a message.
#[derive(Debug)]
pub struct Delivery {
    received: Received,
    placing: Channel,
}

impl Delivery {
    async fn acknowledge(&self) -> Result<(), SourceError> {
        let acked = self.received.acker.ack(BasicAckOptions::default());
        settled(acked.await)
    }

    async fn requeue(&self) -> Result<(), SourceError> {
        let options = BasicNackOptions {
            requeue: true,
            ..BasicNackOptions::default()
        };
        settled(self.received.acker.nack(options).await)
    }
}

/// `false` means that the channel it came by is gone: the broker delivers the message again.
fn settled(told: lapin::Result<bool>) -> Result<(), SourceError> {
    match told {
        Ok(true) => Ok(()),
        Ok(false) => Err(SourceError::away("the channel it came by is gone")),
        Err(error) => Err(SourceError::away(error)),
    }
}

impl Source for Queue {
    type Delivery = Delivery;

    async fn next(&self, _room: usize) -> Result<Option<Delivery>, SourceError> {
        let mut held = self.link.lock().await;
        let link = match &mut *held {
            Some(link) => link,
            None => held.insert(self.open().await?),
        };
        match link.consumer.next().await {
            Some(Ok(received)) => Ok(Some(Delivery {
                received,
                placing: link.placing.clone(),
            })),
            Some(Err(error)) => {
                *held = None;
                Err(SourceError::away(error))
            }
            None => {
                *held = None;
                Err(SourceError::away("the broker cancelled the consumer"))
            }
        }
    }

    /// The broker id is the property `message_id`, which the publisher sets: RabbitMQ has no id of its own.
    fn message(&self, delivery: &Delivery) -> Message {
        copy::message(&delivery.received)
    }

    async fn ack(&self, delivery: &Delivery) -> Result<(), SourceError> {
        delivery.acknowledge().await
    }

    async fn defer(&self, delivery: &Delivery, delay: Duration) -> Result<(), SourceError> {
        let queue = topology::retry_queue(&self.name, self.level(delay));
        match self.place(delivery, &queue, None).await {
            Ok(()) => delivery.acknowledge().await,
            Err(error) => {
                tracing::warn!(queue, %error, "the retry queue did not take a message; it is held");
                // Unacknowledged it would stay with this worker for as long as the connection holds.
                sleep(delay.min(HELD)).await;
                delivery.requeue().await
            }
        }
    }

    async fn dead_letter(&self, delivery: &Delivery, reason: &Reason) -> Result<(), SourceError> {
        self.place(delivery, &self.dead_letters, Some(reason))
            .await?;
        delivery.acknowledge().await
    }

    /// What was fetched and not handed out goes back at once.
    async fn close(&self) {
        let mut held = self.link.lock().await;
        let Some(link) = &mut *held else {
            return;
        };
        let tag = link.consumer.tag();
        // An error means that the channel is gone, and the messages are back already.
        let _ = link
            .taking
            .basic_cancel(tag, BasicCancelOptions::default())
            .await;
        while let Some(Some(Ok(received))) = link.consumer.next().now_or_never() {
            let options = BasicNackOptions {
                requeue: true,
                ..BasicNackOptions::default()
            };
            let _ = received.acker.nack(options).await;
        }
    }
}
