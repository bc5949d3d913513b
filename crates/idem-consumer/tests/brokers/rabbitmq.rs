//! RabbitMQ.

use std::time::Duration;

use idem_consumer::{RunError, Source as _, SourceErrorKind, rabbitmq};
use idem_testbed::{RabbitMq, skip_or_fail};
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties,
    options::{
        BasicAckOptions, BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions,
        QueueDeclareOptions,
    },
    types::{AMQPValue, FieldTable},
};
use tokio::net::TcpListener;

use super::{
    KEY, Seen,
    cases::{Place, hold_on, quick},
    consumer, engine, in_time,
    kills::{Rabbit, effects_are_once_though_workers_and_the_broker_are_killed},
};

/// Far below the time that a client would otherwise wait.
const SHORT: Duration = Duration::from_secs(3);

/// Queues of one test on the shared node.
struct Queues {
    channel: Channel,
    name: &'static str,
    url: String,
    _connection: Connection,
}

impl Queues {
    async fn on(server: &RabbitMq, name: &'static str) -> Self {
        let url = server.url();
        let connection = Connection::connect(&url, ConnectionProperties::default())
            .await
            .unwrap();
        let channel = connection.create_channel().await.unwrap();
        channel
            .confirm_select(ConfirmSelectOptions::default())
            .await
            .unwrap();
        let options = QueueDeclareOptions::durable();
        channel
            .queue_declare(name.into(), options, FieldTable::default())
            .await
            .unwrap();
        Self {
            channel,
            name,
            url,
            _connection: connection,
        }
    }
}

impl Place for Queues {
    type Source = rabbitmq::Queue;

    const TWO_KEYS: bool = false;

    async fn source(&self) -> rabbitmq::Queue {
        // More than may start at once.
        rabbitmq::Queue::new(&self.url, self.name).prefetch(100)
    }

    async fn publish(&self, keys: &[&str], body: &str) {
        let mut properties = BasicProperties::default()
            .with_delivery_mode(2)
            // A dead letter must outlive this.
            .with_expiration("60000".into());
        if let [key] = keys {
            let mut headers = FieldTable::default();
            headers.insert(KEY.into(), AMQPValue::LongString((*key).into()));
            properties = properties.with_headers(headers);
        }
        let options = BasicPublishOptions::default();
        let (name, body) = (self.name.into(), body.as_bytes());
        let sent = self
            .channel
            .basic_publish("".into(), name, options, body, properties);
        assert!(sent.await.unwrap().await.unwrap().is_ack());
    }

    async fn left(&self) -> u64 {
        let options = QueueDeclareOptions {
            passive: true,
            ..QueueDeclareOptions::default()
        };
        let queue = self
            .channel
            .queue_declare(self.name.into(), options, FieldTable::default());
        queue.await.unwrap().message_count().into()
    }

    async fn dead_letters(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        let queue = format!("{}.dead", self.name);
        let get = || {
            self.channel
                .basic_get(queue.as_str().into(), BasicGetOptions::default())
        };
        while let Some(letter) = get().await.unwrap() {
            assert!(letter.properties.expiration().is_none());
            let headers = letter.properties.headers().clone().unwrap();
            let text = |name| match headers.inner().get(name) {
                Some(AMQPValue::LongString(text)) => text.to_string(),
                other => panic!("{other:?}"),
            };
            found.push((text(rabbitmq::REASON_NAME), text(rabbitmq::REASON)));
            letter.acker.ack(BasicAckOptions::default()).await.unwrap();
        }
        found.sort();
        found
    }
}

/// One node for all, which the last one kills.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_one_node() {
    let Some(server) = skip_or_fail(RabbitMq::start().await) else {
        return;
    };
    tokio::join!(
        hold_on(|name| Queues::on(&server, name)),
        a_queue_that_is_not_there_ends_the_run(&server),
    );
    a_broker_that_stands_still_holds_up_no_drain(&server).await;
    let broker = Rabbit::on(server).await;
    effects_are_once_though_workers_and_the_broker_are_killed(&broker).await;
}

async fn a_queue_that_is_not_there_ends_the_run(server: &RabbitMq) {
    let seen = Seen::default();
    let source = rabbitmq::Queue::new(server.url(), "nowhere");
    let run = consumer(&engine(), &seen);
    let error = in_time(run.run(source, quick, std::future::pending()))
        .await
        .unwrap_err();
    assert!(
        matches!(&error, RunError::Source(e) if e.to_string().contains("NOT_FOUND")),
        "{error}"
    );
}

/// It takes connections and says nothing, as one behind a broken network does.
#[tokio::test]
async fn a_broker_that_does_not_answer_is_away() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("amqp://{}/%2f", silent.local_addr().unwrap());
    let source = rabbitmq::Queue::new(url, "silent").answer_timeout(SHORT);
    let error = in_time(source.next(1)).await.unwrap_err();
    assert_eq!(error.kind(), SourceErrorKind::Away, "{error}");
    assert!(error.to_string().contains("no answer"), "{error}");
}

async fn a_broker_that_stands_still_holds_up_no_drain(server: &RabbitMq) {
    let queues = Queues::on(server, "still").await;
    queues.publish(&["a"], "x").await;
    let source = queues.source().await.answer_timeout(SHORT);
    let delivery = in_time(source.next(1)).await.unwrap().unwrap();
    source
        .defer(&delivery, Duration::from_secs(60))
        .await
        .unwrap();
    server.pause();
    in_time(source.close()).await;
    server.resume();
}
