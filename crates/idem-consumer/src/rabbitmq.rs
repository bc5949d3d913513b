//! RabbitMQ: a queue as a [`Source`].
//!
//! | verdict | what the adapter does |
//! |---|---|
//! | acknowledge | `basic.ack` |
//! | defer | holds the message unacknowledged for the delay, then `basic.nack` with `requeue` |
//! | dead letter | publishes to the queue for dead letters, waits for the confirm, then acknowledges |
//! | handler runs | nothing: RabbitMQ has no way to extend. Its `consumer_timeout` (30 minutes unless set) must be longer than any handler runs |
//!
//! # How a message is delayed
//! RabbitMQ has no "nack with delay", and a `basic.nack` alone brings a message back at once: a hot loop.
//! The usual detour is a retry queue whose messages expire and are dead-lettered back. It was built here
//! first, and lost to the test that kills the node: dead-lettering is *at most once* from a classic queue,
//! and quorum queues with *at least once* dead-lettering were left without a leader by `kill -9`
//! (RabbitMQ 3.10.8), with the messages inside. A message that is held never leaves its queue: if the
//! worker or the node is killed, it is delivered again at once.
//!
//! The price is a place of the [`prefetch`](Queue::prefetch) for each message that is held. And a quorum
//! queue counts each return towards its `delivery-limit` (20 unless set, from RabbitMQ 4.0 on), past which
//! it drops the message or dead-letters it: set `x-delivery-limit` to -1, attempts are bounded by the
//! engine's policy.
//!
//! A delay of more than five minutes is cut to five: the message comes back and is deferred again.
//!
//! A worker that is killed between the publish of a dead letter and its acknowledgement leaves a second
//! copy: dead letters come at least once.

mod copy;
mod link;

use std::{fmt, pin::Pin, time::Duration};

use futures_util::StreamExt as _;
use lapin::{
    Acker, Channel, Confirmation, Connection, ConnectionProperties,
    message::Delivery as Received,
    options::{BasicAckOptions, BasicNackOptions, BasicPublishOptions},
};
use tokio::{
    sync::{Mutex, watch},
    task::JoinSet,
    time::sleep,
};

use crate::{Message, Reason, Source, SourceError, source::within};

use link::Link;

pub use copy::{REASON, REASON_NAME};

/// How long the broker may take to answer, unless set.
const ANSWERED: Duration = Duration::from_secs(10);
/// How long a message is held at most: far below the broker's `consumer_timeout`.
const HELD: Duration = Duration::from_secs(5 * 60);

type Connecting = Pin<Box<dyn Future<Output = lapin::Result<Connection>> + Send>>;

/// A queue of RabbitMQ, consumed over a connection of its own that is made anew when it breaks.
///
/// The queue has to be there, and should be durable. The queue for dead letters is declared: `orders.dead`
/// for a queue `orders`.
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
    answered: Duration,
    held: Mutex<JoinSet<()>>,
    closed: watch::Sender<bool>,
    link: Mutex<Option<Link>>,
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
            prefetch: 64,
            answered: ANSWERED,
            held: Mutex::default(),
            closed: watch::Sender::new(false),
            link: Mutex::default(),
        }
    }

    /// How many unacknowledged messages the broker hands to this worker; 64 unless set. Set it to the
    /// consumer's concurrency, and as much on top as may be put off at once. What is fetched and does not
    /// start is kept from other workers.
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

    /// How long the broker may take to answer: to a connection with all that is set up on it, a confirm,
    /// an acknowledgement, a cancel; 10 s unless set. After that it counts as away. A connection that
    /// breaks without a word is noticed by the heartbeats besides.
    #[must_use]
    pub fn answer_timeout(mut self, timeout: Duration) -> Self {
        self.answered = timeout;
        self
    }

    /// Publishes a dead letter, and returns once the broker has it safe.
    async fn place_dead_letter(
        &self,
        delivery: &Delivery,
        reason: &Reason,
    ) -> Result<(), SourceError> {
        let properties = copy::dead_letter(&delivery.received, reason);
        let options = BasicPublishOptions {
            // One that reaches no queue comes back instead of being dropped.
            mandatory: true,
            ..BasicPublishOptions::default()
        };
        let published = async {
            let body = &delivery.received.data;
            let placing = &delivery.placing;
            let queue = self.dead_letters.as_str().into();
            let sent = placing.basic_publish("".into(), queue, options, body, properties);
            sent.await?.await
        };
        match within(self.answered, async {
            published.await.map_err(SourceError::away)
        })
        .await?
        {
            Confirmation::Ack(None) => Ok(()),
            _ => Err(SourceError::away(format!(
                "the queue `{}` did not take it",
                self.dead_letters
            ))),
        }
    }

    async fn acknowledge(&self, delivery: &Delivery) -> Result<(), SourceError> {
        let told = delivery.received.acker.ack(BasicAckOptions::default());
        within(self.answered, async { settled(told.await) }).await
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("name", &self.name)
            .field("prefetch", &self.prefetch)
            .field("dead_letters", &self.dead_letters)
            .finish_non_exhaustive()
    }
}

/// One delivery of a message.
#[derive(Debug)]
pub struct Delivery {
    received: Received,
    placing: Channel,
}

async fn requeue(acker: &Acker) -> Result<(), SourceError> {
    let options = BasicNackOptions {
        requeue: true,
        ..BasicNackOptions::default()
    };
    settled(acker.nack(options).await)
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
            None => held.insert(within(self.answered, self.open()).await?),
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
        self.acknowledge(delivery).await
    }

    async fn defer(&self, delivery: &Delivery, delay: Duration) -> Result<(), SourceError> {
        let acker = delivery.received.acker.clone();
        let mut closed = self.closed.subscribe();
        let longest = self.answered;
        let mut held = self.held.lock().await;
        while held.try_join_next().is_some() {}
        held.spawn(async move {
            tokio::select! {
                () = sleep(delay.min(HELD)) => {}
                _ = closed.wait_for(|closed| *closed) => {}
            }
            // An error means that the channel is gone, and the message is back already.
            let _ = within(longest, requeue(&acker)).await;
        });
        Ok(())
    }

    async fn dead_letter(&self, delivery: &Delivery, reason: &Reason) -> Result<(), SourceError> {
        self.place_dead_letter(delivery, reason).await?;
        self.acknowledge(delivery).await
    }

    /// What was fetched and not handed out, and what is held, goes back at once. Where the broker does
    /// not answer, it goes back with the connection.
    async fn close(&self) {
        let mut link = self.link.lock().await;
        if let Some(link) = &mut *link {
            // An error means that the channel is gone, and the messages are back already.
            let _ = within(self.answered, link.give_back()).await;
        }
        self.closed.send_replace(true);
        let mut held = self.held.lock().await;
        while held.join_next().await.is_some() {}
    }
}
