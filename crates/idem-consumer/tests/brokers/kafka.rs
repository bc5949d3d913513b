//! Kafka, on the *emulator* that its client library brings.

use std::{collections::BTreeSet, future::pending, sync::Mutex, time::Duration};

use idem_consumer::{
    Consumer, KeyFrom, Message, Reason, RunError, Source, SourceErrorKind, Summary, kafka,
};
use idem_core::{Context, Failure, Scope};
use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    message::{BorrowedMessage, Header, Headers as _, OwnedHeaders},
    mocking::MockCluster,
    producer::{DefaultProducerContext, FutureProducer, FutureRecord},
};
use tokio::{task::block_in_place, time::sleep};

use super::{
    KEY, Seen,
    cases::{Place, hold_on, quick},
    consumer, engine, in_time, watched,
};

type Cluster = MockCluster<'static, DefaultProducerContext>;

/// How long an answer of the emulator may take.
const ANSWER: Duration = Duration::from_secs(5);

/// A topic of one test on the shared cluster, and a group of the same name.
struct Topic {
    servers: String,
    producer: FutureProducer,
    name: &'static str,
}

impl Topic {
    /// One partition, unless said otherwise: then messages come in the order in which they were sent.
    async fn on(cluster: &Cluster, name: &'static str) -> Self {
        Self::with_partitions(cluster, name, 1)
    }

    fn with_partitions(cluster: &Cluster, name: &'static str, partitions: i32) -> Self {
        cluster.create_topic(name, partitions, 1).unwrap();
        cluster.create_topic(&format!("{name}.dead"), 1, 1).unwrap();
        let servers = cluster.bootstrap_servers();
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &servers);
        Self {
            producer: config.create().unwrap(),
            servers,
            name,
        }
    }

    fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.servers)
            .set("group.id", self.name)
            .set("auto.offset.reset", "earliest")
            // The emulator rebalances a group a second before this is over.
            .set("session.timeout.ms", "4000")
            .set("heartbeat.interval.ms", "500")
            .set("auto.commit.interval.ms", "200")
            .set("enable.auto.offset.store", "false");
        config
    }

    fn subscribe(&self, config: &ClientConfig) -> kafka::Topics {
        let dead = format!("{}.dead", self.name);
        kafka::Topics::subscribe(config, &[self.name], self.producer.clone(), dead).unwrap()
    }

    async fn publish_to(&self, partition: i32, keys: &[&str], body: &str) {
        let mut headers = OwnedHeaders::new();
        for key in keys {
            let value = Some(*key);
            headers = headers.insert(Header { key: KEY, value });
        }
        let record = FutureRecord::to(self.name).partition(partition);
        let record = record.headers(headers).payload(body).key("customer-1");
        self.producer.send(record, ANSWER).await.unwrap();
    }

    /// Where the group goes on after a restart.
    fn committed(&self, partition: i32) -> i64 {
        block_in_place(|| {
            let reader: BaseConsumer = self.config().create().unwrap();
            let mut list = TopicPartitionList::new();
            list.add_partition(self.name, partition);
            let list = reader.committed_offsets(list, ANSWER).unwrap();
            match list.elements()[0].offset() {
                Offset::Offset(offset) => offset,
                _ => 0,
            }
        })
    }

    fn end(&self, topic: &str, partition: i32) -> i64 {
        block_in_place(|| {
            let reader: BaseConsumer = self.config().create().unwrap();
            reader.fetch_watermarks(topic, partition, ANSWER).unwrap().1
        })
    }
}

impl Place for Topic {
    type Source = kafka::Topics;

    const TWO_KEYS: bool = true;

    async fn source(&self) -> kafka::Topics {
        self.subscribe(&self.config())
    }

    async fn publish(&self, keys: &[&str], body: &str) {
        self.publish_to(0, keys, body).await;
    }

    async fn left(&self) -> u64 {
        (self.end(self.name, 0) - self.committed(0))
            .try_into()
            .unwrap()
    }

    async fn dead_letters(&self) -> Vec<(String, String)> {
        let topic = format!("{}.dead", self.name);
        let end = self.end(&topic, 0);
        block_in_place(|| {
            let reader: BaseConsumer = self.config().create().unwrap();
            let mut list = TopicPartitionList::new();
            list.add_partition_offset(&topic, 0, Offset::Beginning)
                .unwrap();
            reader.assign(&list).unwrap();
            let mut found = Vec::new();
            while found.len() < usize::try_from(end).unwrap() {
                let letter = reader.poll(ANSWER).expect("in time").unwrap();
                assert_eq!(letter.key(), Some(&b"customer-1"[..]));
                found.push((
                    header(&letter, kafka::REASON_NAME),
                    header(&letter, kafka::REASON),
                ));
            }
            found.sort();
            found
        })
    }
}

fn header(letter: &BorrowedMessage<'_>, name: &str) -> String {
    let headers = letter.headers().unwrap();
    let header = headers.iter().find(|header| header.key == name).unwrap();
    String::from_utf8(header.value.unwrap().to_vec()).unwrap()
}

/// One emulator for all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_one_emulator() {
    let cluster = MockCluster::new(1).unwrap();
    tokio::join!(
        hold_on(|name| Topic::on(&cluster, name)),
        a_handler_that_lasts_longer_than_the_poll_interval_is_delivered_once(&cluster),
        a_deferred_message_holds_the_offset_back_and_a_full_partition_waits_for_it(&cluster),
        what_was_revoked_is_worked_off_by_its_new_owner(&cluster),
        configurations_that_lose_messages_are_refused(&cluster),
        a_dead_letter_that_has_no_room_for_its_reason_goes_without(&cluster),
    );
}

async fn a_handler_that_lasts_longer_than_the_poll_interval_is_delivered_once(cluster: &Cluster) {
    let topic = Topic::on(cluster, "long").await;
    topic.publish(&["a"], "x").await;
    let mut config = topic.config();
    config.set("max.poll.interval.ms", "4000");
    let seen = Seen::default();
    let scope = Scope::new("orders").unwrap();
    // All who could take a message are busy.
    let builder = Consumer::builder(engine(), scope, KeyFrom::header(KEY)).concurrency(1);
    let consumer = watched(builder, &seen);
    let long = |_: Context, _: Message| async {
        sleep(Duration::from_secs(6)).await;
        Ok::<_, Failure<String>>(())
    };
    let stop = seen.at_least("done", 1);
    let run = consumer.run(topic.subscribe(&config), long, stop);
    let summary = in_time(run).await.unwrap();
    let Summary {
        done,
        deferred,
        repeats,
        unsettled,
        ..
    } = summary;
    assert_eq!((done, deferred, repeats, unsettled), (1, 0, 0, 0));
    assert_eq!(topic.left().await, 0);
}

async fn a_deferred_message_holds_the_offset_back_and_a_full_partition_waits_for_it(
    cluster: &Cluster,
) {
    let topic = Topic::on(cluster, "window").await;
    for n in 0..20 {
        topic.publish(&[&n.to_string()], "x").await;
    }
    let source = topic.source().await.window(8);
    let mut out = Vec::new();
    for _ in 0..8 {
        out.push(in_time(source.next(1)).await.unwrap().unwrap());
    }
    // The first one is put off, the others are done.
    source
        .defer(&out[0], Duration::from_millis(1500))
        .await
        .unwrap();
    for delivery in &out[1..] {
        source.ack(delivery).await.unwrap();
    }
    let again = in_time(source.next(1)).await.unwrap().unwrap();
    let id = |delivery| source.message(delivery).broker_id().unwrap().to_owned();
    assert_eq!(id(&again), "window/0/0");
    source.ack(&again).await.unwrap();
    let next = in_time(source.next(1)).await.unwrap().unwrap();
    assert_eq!(id(&next), "window/0/8");
    source.close().await;
    assert_eq!(topic.committed(0), 8);
    // What is settled while the run is drained is committed as well.
    source.ack(&next).await.unwrap();
    assert_eq!(topic.committed(0), 9);
}

async fn what_was_revoked_is_worked_off_by_its_new_owner(cluster: &Cluster) {
    let topic = Topic::with_partitions(cluster, "rebalance", 2);
    for partition in 0..2 {
        topic.publish_to(partition, &[], "x").await;
    }
    let first = topic.source().await;
    let mut out = Vec::new();
    for _ in 0..2 {
        out.push(in_time(first.next(2)).await.unwrap().unwrap());
    }
    let id = |delivery| first.message(delivery).broker_id().unwrap().to_owned();
    let expected: BTreeSet<String> = out.iter().map(id).collect();
    // Another member comes. How often the group is rebalanced then is up to the emulator.
    let second = topic.source().await;
    let came = Mutex::default();
    let both_committed = async {
        while topic.committed(0) + topic.committed(1) < 2 {
            sleep(Duration::from_millis(100)).await;
        }
    };
    in_time(async {
        tokio::select! {
            () = both_committed => {}
            () = acknowledge_all(&first, &came) => {}
            () = acknowledge_all(&second, &came) => {}
        }
    })
    .await;
    // They came again, with the ids that they had.
    assert_eq!(came.into_inner().unwrap(), expected);
    for delivery in &out {
        let error = first.ack(delivery).await.unwrap_err();
        assert!(error.to_string().contains("revoked"), "{error}");
        assert_eq!(error.kind(), SourceErrorKind::Away);
        first.defer(delivery, ANSWER).await.unwrap_err();
    }
}

async fn acknowledge_all(source: &kafka::Topics, came: &Mutex<BTreeSet<String>>) {
    loop {
        let delivery = source.next(1).await.unwrap().unwrap();
        let id = source.message(&delivery).broker_id().unwrap().to_owned();
        came.lock().unwrap().insert(id);
        // It fails if the partition was revoked meanwhile.
        let _ = source.ack(&delivery).await;
    }
}

/// Else it would be deferred for ever, and its partition with it. No delay is too long to be kept, either.
async fn a_dead_letter_that_has_no_room_for_its_reason_goes_without(cluster: &Cluster) {
    let topic = Topic::on(cluster, "large").await;
    // The client takes a million bytes, the headers among them.
    let body = "x".repeat(1_000_000 - 200);
    topic.publish(&["a"], &body).await;
    let source = topic.source().await;
    let delivery = in_time(source.next(1)).await.unwrap().unwrap();
    let reason = Reason::Failed {
        error: "y".repeat(500),
        replayed: false,
    };
    in_time(source.dead_letter(&delivery, &reason))
        .await
        .unwrap();
    block_in_place(|| {
        let reader: BaseConsumer = topic.config().create().unwrap();
        let mut list = TopicPartitionList::new();
        let first = Offset::Beginning;
        list.add_partition_offset("large.dead", 0, first).unwrap();
        reader.assign(&list).unwrap();
        let letter = reader.poll(ANSWER).expect("in time").unwrap();
        let names: Vec<_> = letter.headers().unwrap().iter().map(|it| it.key).collect();
        assert_eq!(names, [KEY, kafka::PLACE]);
    });
    topic.publish(&["b"], "x").await;
    let delivery = in_time(source.next(1)).await.unwrap().unwrap();
    source.defer(&delivery, Duration::MAX).await.unwrap();
    in_time(source.close()).await;
    assert_eq!(topic.committed(0), 1);
}

async fn configurations_that_lose_messages_are_refused(cluster: &Cluster) {
    let topic = Topic::on(cluster, "refused").await;
    for (name, value, expected) in [
        ("enable.auto.offset.store", None, "set it to `false`"),
        ("enable.auto.commit", Some("false"), "leave it on"),
        ("auto.commit.interval.ms", Some("0"), "leave it at 5000"),
        ("group.id", None, "no `group.id`"),
        (
            "bootstrap.servers.",
            Some("x"),
            "No such configuration property",
        ),
    ] {
        let mut config = topic.config();
        match value {
            Some(value) => config.set(name, value),
            None => config.remove(name),
        };
        let producer = topic.producer.clone();
        let refused = kafka::Topics::subscribe(&config, &["refused"], producer, "dead");
        let error = refused.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(error.kind(), SourceErrorKind::Config);
    }
    let producer = topic.producer.clone();
    let refused = kafka::Topics::subscribe(&topic.config(), &["a", "b"], producer, "b");
    let error = refused.unwrap_err().to_string();
    assert!(error.contains("is consumed here too"), "{error}");
    let mut config = topic.config();
    config.set("allow.auto.create.topics", "false");
    let source = kafka::Topics::subscribe(&config, &["nowhere"], topic.producer.clone(), "dead");
    let run = consumer(&engine(), &Seen::default());
    let run = run.run(source.unwrap(), quick, pending());
    let error = in_time(run).await.unwrap_err();
    assert!(matches!(error, RunError::Source(_)), "{error}");
}
