//! A run over a queue: bounds, extension, drain.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use idem_conformance::{CallFault, DURATIONS};
use idem_consumer::{Backoff, Message, RunError};
use idem_core::{Context, Failure, Fingerprint, Idempotency, Policy};
use tokio::time::{Instant, sleep};

use super::{LEASE, SECOND, builder, message, misconfigured::Misconfigured, queue::Queue, world};

type Done = Result<(), Failure<String>>;

fn numbered(count: usize) -> impl Iterator<Item = Message> {
    (0..count).map(|n| message(&n.to_string()))
}

async fn a_second(_: Context, _: Message) -> Done {
    sleep(SECOND).await;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn each_message_is_worked_off_once_however_often_it_is_delivered() {
    let (_, idem) = world(Policy::default());
    let consumer = builder(&idem).concurrency(4).build().unwrap();
    let queue = Queue::of((0..3).flat_map(|_| numbered(20)));
    let ran = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&ran);
    let handler = move |_: Context, _: Message| {
        count.fetch_add(1, Ordering::Relaxed);
        async { Ok::<_, Failure<String>>(()) }
    };
    let summary = consumer
        .run(queue.clone(), handler, pending())
        .await
        .unwrap();
    assert_eq!(ran.load(Ordering::Relaxed), 20);
    assert_eq!((summary.done, summary.repeats), (20, 40));
    assert_eq!(queue.state().acked, 60);
    assert!(queue.state().closed);
}

/// The message must not be lost with its task, nor keep its place at the broker.
#[tokio::test(start_paused = true)]
async fn a_fingerprint_that_panics_puts_its_message_off() {
    let (_, idem) = world(Policy::default());
    let asked = AtomicUsize::new(0);
    let fails_once = move |_: &Message| {
        assert!(asked.fetch_add(1, Ordering::Relaxed) > 0, "no fingerprint");
        Fingerprint::of("orders", b"")
    };
    let consumer = builder(&idem).fingerprint(fails_once).build().unwrap();
    let queue = Queue::of([message("a")]);
    let quick = |_: Context, _: Message| async { Ok::<_, Failure<String>>(()) };
    let summary = consumer.run(queue.clone(), quick, pending()).await.unwrap();
    assert_eq!((summary.done, summary.deferred, summary.dropped), (1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn no_more_run_at_once_than_allowed() {
    let (_, idem) = world(Policy::default());
    let consumer = builder(&idem).concurrency(3).build().unwrap();
    let begun = Instant::now();
    let queue = Queue::of(numbered(9));
    consumer
        .run(queue.clone(), a_second, pending())
        .await
        .unwrap();
    assert_eq!(begun.elapsed(), 3 * SECOND);
    // Nothing is taken before there is room for it.
    let taken: Vec<u64> = queue
        .state()
        .taken
        .iter()
        .map(|at| (*at - begun).as_secs())
        .collect();
    assert_eq!(taken, [0, 0, 0, 1, 1, 1, 2, 2, 2]);
}

#[tokio::test(start_paused = true)]
async fn an_in_flight_duplicate_comes_back_once_the_first_is_over_and_not_in_a_loop() {
    let (_, idem) = world(Policy::default());
    let consumer = builder(&idem).build().unwrap();
    let queue = Queue::of([message("a"), message("a")]);
    let summary = consumer
        .run(queue.clone(), a_second, pending())
        .await
        .unwrap();
    assert_eq!((summary.done, summary.repeats, summary.deferred), (1, 1, 1));
    assert_eq!(queue.state().taken.len(), 3);
}

/// The lease by the engine, the broker's timeout by the source.
#[tokio::test(start_paused = true)]
async fn a_long_handler_keeps_its_lease_and_the_brokers_patience() {
    let (_, idem) = world(Policy::default());
    let consumer = builder(&idem).build().unwrap();
    let queue = Queue::of([message("a")]);
    let begun = Instant::now();
    let long = |_: Context, _: Message| async {
        sleep(3 * LEASE + SECOND).await;
        Ok::<_, Failure<String>>(())
    };
    let summary = consumer.run(queue.clone(), long, pending()).await.unwrap();
    assert_eq!(summary.done, 1);
    let extended: Vec<u64> = queue
        .state()
        .extended
        .iter()
        .map(|at| (*at - begun).as_secs())
        .collect();
    assert_eq!(extended, [10, 20, 30, 40, 50, 60, 70, 80, 90]);
}

#[tokio::test(start_paused = true)]
async fn a_stopped_run_takes_no_more_and_finishes_what_runs() {
    let (_, idem) = world(Policy::default());
    let consumer = builder(&idem).concurrency(2).build().unwrap();
    let queue = Queue::of(numbered(10));
    let summary = consumer
        .run(queue.clone(), a_second, sleep(SECOND * 3 / 2))
        .await
        .unwrap();
    assert_eq!((summary.done, summary.dropped), (4, 0));
    assert_eq!(queue.state().waiting.len(), 6);
    assert!(queue.state().closed);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_outlasts_the_drain_is_dropped_and_its_message_comes_again() {
    let (_, idem) = world(Policy::default());
    let consumer = builder(&idem).drain_timeout(5 * SECOND).build().unwrap();
    let queue = Queue::of([message("a")]);
    let stuck = |_: Context, _: Message| async {
        pending::<()>().await;
        Ok::<_, Failure<String>>(())
    };
    let begun = Instant::now();
    let summary = consumer
        .run(queue.clone(), stuck, sleep(SECOND))
        .await
        .unwrap();
    assert_eq!((summary.done, summary.dropped), (0, 1));
    assert_eq!(begun.elapsed(), 6 * SECOND);
    // What a broker does when a connection is gone.
    queue.state().waiting.push_back(message("a"));
    let summary = consumer
        .run(queue.clone(), a_second, pending())
        .await
        .unwrap();
    assert_eq!(summary.done, 1);
}

#[tokio::test(start_paused = true)]
async fn while_the_store_is_away_messages_are_taken_slowly() {
    let (store, idem) = world(Policy::default());
    store.on_every_call(CallFault::Refuse);
    let consumer = builder(&idem).concurrency(4).build().unwrap();
    let queue = Queue::of(numbered(100));
    let healed = async {
        sleep(60 * SECOND).await;
        let taken = queue.state().taken.len();
        store.heal();
        taken
    };
    let run = consumer.run(queue.clone(), a_second, pending());
    let (summary, taken) = tokio::join!(run, healed);
    assert!(taken < 70, "{taken} were taken in a minute");
    assert_eq!(summary.unwrap().done, 100);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_fails_is_asked_again_with_growing_delays() {
    let (_, idem) = world(Policy::default());
    let consumer = builder(&idem).build().unwrap();
    let queue = Queue::of([message("a")]);
    queue.state().fail_next = 4;
    let begun = Instant::now();
    consumer
        .run(queue.clone(), a_second, pending())
        .await
        .unwrap();
    let passed = begun.elapsed();
    assert!(passed >= 16 * SECOND && passed < 21 * SECOND, "{passed:?}"); // 1 + 2 + 4 + 8, and the work
    assert_eq!(queue.state().acked, 1);
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_that_cannot_be_placed_is_deferred_and_not_lost() {
    let (_, idem) = world(Policy::default());
    let consumer = builder(&idem).build().unwrap();
    let queue = Queue::of([Message::new("without a key")]);
    queue.state().fail_dead = 1;
    let summary = consumer
        .run(queue.clone(), a_second, pending())
        .await
        .unwrap();
    assert_eq!((summary.unsettled, summary.dead_letters), (1, 1));
    assert_eq!(queue.state().dead.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_is_set_up_wrong_ends_the_run_after_what_runs() {
    let (_, idem) = world(Policy::default());
    let consumer = builder(&idem).build().unwrap();
    let queue = Queue::of([message("a")]);
    queue.state().wrong_after = Some(1);
    let run = consumer.run(queue.clone(), a_second, pending());
    let error = run.await.unwrap_err();
    assert!(matches!(error, RunError::Source(_)), "{error}");
    assert_eq!(queue.state().acked, 1);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_set_up_wrong_halts_the_run_and_nothing_is_lost() {
    let consumer = builder(&Idempotency::new(Misconfigured)).build().unwrap();
    let queue = Queue::of(numbered(50));
    let error = consumer
        .run(queue.clone(), a_second, pending())
        .await
        .unwrap_err();
    assert!(matches!(error, RunError::Halted(_)), "{error}");
    let state = queue.state();
    assert_eq!((state.acked, state.dead.len(), state.open), (0, 0, 50));
    assert!(state.taken.len() < 50, "it stopped taking");
}

/// Work that blocks its thread is extended all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_handler_that_blocks_its_thread_is_extended() {
    let (_, idem) = world(Policy::default());
    let consumer = builder(&idem).build().unwrap();
    let queue = Queue::of([message("a")]);
    queue.state().extend_every = Some(Duration::from_millis(5));
    let extended = queue.clone();
    let handler = move |_: Context, _: Message| {
        let queue = extended.clone();
        async move {
            // Blocks until the broker has been told.
            let handle = tokio::runtime::Handle::current();
            std::thread::spawn(move || handle.block_on(queue.extended()))
                .join()
                .unwrap();
            Ok::<_, Failure<String>>(())
        }
    };
    let summary = consumer.run(queue, handler, pending()).await;
    assert_eq!(summary.unwrap().done, 1);
}

/// A source that is away, and a message that fails once: it is done with in the end, and is extended
/// as long as its handler runs.
#[tokio::test(start_paused = true)]
async fn no_duration_of_a_consumer_panics() {
    for knob in DURATIONS {
        let (_, idem) = world(Policy::default());
        let consumer = builder(&idem)
            .backoff(Backoff::new(knob.min(SECOND), knob))
            .drain_timeout(knob)
            .park_abandoned(knob)
            .build()
            .unwrap();
        let queue = Queue::of([message("a")]);
        queue.state().fail_next = 1;
        queue.state().extend_every = Some(knob);
        let runs = AtomicUsize::new(0);
        let handler = move |_: Context, _: Message| {
            let first = runs.fetch_add(1, Ordering::SeqCst) == 0;
            async move {
                sleep(SECOND).await;
                match first {
                    true => Err(Failure::Retryable("busy".to_owned())),
                    false => Ok(()),
                }
            }
        };
        let run = consumer.run(queue.clone(), handler, pending());
        assert_eq!(run.await.unwrap().done, 1, "{knob:?}");
        let extended = queue.state().extended.len();
        assert_eq!(extended > 0, knob < SECOND, "{knob:?}: {extended}");
    }
}
