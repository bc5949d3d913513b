//! Kafka: the topics of a consumer group as a [`Source`].
//!
//! | verdict | what the adapter does |
//! |---|---|
//! | acknowledge | stores the offset, once every earlier message of the partition is settled |
//! | defer | holds the message for the delay, and has the handler take it again |
//! | dead letter | produces to the topic for dead letters, waits until the broker has it, then acknowledges |
//! | handler runs | polls with its partitions paused, so that `max.poll.interval.ms` does not run out and a rebalance is not kept waiting |
//!
//! # What is committed
//! Kafka has no acknowledgement of one message: a group commits one offset per partition, and takes all that
//! is before it for done. So a message that is deferred holds its partition's offset back, while later
//! messages are worked off. After a restart or a rebalance those come again, and are acknowledged without
//! running. How many they may be is the [`window`](Topics::window): a partition with so many is paused until
//! half of them are settled.
//!
//! The library commits the stored offsets every `auto.commit.interval.ms` and when a partition is revoked.
//! When the run is stopped, the adapter commits.
//!
//! # Rebalance
//! What was revoked is not acknowledged any more, and what is held of it is dropped: the partition's new
//! owner gets those messages. A handler that runs for one is not stopped. Its record tells the new owner that
//! the message is in flight, or done.

mod assigned;
mod config;
mod context;
mod record;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rdkafka::{
    ClientConfig, ClientContext,
    client::DefaultClientContext,
    consumer::{CommitMode, Consumer as _, StreamConsumer},
    error::{KafkaError, RDKafkaErrorCode},
    producer::{FutureProducer, FutureRecord},
    topic_partition_list::Offset,
};
use tokio::{
    runtime::Handle,
    sync::{Mutex, Notify},
    task::spawn_blocking,
    time::{Instant, sleep_until, timeout},
};

use crate::{Message, Reason, Source, SourceError};

use assigned::Place;
use context::{Context, Shared, list, places};
use record::Record;

pub use record::{PLACE, REASON, REASON_NAME, RECORD_KEY};

/// How long the broker may take to confirm a dead letter, or a commit.
const CONFIRMED: Duration = Duration::from_secs(10);
/// How often it polls while nobody waits for a message, at the least.
const POLL: Duration = Duration::from_secs(5);
/// How long such a poll waits for what is there.
const GLANCE: Duration = Duration::from_millis(50);
/// How long a message is put off at most: points in time have an end.
const LONGEST_DELAY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
/// How many messages of a partition may be out.
const WINDOW: usize = 1024;

/// Topics, consumed as a member of a group.
///
/// The client is made from the caller's configuration. It is refused if messages were lost under it: set
/// `enable.auto.offset.store` to `false`, which is not the library's default, and leave `enable.auto.commit`
/// on. Set `auto.offset.reset` to `earliest`, else a new group begins with the next message.
///
/// TLS and SASL are features of `rdkafka`: add it to your dependencies with those that you need.
///
/// ```no_run
/// use idem_consumer::{Consumer, Message, kafka::Topics};
/// use idem_core::{Context, Failure};
/// use rdkafka::{ClientConfig, producer::FutureProducer};
///
/// async fn pack(context: Context, message: Message) -> Result<(), Failure<String>> {
///     println!("{} bytes under {}", message.body().len(), context.key());
///     Ok(())
/// }
///
/// # async fn example(consumer: Consumer) -> Result<(), Box<dyn std::error::Error>> {
/// let mut config = ClientConfig::new();
/// config.set("bootstrap.servers", "localhost:9092");
/// let producer: FutureProducer = config.create()?;
/// config
///     .set("group.id", "packing")
///     .set("auto.offset.reset", "earliest")
///     .set("enable.auto.offset.store", "false");
/// let orders = Topics::subscribe(&config, &["orders"], producer, "orders.dead")?;
/// let stop = async { /* a signal */ };
/// consumer.run(orders, pack, stop).await?;
/// # Ok(()) }
/// ```
pub struct Topics<C: ClientContext + 'static = DefaultClientContext> {
    consumer: Arc<StreamConsumer<Context<C>>>,
    shared: Shared,
    producer: FutureProducer<C>,
    dead_letters: String,
    window: usize,
    poll_every: Duration,
    /// Held by whoever polls the client: when it last did.
    polled: Mutex<Instant>,
    /// Told when a message is held that [`next`](Source::next) does not know of.
    held: Notify,
    closed: AtomicBool,
}

impl Topics {
    /// Subscribes to topics, or to patterns that begin with `^`. Dead letters go to the topic
    /// `dead_letters`, which none of them may match, by the producer, which has to wait for all replicas:
    /// `acks=all`, as it does unless set.
    ///
    /// # Errors
    /// [`SourceError`] when there is no `group.id`, when `enable.auto.offset.store` is on, when
    /// `enable.auto.commit` is off, when `dead_letters` is one of the topics, when the library refuses the
    /// configuration, or outside of a runtime of tokio.
    pub fn subscribe(
        config: &ClientConfig,
        topics: &[&str],
        producer: FutureProducer,
        dead_letters: impl Into<String>,
    ) -> Result<Self, SourceError> {
        Self::subscribe_with(DefaultClientContext, config, topics, producer, dead_letters)
    }
}

impl<C: ClientContext + 'static> Topics<C> {
    /// [`subscribe`](Topics::subscribe) with a context of the caller's, for OAUTHBEARER tokens, logs and
    /// statistics.
    ///
    /// # Errors
    /// As [`subscribe`](Topics::subscribe).
    pub fn subscribe_with(
        context: C,
        config: &ClientConfig,
        topics: &[&str],
        producer: FutureProducer<C>,
        dead_letters: impl Into<String>,
    ) -> Result<Self, SourceError> {
        let checked = config::check(config)?;
        let dead_letters = dead_letters.into();
        if topics.contains(&&*dead_letters) {
            return Err(SourceError::config(
                "the topic for dead letters is consumed here too, so they would go round for ever",
            ));
        }
        // The client starts a task.
        Handle::try_current().map_err(SourceError::config)?;
        let shared = Shared::default();
        let context = Context {
            inner: context,
            shared: shared.clone(),
        };
        let consumer: StreamConsumer<Context<C>> = config
            .create_with_context(context)
            .map_err(SourceError::config)?;
        consumer.subscribe(topics).map_err(SourceError::config)?;
        Ok(Self {
            consumer: Arc::new(consumer),
            shared,
            producer,
            dead_letters,
            window: WINDOW,
            poll_every: POLL.min(checked.max_poll_interval / 3),
            polled: Mutex::new(Instant::now()),
            held: Notify::new(),
            closed: AtomicBool::new(false),
        })
    }

    /// How many messages of a partition may be out, from the oldest that is not settled on; 1024 unless
    /// set, at least 2. A partition with so many is paused. More means that a deferred message stops the
    /// others later, that more of them are in memory, and that more messages come again after a restart.
    #[must_use]
    pub fn window(mut self, messages: usize) -> Self {
        self.window = messages.max(2);
        self
    }

    fn take(&self, record: Record) -> Arc<Record> {
        let place = record.place();
        // Held until it is paused: whoever settles the oldest message resumes it after that.
        let mut assigned = self.shared.lock();
        let (record, fills) = assigned.take(record, self.window);
        if fills {
            tracing::debug!(
                topic = &*place.0,
                partition = place.1,
                "it is full, and paused"
            );
            self.pause(&[place]);
        }
        record
    }

    /// A partition that is not paused, or was revoked meanwhile, costs memory and no message.
    fn pause(&self, places: &[Place]) {
        if let Err(error) = self.consumer.pause(&list(places)) {
            tracing::warn!(%error, "partitions were not paused");
        }
    }

    fn resume(&self, places: &[Place]) -> Result<(), SourceError> {
        if places.is_empty() {
            return Ok(());
        }
        let resumed = self.consumer.resume(&list(places));
        resumed.map_err(SourceError::away)
    }

    /// Pauses what is assigned, for nobody waits for a message.
    fn rest(&self) -> Result<(), SourceError> {
        let all = places(&self.consumer.assignment().map_err(SourceError::away)?);
        let places = self.shared.lock().rest(all.into_iter());
        if !places.is_empty() {
            self.pause(&places);
        }
        Ok(())
    }

    async fn settle(&self, record: &Record) -> Result<(), SourceError> {
        {
            // Held until the offset is stored: of two, the later one must be stored last.
            let mut assigned = self.shared.lock();
            let settled = assigned.settle(record, self.window).ok_or_else(revoked)?;
            if settled.has_room
                && let Err(error) = self.resume(&[record.place()])
            {
                tracing::warn!(%error, "a partition was not resumed");
                // It is when somebody waits for a message again.
                assigned.rest(std::iter::once(record.place()));
            }
            if let Some(offset) = settled.store {
                self.store(record, offset)?;
            }
        }
        if self.closed.load(Ordering::Acquire) {
            self.commit().await?;
        }
        Ok(())
    }

    fn store(&self, record: &Record, offset: i64) -> Result<(), SourceError> {
        let mut list = list(&[record.place()]);
        let set = list.set_all_offsets(Offset::Offset(offset));
        set.and_then(|()| self.consumer.store_offsets(&list))
            .map_err(SourceError::away)
    }

    /// Commits what is stored, and waits for the broker.
    async fn commit(&self) -> Result<(), SourceError> {
        let consumer = Arc::clone(&self.consumer);
        let committing = spawn_blocking(move || consumer.commit_consumer_state(CommitMode::Sync));
        match timeout(CONFIRMED, committing).await {
            // Nothing is stored that is not committed.
            Ok(Ok(Ok(()) | Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)))) => Ok(()),
            Ok(Ok(Err(error))) => Err(SourceError::away(error)),
            Ok(Err(error)) => Err(SourceError::away(error)),
            Err(elapsed) => Err(SourceError::away(elapsed)),
        }
    }

    async fn place_dead_letter(&self, record: &Record, reason: &Reason) -> Result<(), SourceError> {
        match self.produce(record, Some(reason)).await {
            // The reason may be what is too much: it would be deferred for ever.
            Err(error)
                if error.rdkafka_error_code() == Some(RDKafkaErrorCode::MessageSizeTooLarge) =>
            {
                let produced = self.produce(record, None).await;
                produced.map_err(SourceError::away)?;
                tracing::warn!(%reason, "Kafka took a dead letter only without its reason");
                Ok(())
            }
            produced => produced.map_err(SourceError::away),
        }
    }

    async fn produce(&self, record: &Record, reason: Option<&Reason>) -> Result<(), KafkaError> {
        // The time stays out: a topic drops what is older than its retention.
        let mut letter: FutureRecord<'_, [u8], [u8]> =
            FutureRecord::to(&self.dead_letters).headers(record.dead_letter_headers(reason));
        letter.key = record.key();
        letter.payload = record.payload();
        match timeout(CONFIRMED, self.producer.send(letter, CONFIRMED)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err((error, _))) => Err(error),
            Err(_) => Err(KafkaError::MessageProduction(
                RDKafkaErrorCode::OperationTimedOut,
            )),
        }
    }

    /// Polls for a moment, for a member of the group has to. What comes is handed out as soon as there is
    /// room.
    async fn glance(&self, polled: &mut Instant) -> Result<(), SourceError> {
        while let Ok(received) = timeout(GLANCE, self.consumer.recv()).await {
            let record = match received {
                Ok(message) => Record::read(&message),
                Err(KafkaError::PartitionEOF(_)) => continue,
                Err(error) => return Err(receiving(error)),
            };
            let record = self.take(record);
            self.shared.lock().hold(record, Instant::now());
        }
        *polled = Instant::now();
        Ok(())
    }
}

fn revoked() -> SourceError {
    SourceError::away("its partition was revoked")
}

/// Errors that do not pass by themselves end the run.
fn receiving(error: KafkaError) -> SourceError {
    match error {
        KafkaError::MessageConsumptionFatal(_)
        | KafkaError::MessageConsumption(
            RDKafkaErrorCode::UnknownTopicOrPartition
            | RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::GroupAuthorizationFailed,
        ) => SourceError::config(error),
        _ => SourceError::away(error),
    }
}

impl<C: ClientContext + 'static> fmt::Debug for Topics<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Topics")
            .field("dead_letters", &self.dead_letters)
            .field("window", &self.window)
            .finish_non_exhaustive()
    }
}

/// One delivery of a message.
#[derive(Debug)]
pub struct Delivery(Arc<Record>);

impl<C: ClientContext + 'static> Source for Topics<C> {
    type Delivery = Delivery;

    async fn next(&self, _room: usize) -> Result<Option<Delivery>, SourceError> {
        let mut polled = self.polled.lock().await;
        // Held messages alone could keep it from polling for as long as they last.
        if polled.elapsed() >= self.poll_every && self.shared.lock().has_due(Instant::now()) {
            self.rest()?;
            self.glance(&mut polled).await?;
        }
        // What rests is resumed by the next call where this one fails.
        let resting = self.shared.lock().wake();
        if let Err(error) = self.resume(&resting) {
            self.shared.lock().rest(resting.into_iter());
            return Err(error);
        }
        loop {
            let due = match self.shared.lock().due(Instant::now()) {
                Ok(record) => return Ok(Some(Delivery(record))),
                Err(due) => due,
            };
            let until = due.unwrap_or_else(Instant::now);
            let received = tokio::select! {
                received = self.consumer.recv() => received,
                () = sleep_until(until), if due.is_some() => continue,
                () = self.held.notified() => continue,
            };
            *polled = Instant::now();
            match received {
                Ok(message) => {
                    let record = Record::read(&message);
                    return Ok(Some(Delivery(self.take(record))));
                }
                Err(KafkaError::PartitionEOF(_)) => {}
                Err(error) => return Err(receiving(error)),
            }
        }
    }

    /// The broker id is topic, partition and offset, as `orders/3/4711`: the same for each delivery, also
    /// to another member of the group, and another one when the publisher sends the message again. Headers
    /// without a value are left out.
    fn message(&self, Delivery(record): &Delivery) -> Message {
        record.message()
    }

    async fn ack(&self, Delivery(record): &Delivery) -> Result<(), SourceError> {
        self.settle(record).await
    }

    async fn defer(&self, Delivery(record): &Delivery, delay: Duration) -> Result<(), SourceError> {
        let mut assigned = self.shared.lock();
        if !assigned.is_ours(record) {
            return Err(revoked());
        }
        // After the end of the run it comes again, for its offset is not stored.
        if !self.closed.load(Ordering::Acquire) {
            let due = Instant::now() + delay.min(LONGEST_DELAY);
            assigned.hold(Arc::clone(record), due);
            self.held.notify_one();
        }
        Ok(())
    }

    async fn dead_letter(
        &self,
        Delivery(record): &Delivery,
        reason: &Reason,
    ) -> Result<(), SourceError> {
        // The partition's new owner comes to the same verdict.
        if !self.shared.lock().is_ours(record) {
            return Err(revoked());
        }
        self.place_dead_letter(record, reason).await?;
        self.settle(record).await
    }

    fn extend_every(&self) -> Option<Duration> {
        Some(self.poll_every)
    }

    async fn extend(&self, _: &Delivery) -> Result<(), SourceError> {
        // Whoever holds it polls.
        let Ok(mut polled) = self.polled.try_lock() else {
            return Ok(());
        };
        if polled.elapsed() < self.poll_every / 2 {
            return Ok(());
        }
        self.rest()?;
        self.glance(&mut polled).await
    }

    /// Nothing that is out or held is committed unless it was settled: it comes again, to whoever the
    /// partition is assigned to.
    async fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.shared.lock().forget_held();
        let closed = async {
            self.rest()?;
            self.commit().await
        };
        if let Err(error) = closed.await {
            tracing::warn!(%error, "the group's offsets were not committed");
        }
    }
}
