//! Amazon SQS: a queue as a [`Source`].
//!
//! | verdict | what the adapter does |
//! |---|---|
//! | acknowledge | `DeleteMessage` |
//! | defer | `ChangeMessageVisibility` to the delay, in whole seconds |
//! | dead letter | sends a copy to the queue for dead letters, then deletes; or leaves it to the queue's redrive policy |
//! | handler runs | `ChangeMessageVisibility` at a third of the visibility timeout |
//!
//! It polls for as many messages as can be worked on at once, ten at most, and waits for them for up to 20
//! seconds. So the client needs timeouts of more than 20 seconds, if it has any.
//!
//! # Dead letters
//! With [`dead_letters`](Queue::dead_letters) the adapter sends a copy with the reason and deletes the
//! message. Without it, the queue needs a redrive policy: the message is given back until SQS has counted its
//! `maxReceiveCount`, and moves it, without a reason. SQS counts each deferral as well, so choose a count far
//! above the attempts that a message has.
//!
//! # FIFO queues
//! SQS hands out no message of a group while an earlier one is out, but up to ten of one group at a time. To
//! have them worked off in order, set the consumer's `concurrency` to 1. A deferred message holds its group
//! back. With [`DEDUPLICATION_ID`] as the key's header, a publisher's repeat is told from a new message past
//! the five minutes of SQS too.
//!
//! # Limits
//! SQS takes a message back 12 hours after it handed it out, whatever the visibility timeout is; a handler
//! that runs longer is repeated once its lease is over. A delay of more than 12 hours is cut to that.

mod copy;
mod error;

use std::{
    collections::VecDeque,
    error::Error,
    fmt,
    pin::Pin,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use aws_sdk_sqs::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    types::{Message as Received, MessageSystemAttributeName, QueueAttributeName},
};
use tokio::sync::Mutex;

use crate::{Message, Reason, Source, SourceError, source::within};

use error::failed;

pub use copy::{DEDUPLICATION_ID, GROUP_ID, REASON, REASON_NAME};

/// How long SQS waits for a message.
const WAIT: i32 = 20;
/// How long SQS may take to answer, beside that.
const ANSWERED: Duration = Duration::from_secs(10);
/// As many messages as SQS hands out at once.
const MOST: usize = 10;
/// The longest visibility timeout that SQS takes.
const LONGEST: i32 = 12 * 60 * 60;
/// How long a dead letter is out of sight before its redrive policy is asked again.
const UNTIL_REDRIVE: Duration = Duration::from_secs(1);

/// A queue of Amazon SQS, standard or FIFO.
///
/// The client is the caller's: region, credentials, HTTP and TLS are configured there. This crate brings
/// none of them, so add `aws-config` and `aws-sdk-sqs` to your dependencies, as for any use of SQS.
///
/// ```no_run
/// use idem_consumer::{Consumer, Message, sqs::Queue};
/// use idem_core::{Context, Failure};
///
/// async fn pack(context: Context, message: Message) -> Result<(), Failure<String>> {
///     println!("{} bytes under {}", message.body().len(), context.key());
///     Ok(())
/// }
///
/// # async fn example(consumer: Consumer, client: aws_sdk_sqs::Client) -> Result<(), Box<dyn std::error::Error>> {
/// // let client = aws_sdk_sqs::Client::new(&aws_config::load_from_env().await);
/// let orders = Queue::new(client, "https://sqs.eu-central-1.amazonaws.com/123456789012/orders")
///     .dead_letters("https://sqs.eu-central-1.amazonaws.com/123456789012/orders-dead");
/// let stop = async { /* a signal */ };
/// consumer.run(orders, pack, stop).await?;
/// # Ok(()) }
/// ```
pub struct Queue {
    client: Client,
    url: String,
    dead_letters: Option<String>,
    visibility: i32,
    /// What was handed out by SQS, and not by [`next`](Source::next).
    batch: Mutex<VecDeque<Received>>,
    /// Whether the queue is known to have a place for dead letters.
    is_checked: AtomicBool,
}

impl Queue {
    /// The queue at `url`.
    #[must_use]
    pub fn new(client: Client, url: impl Into<String>) -> Self {
        Self {
            client,
            url: url.into(),
            dead_letters: None,
            visibility: 30,
            batch: Mutex::default(),
            is_checked: AtomicBool::new(false),
        }
    }

    /// How long a message stays out of sight of other workers when its own falls silent; 30 s unless set.
    /// In whole seconds, between one second and 12 hours. While a handler runs, it is renewed.
    #[must_use]
    pub fn visibility(mut self, timeout: Duration) -> Self {
        self.visibility = seconds(timeout).max(1);
        self
    }

    /// The URL of the queue for dead letters: they are copied there with their reason, and deleted here.
    /// Unless set, the queue has to have a redrive policy.
    ///
    /// For a FIFO queue it has to be one as well.
    #[must_use]
    pub fn dead_letters(mut self, url: impl Into<String>) -> Self {
        self.dead_letters = Some(url.into());
        self
    }

    /// Without a place for dead letters a message that nothing can be done with would go round for ever.
    async fn check(&self) -> Result<(), SourceError> {
        if self.dead_letters.as_ref() == Some(&self.url) {
            return Err(SourceError::config(
                "the queue for dead letters is the queue itself, so they would go round for ever",
            ));
        }
        if self.dead_letters.is_some() || self.is_checked.load(Ordering::Relaxed) {
            return Ok(());
        }
        let name = QueueAttributeName::RedrivePolicy;
        let asked = self.client.get_queue_attributes().queue_url(&self.url);
        let asked = asked.attribute_names(name.clone());
        let told = answer(ANSWERED, asked.send()).await?;
        let attributes = told.attributes.unwrap_or_default();
        if !attributes.contains_key(&name) {
            return Err(SourceError::config(
                "the queue has no redrive policy, so dead letters would come again and again; name a \
                 queue for them with `dead_letters`, or give it one",
            ));
        }
        self.is_checked.store(true, Ordering::Relaxed);
        Ok(())
    }

    async fn receive(&self, room: usize) -> Result<Vec<Received>, SourceError> {
        let most = i32::try_from(room.clamp(1, MOST)).unwrap_or(1);
        let asked = self.client.receive_message().queue_url(&self.url);
        let asked = asked
            .max_number_of_messages(most)
            .wait_time_seconds(WAIT)
            .visibility_timeout(self.visibility)
            .message_attribute_names("All")
            .message_system_attribute_names(MessageSystemAttributeName::MessageDeduplicationId)
            .message_system_attribute_names(MessageSystemAttributeName::MessageGroupId);
        let longest = ANSWERED + Duration::from_secs(WAIT.unsigned_abs().into());
        let told = answer(longest, asked.send()).await?;
        Ok(told.messages.unwrap_or_default())
    }

    async fn hide(&self, received: &Received, delay: Duration) -> Result<(), SourceError> {
        let told = self
            .client
            .change_message_visibility()
            .queue_url(&self.url)
            .set_receipt_handle(received.receipt_handle.clone())
            .visibility_timeout(seconds(delay));
        answer(ANSWERED, told.send()).await?;
        Ok(())
    }

    async fn delete(&self, received: &Received) -> Result<(), SourceError> {
        let told = self
            .client
            .delete_message()
            .queue_url(&self.url)
            .set_receipt_handle(received.receipt_handle.clone());
        answer(ANSWERED, told.send()).await?;
        Ok(())
    }

    /// Sends the copy. What has no room for the reason goes without: it would be deferred for ever.
    async fn place_dead_letter(
        &self,
        queue: &str,
        received: &Received,
        reason: &Reason,
    ) -> Result<(), SourceError> {
        let send = |reason| copy::dead_letter(&self.client, queue, received, reason).send();
        let placed = async {
            match send(Some(reason)).await {
                Ok(_) => Ok(()),
                Err(error) if error::is_refused(&error) => {
                    send(None).await.map_err(failed)?;
                    tracing::warn!(%reason, "SQS took a dead letter only without its reason");
                    Ok(())
                }
                Err(error) => Err(failed(error)),
            }
        };
        within(ANSWERED, Box::pin(placed)).await
    }
}

/// What SQS answers, unless it takes longer than this. Boxed: the client's futures are large.
fn answer<'a, T: 'a, E, R>(
    longest: Duration,
    asked: impl Future<Output = Result<T, SdkError<E, R>>> + Send + 'a,
) -> Pin<Box<dyn Future<Output = Result<T, SourceError>> + Send + 'a>>
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    R: fmt::Debug + Send + Sync + 'static,
{
    let answered = async { asked.await.map_err(failed) };
    Box::pin(within(longest, answered))
}

/// Rounded up: a message that comes early is put off again.
fn seconds(time: Duration) -> i32 {
    let whole = time
        .as_secs()
        .saturating_add(u64::from(time.subsec_nanos() > 0));
    i32::try_from(whole).unwrap_or(LONGEST).min(LONGEST)
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("url", &self.url)
            .field("dead_letters", &self.dead_letters)
            .field("visibility", &self.visibility)
            .finish_non_exhaustive()
    }
}

/// One delivery of a message.
pub struct Delivery(Received);

/// Its id alone: a body may hold secrets.
impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = &self.0.message_id;
        f.debug_tuple("Delivery").field(id).finish()
    }
}

impl Source for Queue {
    type Delivery = Delivery;

    async fn next(&self, room: usize) -> Result<Option<Delivery>, SourceError> {
        let mut batch = self.batch.lock().await;
        self.check().await?;
        loop {
            if let Some(received) = batch.pop_front() {
                return Ok(Some(Delivery(received)));
            }
            batch.extend(self.receive(room).await?);
        }
    }

    /// The headers are the message's attributes, and [`DEDUPLICATION_ID`] and [`GROUP_ID`] of a FIFO queue.
    /// The broker id is the `MessageId`: the same for each delivery, and another one when the publisher
    /// sends the message again.
    fn message(&self, Delivery(received): &Delivery) -> Message {
        copy::message(received)
    }

    async fn ack(&self, Delivery(received): &Delivery) -> Result<(), SourceError> {
        self.delete(received).await
    }

    async fn defer(
        &self,
        Delivery(received): &Delivery,
        delay: Duration,
    ) -> Result<(), SourceError> {
        self.hide(received, delay).await
    }

    async fn dead_letter(
        &self,
        Delivery(received): &Delivery,
        reason: &Reason,
    ) -> Result<(), SourceError> {
        match &self.dead_letters {
            Some(queue) => {
                self.place_dead_letter(queue, received, reason).await?;
                self.delete(received).await
            }
            None => self.hide(received, UNTIL_REDRIVE).await,
        }
    }

    fn extend_every(&self) -> Option<Duration> {
        Some(Duration::from_secs(self.visibility.unsigned_abs().into()) / 3)
    }

    async fn extend(&self, Delivery(received): &Delivery) -> Result<(), SourceError> {
        let timeout = Duration::from_secs(self.visibility.unsigned_abs().into());
        self.hide(received, timeout).await
    }

    /// What was fetched and not handed out goes back at once. What SQS hands out to a poll that is given up
    /// comes again after the visibility timeout.
    async fn close(&self) {
        let given_back = async {
            for received in self.batch.lock().await.drain(..) {
                // One that fails comes again after the visibility timeout.
                let _ = self.hide(&received, Duration::ZERO).await;
            }
            Ok(())
        };
        let _ = within(ANSWERED, Box::pin(given_back)).await;
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_sqs::config::{BehaviorVersion, Config, Credentials, Region};
    use aws_smithy_http_client::Builder;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
        task::JoinHandle,
    };

    use super::*;
    use crate::KeyProblem;

    /// An endpoint that refuses what has the reason's attribute, and takes anything else. The emulator
    /// does not count attributes.
    async fn endpoint() -> (String, JoinHandle<Vec<&'static str>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let serving = tokio::spawn(async move {
            let mut seen = Vec::new();
            while seen.last() != Some(&"deleted") {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = String::new();
                while !request.ends_with('}') {
                    let mut buffer = [0; 4096];
                    let read = stream.read(&mut buffer).await.unwrap();
                    request.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
                }
                let (status, body, what) = if request.contains("AmazonSQS.DeleteMessage") {
                    ("200 OK", "{}", "deleted")
                } else if request.contains(REASON) {
                    let body = r#"{"__type":"com.amazonaws.sqs#InvalidParameterValueException"}"#;
                    ("400 Bad Request", body, "refused")
                } else {
                    ("200 OK", r#"{"MessageId":"1"}"#, "taken")
                };
                seen.push(what);
                let length = body.len();
                let answer = format!(
                    "HTTP/1.1 {status}\r\ncontent-type: application/x-amz-json-1.0\r\n\
                     content-length: {length}\r\nconnection: close\r\n\r\n{body}"
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
            seen
        });
        (url, serving)
    }

    #[tokio::test]
    async fn a_dead_letter_that_has_no_room_for_the_reason_goes_without() {
        let (url, serving) = endpoint().await;
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(&url)
            .region(Region::new("eu-central-1"))
            .credentials_provider(Credentials::new("id", "secret", None, None, "test"))
            .http_client(Builder::new().build_http());
        let client = Client::from_conf(config.build());
        let queue = Queue::new(client, format!("{url}/1/orders"));
        let queue = queue.dead_letters(format!("{url}/1/dead"));
        let received = Received::builder().body("x").receipt_handle("1");
        let problem = KeyProblem::Custom("no key".to_owned());
        let delivery = Delivery(received.build());
        let placed = queue.dead_letter(&delivery, &Reason::Key(problem)).await;
        placed.unwrap();
        assert_eq!(serving.await.unwrap(), ["refused", "taken", "deleted"]);
    }

    #[test]
    fn times_are_rounded_up_to_what_sqs_takes() {
        let day = Duration::from_secs(24 * 60 * 60);
        for (time, expected) in [
            (Duration::ZERO, 0),
            (Duration::from_millis(1), 1),
            (Duration::from_secs(30), 30),
            (day, 43_200),
            (Duration::MAX, 43_200),
        ] {
            assert_eq!(seconds(time), expected);
        }
    }
}
