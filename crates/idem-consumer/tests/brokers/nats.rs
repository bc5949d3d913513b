//! NATS JetStream.

use std::time::Duration;

use async_nats::jetstream::{
    self,
    consumer::{AckPolicy, PullConsumer, pull},
    stream,
};
use idem_consumer::{Consumer, KeyFrom, Message, Source, nats};
use idem_core::{Context, Failure, Scope};
use idem_testbed::{Nats, skip_or_fail};
use tokio::time::sleep;

use super::{
    KEY, Seen,
    cases::{Place, hold_on, quick},
    consumer, engine, in_time,
    kills::{Jetstream, effects_are_once_though_workers_and_the_broker_are_killed},
    watched,
};

/// Streams of one test on the shared server.
struct Streams {
    jetstream: jetstream::Context,
    orders: stream::Stream,
    dead: stream::Stream,
    name: &'static str,
}

impl Streams {
    async fn on(server: &Nats, name: &'static str) -> Self {
        let client = async_nats::connect(server.url()).await.unwrap();
        let jetstream = jetstream::new(client);
        let stream = |name: String| stream::Config {
            name,
            retention: stream::RetentionPolicy::WorkQueue,
            ..stream::Config::default()
        };
        let orders = jetstream.create_stream(stream(name.to_owned())).await;
        let dead = jetstream
            .create_stream(stream(format!("dead-{name}")))
            .await;
        Self {
            orders: orders.unwrap(),
            dead: dead.unwrap(),
            jetstream,
            name,
        }
    }

    async fn pull(&self) -> PullConsumer {
        let config = pull::Config {
            durable_name: Some("packing".to_owned()),
            ack_wait: Duration::from_millis(1500),
            ..pull::Config::default()
        };
        self.orders
            .get_or_create_consumer("packing", config)
            .await
            .unwrap()
    }
}

impl Place for Streams {
    type Source = nats::JetStream;

    const TWO_KEYS: bool = true;

    async fn source(&self) -> nats::JetStream {
        let dead = format!("dead-{}", self.name);
        nats::JetStream::new(self.jetstream.clone(), self.pull().await, dead).unwrap()
    }

    async fn publish(&self, keys: &[&str], body: &str) {
        let mut headers = async_nats::HeaderMap::new();
        keys.iter().for_each(|key| headers.append(KEY, *key));
        let published =
            self.jetstream
                .publish_with_headers(self.name, headers, body.to_owned().into());
        published.await.unwrap().await.unwrap();
    }

    /// Neither waiting nor being worked on: with this kind of stream what is acknowledged is gone.
    async fn left(&self) -> u64 {
        self.orders.get_info().await.unwrap().state.messages
    }

    async fn dead_letters(&self) -> Vec<(String, String)> {
        let config = pull::Config {
            ack_policy: AckPolicy::Explicit,
            ..pull::Config::default()
        };
        let reader: PullConsumer = self.dead.create_consumer(config).await.unwrap();
        let mut found = Vec::new();
        let mut letters = reader.fetch().max_messages(100).messages().await.unwrap();
        while let Some(letter) = futures_util::StreamExt::next(&mut letters).await {
            let letter = letter.unwrap();
            let headers = letter.headers.as_ref().unwrap();
            found.push((
                headers.get(nats::REASON_NAME).unwrap().to_string(),
                headers.get(nats::REASON).unwrap().to_string(),
            ));
        }
        found.sort();
        found
    }
}

/// One server for all, which the last one kills.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_one_server() {
    let Some(server) = skip_or_fail(Nats::start().await) else {
        return;
    };
    tokio::join!(
        hold_on(|name| Streams::on(&server, name)),
        a_handler_that_lasts_longer_than_ack_wait_is_delivered_once(&server),
        the_broker_id_is_stable_over_redelivery(&server),
        consumers_that_lose_messages_are_refused(&server),
    );
    let broker = Jetstream::on(server).await;
    effects_are_once_though_workers_and_the_broker_are_killed(&broker).await;
}

async fn a_handler_that_lasts_longer_than_ack_wait_is_delivered_once(server: &Nats) {
    let streams = Streams::on(server, "long").await;
    streams.publish(&["a"], "x").await;
    let seen = Seen::default();
    let consumer = consumer(&engine(), &seen);
    let long = |_: Context, _: Message| async {
        sleep(Duration::from_secs(5)).await;
        Ok::<_, Failure<String>>(())
    };
    let stop = seen.at_least("done", 1);
    let summary = in_time(consumer.run(streams.source().await, long, stop))
        .await
        .unwrap();
    assert_eq!((summary.done, summary.deferred, summary.repeats), (1, 0, 0));
    assert_eq!(streams.left().await, 0);
}

async fn the_broker_id_is_stable_over_redelivery(server: &Nats) {
    let streams = Streams::on(server, "ids").await;
    streams.publish(&[], "x").await;
    streams.publish(&[], "x").await;
    let source = streams.source().await;
    let mut ids = Vec::new();
    for round in 0..2 {
        let mut both = Vec::new();
        for _ in 0..2 {
            let delivery = in_time(source.next(2)).await.unwrap().unwrap();
            both.push(source.message(&delivery).broker_id().unwrap().to_owned());
            match round {
                0 => source
                    .defer(&delivery, Duration::from_millis(50))
                    .await
                    .unwrap(),
                _ => source.ack(&delivery).await.unwrap(),
            }
        }
        both.sort();
        ids.push(both);
    }
    assert_eq!(ids[0], ids[1]);
    assert_ne!(ids[0][0], ids[0][1]);
    // And it is a key that can be used.
    streams.publish(&[], "x").await;
    let seen = Seen::default();
    let scope = Scope::new("orders").unwrap();
    let builder = Consumer::builder(engine(), scope, KeyFrom::broker_id());
    let consumer = watched(builder, &seen);
    let stop = seen.at_least("done", 1);
    in_time(consumer.run(source, quick, stop)).await.unwrap();
}

async fn consumers_that_lose_messages_are_refused(server: &Nats) {
    let streams = Streams::on(server, "refused").await;
    for (name, config, expected) in [
        (
            "bounded",
            pull::Config {
                max_deliver: 3,
                ..pull::Config::default()
            },
            "max_deliver",
        ),
        (
            "all",
            pull::Config {
                ack_policy: AckPolicy::All,
                ..pull::Config::default()
            },
            "Explicit",
        ),
    ] {
        let config = pull::Config {
            filter_subject: name.to_owned(),
            ..config
        };
        // A stream of this kind takes one consumer for each subject, and explicit acks alone.
        let stream = stream::Config {
            name: name.to_owned(),
            ..stream::Config::default()
        };
        let stream = streams.jetstream.create_stream(stream).await.unwrap();
        let consumer: PullConsumer = stream.create_consumer(config).await.unwrap();
        let refused = nats::JetStream::new(streams.jetstream.clone(), consumer, "dead");
        let error = refused.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}
