//! What holds on every broker: each brings a [`Place`], and these run on it.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use idem_consumer::{Consumer, KeyFrom, Message, RunError, Source};
use idem_core::{Context, Failure, Idempotency, Scope};
use tokio::time::sleep;

use super::{KEY, Misconfigured, Seen, consumer, engine, in_time, watched};

pub(super) type Done = Result<(), Failure<String>>;

/// A queue, a stream or a topic of one case on the shared broker.
pub(super) trait Place {
    type Source: Source;

    /// Whether a message may have a header twice.
    const TWO_KEYS: bool;

    fn source(&self) -> impl Future<Output = Self::Source>;

    /// Returns once the broker has the message; it has this header once for each key.
    fn publish(&self, keys: &[&str], body: &str) -> impl Future<Output = ()>;

    /// Messages that are not done with. No run is under way.
    fn left(&self) -> impl Future<Output = u64>;

    /// The name and the text of each reason, in order.
    fn dead_letters(&self) -> impl Future<Output = Vec<(String, String)>>;
}

/// All cases at once, each in a place of its own.
pub(super) async fn hold_on<P: Place, F: Future<Output = P>>(place: impl Fn(&'static str) -> F) {
    tokio::join!(
        async { each_message_is_worked_off_once_and_the_rest_is_dead(&place("once").await).await },
        async { deferred_messages_come_again_after_the_delay(&place("again").await).await },
        async { a_drained_run_gives_back_what_did_not_start(&place("drain").await).await },
        async { a_halted_run_gives_the_message_back(&place("halt").await).await },
        async { a_poison_message_is_dead_after_its_attempts(&place("poison").await).await },
    );
}

async fn until_left(place: &impl Place, expected: u64) {
    in_time(async {
        while place.left().await != expected {
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

pub(super) async fn quick(_: Context, _: Message) -> Done {
    Ok(())
}

async fn each_message_is_worked_off_once_and_the_rest_is_dead<P: Place>(place: &P) {
    for _ in 0..3 {
        place.publish(&["a"], "500 usd").await;
    }
    place.publish(&["a"], "5 usd").await;
    place.publish(&[], "no key").await;
    place.publish(&[&"k".repeat(300)], "a long key").await;
    let mut expected = vec!["key", "key", "mismatch"];
    if P::TWO_KEYS {
        place.publish(&["b", "c"], "two keys").await;
        expected.insert(0, "key");
    }
    let dead = expected.len();
    let seen = Seen::default();
    // One after the other: which of two messages with one key is first is not left to chance.
    let builder = Consumer::builder(
        engine(),
        Scope::new("orders").unwrap(),
        KeyFrom::header(KEY),
    );
    let consumer = watched(builder.concurrency(1), &seen);
    let ran = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&ran);
    let handler = move |context: Context, message: Message| {
        count.fetch_add(1, Ordering::Relaxed);
        async move {
            assert_eq!(message.header(KEY), Some(&b"a"[..]));
            assert_eq!(context.key().key(), "a");
            Ok::<_, Failure<String>>(())
        }
    };
    let stop = async {
        seen.at_least("dead-letter", dead).await;
        seen.at_least("repeat", 2).await;
    };
    let run = consumer.run(place.source().await, handler, stop);
    let summary = in_time(run).await.unwrap();
    assert_eq!(ran.load(Ordering::Relaxed), 1);
    assert_eq!(
        (
            summary.done,
            summary.repeats,
            summary.dead_letters,
            summary.unsettled
        ),
        (1, 2, dead as u64, 0)
    );
    until_left(place, 0).await;
    let dead = place.dead_letters().await;
    let names: Vec<&str> = dead.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, expected);
    assert!(dead[0].1.contains("it has 300 bytes"), "{dead:?}");
}

async fn deferred_messages_come_again_after_the_delay(place: &impl Place) {
    place.publish(&["a"], "x").await;
    let seen = Seen::default();
    let consumer = consumer(&engine(), &seen);
    let third = |context: Context, message: Message| async move {
        assert_eq!(&**message.body(), b"x");
        match context.attempt() {
            3 => Ok(()),
            _ => Err(Failure::Retryable("no route".to_owned())),
        }
    };
    let stop = seen.at_least("done", 1);
    let run = consumer.run(place.source().await, third, stop);
    let summary = in_time(run).await.unwrap();
    assert_eq!((summary.done, summary.deferred), (1, 2));
    until_left(place, 0).await;
}

async fn a_drained_run_gives_back_what_did_not_start(place: &impl Place) {
    for n in 0..20 {
        place.publish(&[&n.to_string()], "x").await;
    }
    let (seen, engine) = (Seen::default(), engine());
    let first = consumer(&engine, &seen);
    let slow = |_: Context, _: Message| async {
        sleep(Duration::from_millis(50)).await;
        Ok::<_, Failure<String>>(())
    };
    let stop = seen.at_least("done", 1);
    let summary = in_time(first.run(place.source().await, slow, stop))
        .await
        .unwrap();
    assert_eq!(summary.unsettled + summary.dropped, 0);
    assert!(summary.done < 20, "{summary:?}");
    // Another worker has the rest.
    let stop = seen.at_least("done", 20);
    let other = consumer(&engine, &seen);
    let rest = in_time(other.run(place.source().await, quick, stop))
        .await
        .unwrap();
    assert_eq!(summary.done + rest.done, 20);
    until_left(place, 0).await;
}

async fn a_halted_run_gives_the_message_back(place: &impl Place) {
    place.publish(&["a"], "x").await;
    let seen = Seen::default();
    let halting = consumer(&Idempotency::new(Misconfigured), &seen);
    let run = halting.run(place.source().await, quick, pending());
    let error = in_time(run).await.unwrap_err();
    assert!(matches!(error, RunError::Halted(_)), "{error}");
    until_left(place, 1).await;
    let stop = seen.at_least("done", 1);
    let other = consumer(&engine(), &seen);
    in_time(other.run(place.source().await, quick, stop))
        .await
        .unwrap();
    until_left(place, 0).await;
}

async fn a_poison_message_is_dead_after_its_attempts(place: &impl Place) {
    place.publish(&["a"], "x").await;
    let seen = Seen::default();
    let consumer = consumer(&engine(), &seen);
    let never = |_: Context, _: Message| async { Err::<(), _>(Failure::Retryable("no route")) };
    let stop = seen.at_least("dead-letter", 1);
    let run = consumer.run(place.source().await, never, stop);
    let summary = in_time(run).await.unwrap();
    assert_eq!((summary.deferred, summary.dead_letters), (2, 1));
    until_left(place, 0).await;
    let dead = place.dead_letters().await;
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].0, "exhausted");
}
