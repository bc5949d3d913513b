//! The engine over the store: one execution however many ask, fencing after a take-over, waking.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use idem_core::{
    Bytes, Claim, Execution, Failure, Fingerprint, Idempotency, IdempotencyKey, OnBusy, Outcome,
    Policy, RecordKey, Refused, Scope,
    error::{ExecuteError, HoldError, Superseded},
    store::State,
};
use idem_memory::{ManualClock, MemoryConfig, MemoryStore};
use tokio::{sync::Barrier, task::JoinSet, time::Instant};

const LEASE: Duration = Duration::from_secs(30);

fn key(name: &str) -> RecordKey {
    Scope::new("test")
        .unwrap()
        .key(&IdempotencyKey::new(name).unwrap())
}

fn fingerprint() -> Fingerprint {
    Fingerprint::of("test/v1", b"500 usd")
}

/// G1, G2: 100 tasks and 200 rounds of a new key each: 200 executions, and every other answer is
/// a replay of theirs or says that it is in flight.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn g1_a_hundred_tasks_and_two_hundred_rounds_execute_two_hundred_times() {
    const TASKS: usize = 100;
    const ROUNDS: usize = 200;
    let idem = Idempotency::builder(MemoryStore::new()).build().unwrap();
    let executed: Arc<[AtomicUsize]> = (0..ROUNDS).map(|_| AtomicUsize::new(0)).collect();
    let replayed = Arc::new(AtomicUsize::new(0));
    let in_flight = Arc::new(AtomicUsize::new(0));
    let barrier = Arc::new(Barrier::new(TASKS));
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS {
        let (idem, executed) = (idem.clone(), Arc::clone(&executed));
        let (replayed, in_flight) = (Arc::clone(&replayed), Arc::clone(&in_flight));
        let barrier = Arc::clone(&barrier);
        tasks.spawn(async move {
            for round in 0..ROUNDS {
                barrier.wait().await;
                let work = async |_| {
                    tokio::task::yield_now().await;
                    let before = executed[round].fetch_add(1, Ordering::SeqCst);
                    Ok::<_, Failure<String>>((round, before))
                };
                let key = key(&format!("round-{round}"));
                match idem.execute(&key, &fingerprint(), work).await {
                    Ok(Outcome {
                        value,
                        replayed: was,
                        ..
                    }) => {
                        assert_eq!(value, (round, 0));
                        replayed.fetch_add(usize::from(was), Ordering::SeqCst);
                    }
                    Err(ExecuteError::Refused(Refused::InFlight { .. })) => {
                        in_flight.fetch_add(1, Ordering::SeqCst);
                    }
                    Err(other) => panic!("{other:?}"),
                }
            }
        });
    }
    while let Some(task) = tasks.join_next().await {
        task.unwrap();
    }
    assert!(
        executed
            .iter()
            .all(|count| count.load(Ordering::SeqCst) == 1)
    );
    let others = replayed.load(Ordering::SeqCst) + in_flight.load(Ordering::SeqCst);
    assert_eq!(others, (TASKS - 1) * ROUNDS);
}

/// Two engines over one store; the first stalls past its lease, and the second takes over.
struct TakenOver {
    store: MemoryStore,
    first: Execution,
    second: Execution,
}

async fn taken_over() -> TakenOver {
    let clock = ManualClock::new();
    let store = MemoryStore::with_config(MemoryConfig::default().clock(clock.clone()));
    let engine = || {
        let policy = Policy::default().lease(LEASE);
        Idempotency::builder(store.clone())
            .policy(policy)
            .build()
            .unwrap()
    };
    let (one, other) = (engine(), engine());
    let first = acquired(one.claim(&key("k"), &fingerprint()).await.unwrap());
    assert_eq!(first.attempt(), 1);
    first.checkpoint("half-way").await.unwrap();

    clock.advance(LEASE - Duration::from_millis(1));
    let busy = other.claim(&key("k"), &fingerprint()).await.unwrap();
    assert!(
        matches!(busy, Claim::Refused(Refused::InFlight { .. })),
        "{busy:?}"
    );
    clock.advance(Duration::from_millis(1));
    let second = acquired(other.claim(&key("k"), &fingerprint()).await.unwrap());
    assert_eq!(second.attempt(), 2);
    assert_eq!(second.previous_checkpoint(), Some(&Bytes::from("half-way")));
    TakenOver {
        store,
        first,
        second,
    }
}

fn acquired(claim: Claim) -> Execution {
    match claim {
        Claim::Acquired(execution) => execution,
        other => panic!("{other:?}"),
    }
}

impl TakenOver {
    /// The first does something; it is told, and changes nothing.
    async fn g3_is_superseded<T: std::fmt::Debug>(
        self,
        act: impl AsyncFnOnce(Execution) -> Result<T, Superseded>,
    ) {
        let Self {
            store,
            first,
            second,
        } = self;
        let before = store.inspect().await;
        assert_eq!(act(first).await.unwrap_err(), Superseded);
        assert_eq!(store.inspect().await, before);

        second.complete("the second's").await.unwrap();
        let State::Completed { payload } = store.inspect().await.state else {
            panic!("the second's ending did not land");
        };
        assert_eq!(payload, "the second's");
    }
}

trait Inspect {
    async fn inspect(&self) -> idem_core::store::Record;
}

impl Inspect for MemoryStore {
    async fn inspect(&self) -> idem_core::store::Record {
        idem_core::store::Store::get(self, &key("k"))
            .await
            .unwrap()
            .unwrap()
            .record
    }
}

fn held(result: Result<(), HoldError>) -> Result<(), Superseded> {
    result.map_err(|error| match error {
        HoldError::Superseded(superseded) => superseded,
        other => panic!("{other}"),
    })
}

#[tokio::test]
async fn g3_complete_of_a_superseded_execution_changes_nothing() {
    let act = async |first: Execution| first.complete("the first's").await;
    taken_over().await.g3_is_superseded(act).await;
}

#[tokio::test]
async fn g3_fail_of_a_superseded_execution_changes_nothing() {
    let act = async |first: Execution| first.fail("the first's").await;
    taken_over().await.g3_is_superseded(act).await;
}

#[tokio::test]
async fn g3_fail_retryable_of_a_superseded_execution_changes_nothing() {
    let act = async |first: Execution| first.fail_retryable().await;
    taken_over().await.g3_is_superseded(act).await;
}

#[tokio::test]
async fn g3_release_of_a_superseded_execution_changes_nothing() {
    let act = async |first: Execution| first.release().await;
    taken_over().await.g3_is_superseded(act).await;
}

#[tokio::test]
async fn g3_renew_of_a_superseded_execution_changes_nothing() {
    let act = async |first: Execution| {
        let renewed = held(first.renew().await);
        let _ = first.release().await;
        renewed
    };
    taken_over().await.g3_is_superseded(act).await;
}

#[tokio::test]
async fn g3_checkpoint_of_a_superseded_execution_changes_nothing() {
    let act = async |first: Execution| {
        let left = held(first.checkpoint("the first's").await);
        let _ = first.release().await;
        left
    };
    taken_over().await.g3_is_superseded(act).await;
}

/// A waiter of another engine is woken by the ending itself: no time passes, and a poll would need
/// some.
#[tokio::test(start_paused = true)]
async fn a_waiter_of_another_engine_wakes_at_once() {
    let store = MemoryStore::new();
    let wait = Policy::default().on_busy(OnBusy::Wait(Duration::from_secs(10)));
    let one = Idempotency::builder(store.clone()).build().unwrap();
    let other = Idempotency::builder(store.clone())
        .watch(store)
        .policy(wait)
        .build()
        .unwrap();
    let first = acquired(one.claim(&key("k"), &fingerprint()).await.unwrap());

    let started = Instant::now();
    let waiter = tokio::spawn(async move {
        let claim = other.claim(&key("k"), &fingerprint()).await.unwrap();
        (claim, Instant::now())
    });
    tokio::task::yield_now().await;
    first.complete("done").await.unwrap();
    let (claim, answered) = waiter.await.unwrap();
    assert!(matches!(claim, Claim::Replay(payload) if payload == "done"));
    assert_eq!(answered, started);
}

/// S5: past its retention a key is as new.
#[tokio::test]
async fn s5_past_its_retention_a_key_runs_anew() {
    let clock = ManualClock::new();
    let store = MemoryStore::with_config(MemoryConfig::default().clock(clock.clone()));
    let idem = Idempotency::builder(store).build().unwrap();
    let retention = idem.policy().retention_time();
    let execute = async |value: u32| {
        let work = async |_| Ok::<_, Failure<String>>(value);
        let outcome = idem.execute(&key("k"), &fingerprint(), work).await.unwrap();
        (outcome.value, outcome.replayed)
    };
    assert_eq!(execute(1).await, (1, false));
    clock.advance(retention - Duration::from_nanos(1));
    assert_eq!(execute(2).await, (1, true));
    clock.advance(Duration::from_nanos(1));
    assert_eq!(execute(3).await, (3, false));
}

/// With no runtime around, a store keeps time all the same.
#[test]
fn a_store_works_outside_of_a_runtime() {
    let idem = Idempotency::builder(MemoryStore::new()).build().unwrap();
    let work = async |_| Ok::<_, Failure<String>>(17);
    let outcome = at_once(idem.execute(&key("k"), &fingerprint(), work));
    assert_eq!(outcome.unwrap().value, 17);
}

/// Polls a future that is ready at once.
fn at_once<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match future.as_mut().poll(&mut context) {
        std::task::Poll::Ready(output) => output,
        std::task::Poll::Pending => panic!("a store in memory answers at once"),
    }
}
