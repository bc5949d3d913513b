//! What holds on every broker, once its messages are there.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use idem_consumer::{Consumer, KeyFrom, Message, Source};
use idem_core::{Context, Failure, Scope};

use super::{KEY, Seen, consumer, engine, in_time, watched};

pub(super) type Done = Result<(), Failure<String>>;

pub(super) async fn quick(_: Context, _: Message) -> Done {
    Ok(())
}

/// Three deliveries of a message with the key `a`, and so many messages that cannot be worked off.
pub(super) async fn one_runs_and_the_rest_is_dead<S: Source>(source: S, dead: usize) {
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
    let run = consumer.run(source, handler, stop);
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
}

/// One message `x`, whose handler fails twice.
pub(super) async fn it_comes_again_after_the_delay<S: Source>(source: S) {
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
    let run = consumer.run(source, third, stop);
    let summary = in_time(run).await.unwrap();
    assert_eq!((summary.done, summary.deferred), (1, 2));
}
