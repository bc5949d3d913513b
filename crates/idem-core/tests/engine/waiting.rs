use std::sync::Arc;

use async_trait::async_trait;
use idem_core::{OnAbandoned, OnBusy, Refused, State, StoreError, Watch, Watcher};
use tokio::sync::Notify;

use super::{store::Op, *};

const MAX: Duration = Duration::from_secs(5);

fn patient() -> Policy {
    Policy::default().on_busy(OnBusy::Wait(MAX))
}

#[tokio::test(start_paused = true)]
async fn a_waiter_in_the_same_process_wakes_at_once_and_replays() {
    let store = ScriptedStore::default();
    let idem = with(&store, patient());
    let holder = acquire(&idem, "k").await;
    let waiter = {
        let idem = idem.clone();
        tokio::spawn(async move { replayed(&idem, "k").await })
    };
    // Not at a moment of the waiter's own polling.
    tokio::time::sleep(Duration::from_micros(2_345_678)).await;
    let ended = tokio::time::Instant::now();
    holder.complete("ok").await.unwrap();
    assert_eq!(&waiter.await.unwrap()[..], b"ok");
    assert_eq!(ended.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_waiter_elsewhere_polls_and_replays() {
    let store = ScriptedStore::default();
    let (here, elsewhere) = (with(&store, patient()), with(&store, patient()));
    let holder = acquire(&here, "k").await;
    let waiter = tokio::spawn(async move { replayed(&elsewhere, "k").await });
    tokio::time::sleep(Duration::from_secs(2)).await;
    holder.complete("ok").await.unwrap();
    assert_eq!(&waiter.await.unwrap()[..], b"ok");
}

#[tokio::test(start_paused = true)]
async fn a_waiter_gives_up_after_its_time_and_never_touches_the_record() {
    let store = ScriptedStore::default();
    let idem = with(&store, patient());
    let holder = acquire(&idem, "k").await;
    let before = store.record(&key("k"));
    let start = tokio::time::Instant::now();
    let claim = idem.claim(&key("k"), &print("a")).await.unwrap();
    assert!(
        matches!(claim, Claim::Refused(Refused::InFlight { retry_after }) if retry_after == LEASE - MAX)
    );
    assert_eq!(start.elapsed(), MAX);
    assert_eq!(store.record(&key("k")), before);
    assert_eq!((store.calls(Op::Update), store.calls(Op::Delete)), (0, 0));
    holder.complete("ok").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn of_many_waiters_one_runs_when_the_holder_fails_retryably() {
    let store = ScriptedStore::default();
    let idem = with(&store, patient());
    let holder = acquire(&idem, "k").await;
    let waiters: Vec<_> = (0..20)
        .map(|_| {
            let idem = idem.clone();
            tokio::spawn(async move {
                match idem.claim(&key("k"), &print("a")).await.unwrap() {
                    Claim::Acquired(next) => {
                        assert_eq!(next.attempt(), 2);
                        tokio::time::sleep(Duration::from_millis(300)).await;
                        next.complete("second").await.unwrap();
                        1
                    }
                    Claim::Replay(payload) => {
                        assert_eq!(&payload[..], b"second");
                        0
                    }
                    other => panic!("{other:?}"),
                }
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_secs(1)).await;
    holder.fail_retryable().await.unwrap();
    let mut runs = 0;
    for waiter in waiters {
        runs += waiter.await.unwrap();
    }
    assert_eq!(runs, 1);
}

#[tokio::test(start_paused = true)]
async fn a_waiter_notices_a_lease_that_runs_out_although_nobody_wakes_it() {
    let store = ScriptedStore::default();
    let short = patient().lease(Duration::from_secs(2));
    let idem = with(&store, short.clone());
    drop(acquire(&idem, "reclaim").await);
    assert_eq!(acquire(&idem, "reclaim").await.attempt(), 2);
    let halting = with(&store, short.on_abandoned(OnAbandoned::Halt));
    drop(acquire(&halting, "halt").await);
    let claim = halting.claim(&key("halt"), &print("a")).await.unwrap();
    assert!(matches!(
        claim,
        Claim::Refused(Refused::Abandoned { attempt: 1 })
    ));
    assert!(matches!(
        store.state(&key("halt")),
        Some(State::InFlight { .. })
    ));
}

/// Wakes everybody whenever it is told to.
#[derive(Clone, Default)]
struct Bell(Arc<Notify>);

#[async_trait]
impl Watch for Bell {
    async fn watch(&self, _: &RecordKey) -> Result<Box<dyn Watcher>, StoreError> {
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl Watcher for Bell {
    async fn changed(&mut self) {
        self.0.notified().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_waiter_elsewhere_that_the_store_wakes_replays_at_once() {
    let store = ScriptedStore::default();
    let bell = Bell::default();
    let here = engine(&store);
    let elsewhere = Idempotency::builder(store.clone())
        .policy(patient())
        .watch(bell.clone())
        .build()
        .unwrap();
    let holder = acquire(&here, "k").await;
    let waiter = tokio::spawn(async move { replayed(&elsewhere, "k").await });
    // Not at a moment of the waiter's own polling.
    tokio::time::sleep(Duration::from_micros(2_345_678)).await;
    let ended = tokio::time::Instant::now();
    holder.complete("ok").await.unwrap();
    bell.0.notify_one();
    assert_eq!(&waiter.await.unwrap()[..], b"ok");
    assert_eq!(ended.elapsed(), Duration::ZERO);
}
