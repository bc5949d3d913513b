//! More than one at once, clients that hang up, and shutdown.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests too")]

mod support;

use std::{sync::Arc, time::Duration};

use axum::{Router, extract::Request, middleware::Next};
use futures_util::future::join_all;
use idem_core::{Idempotency, OnBusy, Policy, Timestamp};
use idem_memory::{ManualClock, MemoryConfig, MemoryStore};
use idem_tower::{IdempotencyLayer, Profile};
use support::{
    Answer, engine, engine_over, layer, memory, pay,
    shop::{Runs, created, payments, shop},
    wire,
};
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    sync::{Notify, Semaphore},
};

/// A shop whose handler waits for a permit of the gate.
fn gated(idem: &Idempotency) -> (Router, Runs, Arc<Semaphore>) {
    gated_by(layer(idem))
}

fn gated_by(layer: IdempotencyLayer) -> (Router, Runs, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let opens = Arc::clone(&gate);
    let (app, runs) = shop(layer, move |run| {
        let gate = Arc::clone(&gate);
        async move {
            gate.acquire().await.unwrap().forget();
            created(run)
        }
    });
    (app, runs, opens)
}

async fn until(mut happened: impl FnMut() -> bool) {
    while !happened() {
        tokio::task::yield_now().await;
    }
}

fn spawn_payment(app: &Router) -> tokio::task::JoinHandle<Answer> {
    let app = app.clone();
    tokio::spawn(async move { pay("k").send(&app).await })
}

#[tokio::test]
async fn while_the_first_is_in_flight_a_repeat_is_told_so_and_when_to_come_back() {
    let idem = engine(Policy::default().lease(Duration::from_secs(30)));
    let (app, runs, gate) = gated(&idem);
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
    for (age, lease, expected) in [(20, 60, "10"), (20, 5, "5"), (0, 60, "3")] {
        let policy = Policy::default().lease(Duration::from_secs(lease));
        let now = Timestamp::now().as_millis();
        let idem = Idempotency::builder(MemoryStore::default())
            .policy(policy)
            .wall_clock(move || Timestamp::from_millis(now - 1000 * age))
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

/// HTTP/2 rapid reset: requests whose clients go at once.
#[tokio::test]
async fn executions_whose_clients_are_gone_are_bounded() {
    let idem = memory();
    let (app, runs, gate) = gated_by(layer(&idem).profile(Profile::default().abandoned_limit(3)));
    for key in 0..100 {
        let answer = pay(&format!("k{key}")).send(&app);
        if let Some(refused) = futures_util::FutureExt::now_or_never(answer) {
            assert_eq!(refused.code(), "overloaded");
            assert_eq!(refused.header("retry-after"), Some("1"));
        }
    }
    assert_eq!(runs.get(), 3);
    gate.add_permits(100);
    idem.wait_idle().await;
    assert_eq!(pay("k99").send(&app).await.status, 201);
}

#[tokio::test]
async fn a_repeat_that_waits_gets_the_answer() {
    let idem = engine(Policy::default().on_busy(OnBusy::Wait(Duration::from_secs(600))));
    let (app, runs, gate) = gated(&idem);
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

/// Says when the server is done with a request, or gave it up.
struct Over(Arc<Notify>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

/// Over the wire: writes a payment, hangs up once it runs, waits until the server has noticed and
/// dropped the request, and only then lets the handler go on.
#[tokio::test]
async fn a_client_that_hangs_up_mid_handler_cancels_nothing_and_its_retry_gets_the_answer() {
    let idem = memory();
    let (app, runs, gate) = gated(&idem);
    let over = Arc::new(Notify::new());
    let dropped = Arc::clone(&over);
    let app = app.layer(axum::middleware::from_fn(
        move |request: Request, next: Next| {
            let over = Over(Arc::clone(&over));
            async move {
                let response = next.run(request).await;
                drop(over);
                response
            }
        },
    ));
    let address = wire::serve(app).await;
    let mut client = TcpStream::connect(address).await.unwrap();
    let body = r#"{"amount":500}"#;
    let request = format!(
        "POST /payments HTTP/1.1\r\nhost: shop\r\nidempotency-key: k\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    client.write_all(request.as_bytes()).await.unwrap();
    until(|| runs.get() == 1).await;
    drop(client);
    dropped.notified().await;
    gate.add_permits(1);
    idem.wait_idle().await;
    let retry = wire::send_call(address, pay("k")).await;
    assert!(retry.replayed());
    assert_eq!(retry.body, r#"{"id":1}"#);
    assert_eq!(runs.get(), 1);
}

#[tokio::test]
async fn a_future_that_is_dropped_mid_handler_cancels_nothing() {
    let idem = memory();
    let (app, runs, gate) = gated(&idem);
    let first = spawn_payment(&app);
    until(|| runs.get() == 1).await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    gate.add_permits(1);
    idem.wait_idle().await;
    assert!(pay("k").send(&app).await.replayed());
    assert_eq!(runs.get(), 1);
}

#[tokio::test]
async fn a_graceful_shutdown_waits_for_handlers_whose_clients_are_gone() {
    let idem = memory();
    let (app, runs, gate) = gated(&idem);
    let first = spawn_payment(&app);
    until(|| runs.get() == 1).await;
    first.abort();
    let mut drained = std::pin::pin!(idem.wait_idle());
    assert!(futures_util::FutureExt::now_or_never(drained.as_mut()).is_none());
    gate.add_permits(1);
    drained.await;
    assert!(pay("k").send(&app).await.replayed());
}

/// G3: who was taken over answers nothing of its own; asking again gets the answer that counts.
#[tokio::test]
async fn g3_a_handler_that_was_taken_over_is_answered_for() {
    let clock = ManualClock::new();
    let config = MemoryConfig::default().clock(clock.clone());
    let idem = engine_over(MemoryStore::with_config(config), Policy::default());
    let (app, runs, gate) = gated(&idem);
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
