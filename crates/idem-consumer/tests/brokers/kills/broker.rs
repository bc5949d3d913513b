//! A broker that is killed, and what its test wants of it.

use std::time::Duration;

use async_nats::jetstream::{
    self,
    consumer::{PullConsumer, pull},
    stream,
};
use idem_testbed::{Nats, RabbitMq, Server};
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties,
    options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable},
};
use tokio::{
    sync::Mutex,
    time::{sleep, timeout},
};

use super::super::KEY;

pub(crate) const JOBS: &str = "jobs";
pub(crate) const DEAD: &str = "jobs-dead";

/// How long an answer of a broker that may have been killed is waited for.
const ANSWER: Duration = Duration::from_secs(2);

pub(crate) trait Broker {
    fn name(&self) -> &'static str;
    fn url(&self) -> String;
    fn server(&self) -> &Server;
    /// Returns once the broker has confirmed it.
    async fn publish(&self, job: usize);
    /// Messages that no worker has.
    async fn waiting(&self) -> u64;
    /// All messages that are not done with. No worker is alive.
    async fn left(&self) -> u64;
    async fn dead_letters(&self) -> u64;
    /// Where messages are, for a test that failed.
    async fn describe(&self) -> String;
}

pub(crate) struct Jetstream {
    server: Nats,
    jetstream: jetstream::Context,
}

impl Jetstream {
    pub(crate) async fn on(server: Nats) -> Self {
        let jetstream = jetstream::new(async_nats::connect(server.url()).await.unwrap());
        for name in [JOBS, DEAD] {
            let config = stream::Config {
                name: name.to_owned(),
                // What is acknowledged is gone.
                retention: stream::RetentionPolicy::WorkQueue,
                ..stream::Config::default()
            };
            jetstream.create_stream(config).await.unwrap();
        }
        pull(&jetstream).await.unwrap();
        Self { server, jetstream }
    }

    async fn messages(&self, stream: &str) -> u64 {
        let stream = self.jetstream.get_stream(stream).await.unwrap();
        stream.get_info().await.unwrap().state.messages
    }
}

pub(crate) async fn pull(
    jetstream: &jetstream::Context,
) -> Result<PullConsumer, Box<dyn std::error::Error + Send + Sync>> {
    let config = pull::Config {
        durable_name: Some("workers".to_owned()),
        ack_wait: Duration::from_secs(3),
        ..pull::Config::default()
    };
    let stream = jetstream.get_stream(JOBS).await?;
    Ok(stream.get_or_create_consumer("workers", config).await?)
}

impl Broker for Jetstream {
    fn name(&self) -> &'static str {
        "nats"
    }

    fn url(&self) -> String {
        self.server.url()
    }

    fn server(&self) -> &Server {
        &self.server
    }

    async fn publish(&self, job: usize) {
        let publish = async || {
            let mut headers = async_nats::HeaderMap::new();
            headers.insert(KEY, job.to_string());
            let body = job.to_string().into();
            let sent = self.jetstream.publish_with_headers(JOBS, headers, body);
            sent.await.ok()?.await.ok()
        };
        while !matches!(timeout(ANSWER, publish()).await, Ok(Some(_))) {}
    }

    async fn waiting(&self) -> u64 {
        self.messages(JOBS).await
    }

    async fn left(&self) -> u64 {
        self.messages(JOBS).await
    }

    async fn dead_letters(&self) -> u64 {
        self.messages(DEAD).await
    }

    async fn describe(&self) -> String {
        let (jobs, dead) = (self.left().await, self.dead_letters().await);
        format!("{jobs} in the stream, {dead} dead")
    }
}

pub(crate) struct Rabbit {
    server: RabbitMq,
    channel: Mutex<Option<(Channel, Connection)>>,
}

impl Rabbit {
    pub(crate) async fn on(server: RabbitMq) -> Self {
        let rabbit = Self {
            server,
            channel: Mutex::default(),
        };
        let options = QueueDeclareOptions::durable();
        let channel = rabbit.channel().await.unwrap();
        let declared = channel.queue_declare(JOBS.into(), options, FieldTable::default());
        declared.await.unwrap();
        rabbit
    }

    async fn channel(&self) -> lapin::Result<Channel> {
        let mut held = self.channel.lock().await;
        match &*held {
            Some((channel, _)) if channel.status().connected() => Ok(channel.clone()),
            _ => {
                *held = None;
                let properties = ConnectionProperties::default();
                let connection = Connection::connect(&self.url(), properties).await?;
                let channel = connection.create_channel().await?;
                channel
                    .confirm_select(ConfirmSelectOptions::default())
                    .await?;
                *held = Some((channel.clone(), connection));
                Ok(channel)
            }
        }
    }

    /// Messages that wait, and workers.
    async fn look(&self, queue: &str) -> (u64, u32) {
        let options = QueueDeclareOptions {
            passive: true,
            ..QueueDeclareOptions::default()
        };
        loop {
            let channel = self.channel().await.unwrap();
            let look = channel.queue_declare(queue.into(), options, FieldTable::default());
            if let Ok(queue) = look.await {
                return (queue.message_count().into(), queue.consumer_count());
            }
            // The connection is from before the last kill.
            *self.channel.lock().await = None;
        }
    }

    async fn try_publish(&self, job: usize) -> lapin::Result<bool> {
        let mut headers = FieldTable::default();
        headers.insert(KEY.into(), AMQPValue::LongString(job.to_string().into()));
        let properties = BasicProperties::default()
            .with_delivery_mode(2)
            .with_headers(headers);
        let (channel, options) = (self.channel().await?, BasicPublishOptions::default());
        let body = job.to_string();
        let sent =
            channel.basic_publish("".into(), JOBS.into(), options, body.as_bytes(), properties);
        Ok(sent.await?.await?.is_ack())
    }
}

impl Broker for Rabbit {
    fn name(&self) -> &'static str {
        "rabbitmq"
    }

    fn url(&self) -> String {
        self.server.url()
    }

    fn server(&self) -> &Server {
        &self.server
    }

    async fn publish(&self, job: usize) {
        while !matches!(timeout(ANSWER, self.try_publish(job)).await, Ok(Ok(true))) {
            *self.channel.lock().await = None;
            sleep(Duration::from_millis(50)).await;
        }
    }

    async fn waiting(&self) -> u64 {
        self.look(JOBS).await.0
    }

    async fn left(&self) -> u64 {
        // Then what the workers had is waiting again.
        while self.look(JOBS).await.1 > 0 {
            sleep(Duration::from_millis(20)).await;
        }
        self.waiting().await
    }

    async fn dead_letters(&self) -> u64 {
        self.look("jobs.dead").await.0
    }

    async fn describe(&self) -> String {
        let (messages, workers) = self.look(JOBS).await;
        let log = self.server.log_tail();
        format!("{messages} waiting for {workers} workers\n{log}")
    }
}
