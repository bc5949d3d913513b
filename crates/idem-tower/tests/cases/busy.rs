//! More than one at once.

use std::{sync::Arc, time::Duration};

use crate::support::{
    Answer, engine, engine_over, layer, memory, pay,
    shop::{gated, payments, shop, spawn_payment, until},
    wire,
};
use futures_util::future::join_all;
use idem_core::{Idempotency, OnBusy, Policy, Timestamp, testing::Testing};
use idem_http::Profile;
use idem_memory::{ManualClock, MemoryConfig, MemoryStore};
use tokio::sync::Semaphore;

#[tokio::test]
async fn while_the_first_is_in_flight_a_repeat_is_told_so_and_when_to_come_back() {
    let idem = engine(Policy::default().lease(Duration::from_secs(30)));
    let (app, runs, gate) = gated(layer(&idem));
    let first = spawn_payment(&app);
    until(|| runs.get() == 1).await;
    let busy = pay("k").send(&app).await;
    assert_eq!(
        (busy.status.as_u16(), busy.code().as_str()),
        (409, "in-flight")
    );
    let seconds: u64 = busy.header("retry-after").unwrap().parse().unwrap();
    assert_eq!(seconds, 1, "it was claimed a moment ago");
    gate.add_permits(1);
    let first = first.await.unwrap();
    pay("k").send(&app).await.assert_replays(&first);
    assert_eq!(runs.get(), 1);
}

/// How old the run is comes from `created_at`; the lease that is left is a bound.
#[tokio::test]
async fn the_longer_a_run_is_in_flight_the_later_a_repeat_is_asked_back() {
    for (age, lease, expected) in [(19, 60, "10"), (19, 5, "5"), (0, 60, "3")] {
        let policy = Policy::default().lease(Duration::from_secs(lease));
        let now = Timestamp::now().as_millis();
        let idem = Idempotency::builder(MemoryStore::default())
            .policy(policy)
            .testing(
                Testing::default().wall_clock(move || Timestamp::from_millis(now - 1000 * age)),
            )
            .build()
            .unwrap();
        let profile = Profile::default().in_flight_retry(Duration::from_millis(2500));
        let gate = Arc::new(Semaphore::new(0));
        let (app, runs) = shop(layer(&idem).profile(profile), move |_| {
            let gate = Arc::clone(&gate);
            async move { gate.acquire().await.unwrap().forget() }
        });
        let first = spawn_payment(&app);
        until(|| runs.get() == 1).await;
        let busy = pay("k").send(&app).await;
        assert_eq!(
            busy.header("retry-after"),
            Some(expected),
            "{age} s, {lease} s"
        );
        first.abort();
    }
}

#[tokio::test]
async fn a_repeat_that_waits_gets_the_answer() {
    let idem = engine(Policy::default().on_busy(OnBusy::Wait(Duration::from_secs(600))));
    let (app, runs, gate) = gated(layer(&idem));
    let first = spawn_payment(&app);
    until(|| runs.get() == 1).await;
    let repeat = spawn_payment(&app);
    tokio::task::yield_now().await;
    gate.add_permits(1);
    repeat.await.unwrap().assert_replays(&first.await.unwrap());
    assert_eq!(runs.get(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_100_parallel_duplicates_one_runs_and_the_others_wait_for_its_answer() {
    let idem = engine(Policy::default().on_busy(OnBusy::Wait(Duration::from_secs(600))));
    let (app, runs) = payments(layer(&idem));
    let address = wire::serve(app).await;
    let answers = join_all((0..100).map(|_| wire::send_call(address, pay("k")))).await;
    assert_eq!(runs.get(), 1);
    let (repeats, first): (Vec<_>, Vec<_>) = answers.into_iter().partition(Answer::replayed);
    assert_eq!(first.len(), 1);
    for repeat in repeats {
        repeat.assert_replays(&first[0]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_100_parallel_duplicates_one_runs_and_the_others_are_told_or_get_its_answer() {
    let (app, runs) = payments(layer(&memory()));
    let tasks = (0..100).map(|_| spawn_payment(&app));
    let answers: Vec<_> = join_all(tasks)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    assert_eq!(runs.get(), 1);
    let first = answers
        .iter()
        .filter(|answer| answer.status == 201 && !answer.replayed());
    assert_eq!(first.count(), 1);
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        assert_eq!(answer.code(), "in-flight");
    }
}

/// G3: who was taken over answers nothing of its own; asking again gets the answer that counts.
#[tokio::test]
async fn g3_a_handler_that_was_taken_over_is_answered_for() {
    let clock = ManualClock::new();
    let config = MemoryConfig::default().clock(clock.clone());
    let idem = engine_over(MemoryStore::with_config(config), Policy::default());
    let (app, runs, gate) = gated(layer(&idem));
    let stalled = spawn_payment(&app);
    until(|| runs.get() == 1).await;
    clock.advance(Duration::from_secs(31));
    let second = spawn_payment(&app);
    until(|| runs.get() == 2).await;
    gate.add_permits(1);
    let stalled = stalled.await.unwrap();
    assert_eq!(
        (stalled.status.as_u16(), stalled.code().as_str()),
        (409, "in-flight")
    );
    gate.add_permits(1);
    let second = second.await.unwrap();
    assert_eq!(second.body, r#"{"id":2}"#);
    pay("k").send(&app).await.assert_replays(&second);
}
