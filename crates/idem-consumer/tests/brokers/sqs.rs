//! Amazon SQS, on an *emulator*: moto.

use std::time::Duration;

use aws_sdk_sqs::{
    Client, Config,
    config::{BehaviorVersion, Credentials, Region},
    types::{MessageAttributeValue, QueueAttributeName},
};
use aws_smithy_http_client::Builder;
use idem_consumer::{Consumer, KeyFrom, Message, RunError, sqs};
use idem_core::{Context, Failure, Scope};
use idem_testbed::{Moto, skip_or_fail};
use tokio::time::sleep;

use super::{
    KEY, Seen,
    cases::{Place, hold_on, quick},
    consumer, engine, in_time, watched,
};

/// Queues of one test on the shared server.
struct Queues {
    client: Client,
    url: String,
    dead: String,
}

impl Queues {
    async fn on(server: &Moto, name: &'static str) -> Self {
        Self::with(server, name, &[]).await
    }

    async fn with(server: &Moto, name: &str, attributes: &[(QueueAttributeName, &str)]) -> Self {
        let client = client(server);
        let suffix = if attributes.is_empty() { "" } else { ".fifo" };
        let create = async |name: String| {
            let mut create = client.create_queue().queue_name(name);
            for (name, value) in attributes {
                create = create.attributes(name.clone(), *value);
            }
            create.send().await.unwrap().queue_url.unwrap()
        };
        Self {
            url: create(format!("{name}{suffix}")).await,
            dead: create(format!("dead-{name}{suffix}")).await,
            client: client.clone(),
        }
    }

    /// Without a queue for dead letters.
    fn bare_source(&self) -> sqs::Queue {
        let queue = sqs::Queue::new(self.client.clone(), &self.url);
        queue.visibility(Duration::from_secs(2))
    }

    async fn publish_to_group(&self, group: &str, deduplication: &str, body: &str) -> String {
        let sent = self.client.send_message().queue_url(&self.url);
        let sent = sent.message_group_id(group).message_body(body);
        let sent = sent.message_deduplication_id(deduplication).send();
        sent.await.unwrap().message_id.unwrap()
    }

    async fn attribute(&self, url: &str, name: QueueAttributeName) -> String {
        let asked = self.client.get_queue_attributes().queue_url(url);
        let answer = asked.attribute_names(name.clone()).send().await.unwrap();
        answer.attributes.unwrap()[&name].clone()
    }
}

fn client(server: &Moto) -> Client {
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(server.url())
        .region(Region::new("eu-central-1"))
        .credentials_provider(Credentials::new("id", "secret", None, None, "test"))
        .http_client(Builder::new().build_http());
    Client::from_conf(config.build())
}

impl Place for Queues {
    type Source = sqs::Queue;

    const TWO_KEYS: bool = false;

    async fn source(&self) -> sqs::Queue {
        self.bare_source().dead_letters(&self.dead)
    }

    async fn publish(&self, keys: &[&str], body: &str) {
        let mut sent = self.client.send_message().queue_url(&self.url);
        if let [key] = keys {
            let value = MessageAttributeValue::builder().data_type("String");
            sent = sent.message_attributes(KEY, value.string_value(*key).build().unwrap());
        }
        sent.message_body(body).send().await.unwrap();
    }

    async fn left(&self) -> u64 {
        let mut left = 0;
        for name in [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
        ] {
            let count = self.attribute(&self.url, name).await;
            left += count.parse::<u64>().unwrap();
        }
        left
    }

    async fn dead_letters(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        loop {
            let asked = self.client.receive_message().queue_url(&self.dead);
            let asked = asked
                .max_number_of_messages(10)
                .message_attribute_names("All");
            let letters = asked.send().await.unwrap().messages.unwrap_or_default();
            if letters.is_empty() {
                found.sort();
                return found;
            }
            for letter in letters {
                let attributes = letter.message_attributes.unwrap_or_default();
                let text = |name| {
                    let value: Option<&MessageAttributeValue> = attributes.get(name);
                    value
                        .and_then(|it| it.string_value.clone())
                        .unwrap_or_default()
                };
                found.push((text(sqs::REASON_NAME), text(sqs::REASON)));
            }
        }
    }
}

/// One emulator for all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_one_emulator() {
    let Some(server) = skip_or_fail(Moto::start().await) else {
        return;
    };
    tokio::join!(
        hold_on(|name| Queues::on(&server, name)),
        a_handler_that_lasts_longer_than_the_visibility_is_delivered_once(&server),
        a_deduplication_id_is_a_key_of_the_publisher(&server),
        without_a_queue_for_dead_letters_the_redrive_policy_moves_them(&server),
        a_queue_that_cannot_be_worked_off_ends_the_run(&server),
    );
}

async fn a_handler_that_lasts_longer_than_the_visibility_is_delivered_once(server: &Moto) {
    let queues = Queues::on(server, "long").await;
    queues.publish(&["a"], "x").await;
    let seen = Seen::default();
    let consumer = consumer(&engine(), &seen);
    let long = |_: Context, _: Message| async {
        sleep(Duration::from_secs(5)).await;
        Ok::<_, Failure<String>>(())
    };
    let stop = seen.at_least("done", 1);
    let run = consumer.run(queues.source().await, long, stop);
    let summary = in_time(run).await.unwrap();
    assert_eq!((summary.done, summary.deferred, summary.repeats), (1, 0, 0));
    assert_eq!(queues.left().await, 0);
}

/// The id of the message is not: a repeat has another one.
async fn a_deduplication_id_is_a_key_of_the_publisher(server: &Moto) {
    let fifo = [(QueueAttributeName::FifoQueue, "true")];
    let queues = Queues::with(server, "fifo", &fifo).await;
    let first = queues.publish_to_group("customer-1", "order-1", "x").await;
    let repeat = queues.publish_to_group("customer-1", "order-1", "x").await;
    assert_ne!(first, repeat);
    queues.publish_to_group("customer-1", "order-2", "y").await;
    let seen = Seen::default();
    let scope = Scope::new("orders").unwrap();
    let builder = Consumer::builder(engine(), scope, KeyFrom::header(sqs::DEDUPLICATION_ID));
    let consumer = watched(builder.concurrency(1), &seen);
    let handler = |context: Context, message: Message| async move {
        assert_eq!(message.header(sqs::GROUP_ID), Some(&b"customer-1"[..]));
        let order = match &**message.body() {
            b"x" => "order-1",
            _ => "order-2",
        };
        assert_eq!(context.key().key(), order);
        // The second one is a dead letter, in a queue of the same kind.
        if order == "order-1" {
            Ok(())
        } else {
            Err(Failure::Final("no stock"))
        }
    };
    let stop = async {
        seen.at_least("done", 1).await;
        seen.at_least("dead-letter", 1).await;
    };
    let run = consumer.run(queues.source().await, handler, stop);
    let summary = in_time(run).await.unwrap();
    assert_eq!((summary.done, summary.dead_letters), (1, 1));
    assert_eq!(queues.left().await, 0);
    assert_eq!(queues.dead_letters().await[0].0, "failed");
}

async fn without_a_queue_for_dead_letters_the_redrive_policy_moves_them(server: &Moto) {
    let queues = Queues::on(server, "redrive").await;
    let arn = queues
        .attribute(&queues.dead, QueueAttributeName::QueueArn)
        .await;
    let policy = format!(r#"{{"deadLetterTargetArn":"{arn}","maxReceiveCount":"2"}}"#);
    let set = queues.client.set_queue_attributes().queue_url(&queues.url);
    let set = set.attributes(QueueAttributeName::RedrivePolicy, policy);
    set.send().await.unwrap();
    queues.publish(&[], "no key").await;
    let moved = async {
        while queues.dead_letters().await.is_empty() {
            sleep(Duration::from_millis(100)).await;
        }
    };
    let run = consumer(&engine(), &Seen::default());
    let summary = in_time(run.run(queues.bare_source(), quick, moved))
        .await
        .unwrap();
    assert_eq!(summary.dead_letters, 2);
    assert_eq!(queues.left().await, 0);
}

async fn a_queue_that_cannot_be_worked_off_ends_the_run(server: &Moto) {
    let queues = Queues::on(server, "bare").await;
    let nowhere = format!("{}/123456789012/nowhere", server.url());
    for (source, expected) in [
        (queues.bare_source(), "no redrive policy"),
        (
            queues.bare_source().dead_letters(&queues.url),
            "is the queue itself",
        ),
        (
            sqs::Queue::new(queues.client.clone(), nowhere).dead_letters(&queues.dead),
            "does not exist",
        ),
    ] {
        let run = consumer(&engine(), &Seen::default());
        let run = run.run(source, quick, std::future::pending());
        let error = in_time(run).await.unwrap_err();
        assert!(
            matches!(&error, RunError::Source(e) if e.to_string().contains(expected)),
            "{error}"
        );
    }
}
