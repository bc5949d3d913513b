use std::sync::Arc;

use async_trait::async_trait;
use idem_core::{
    OnAbandoned, OnBusy, Refused,
    store::{State, StoreError, StoreErrorKind, Watch, Watcher},
};
use tokio::sync::Notify;

use super::{
    store::{Fault, Op},
    *,
};

pub(crate) const MAX: Duration = Duration::from_secs(5);

/// Every duration that a policy takes may be as long as can be told.
#[tokio::test(start_paused = true)]
async fn a_wait_without_end_is_a_wait() {
    let store = ScriptedStore::default();
    let policy = Policy::default().on_busy(OnBusy::Wait(Duration::MAX));
    let idem = with(&store, policy);
    let holder = acquire(&idem, "k").await;
    let waiter = tokio::spawn(async move { replayed(&idem, "k").await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    holder.complete("ok").await.unwrap();
    assert_eq!(&waiter.await.unwrap()[..], b"ok");
}

pub(crate) fn patient() -> Policy {
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

/// Calls of the store that a claim makes.
fn claims(store: &ScriptedStore) -> usize {
    store.calls(Op::Create) + store.calls(Op::Update)
}

/// So many waiters in this process, each a task of its own, all of whom wait by now.
async fn crowd(idem: &Idempotency, size: usize) -> Vec<tokio::task::JoinHandle<idem_core::Bytes>> {
    let waiters = (0..size)
        .map(|_| {
            let idem = idem.clone();
            tokio::spawn(async move { replayed(&idem, "k").await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(1)).await;
    waiters
}

#[tokio::test(start_paused = true)]
async fn a_crowd_that_waits_for_one_key_costs_one_pollers_calls() {
    for size in [1, 1_000, 10_000] {
        let store = ScriptedStore::default();
        let holders = store.other_process();
        let (idem, elsewhere) = (with(&store, patient()), engine(&holders));
        let holder = acquire(&elsewhere, "k").await;
        let waiters = crowd(&idem, size).await;
        tokio::time::sleep(MAX - Duration::from_secs(1)).await;
        let waited = claims(&store) - size;
        assert!(waited <= 20, "{size} waiters: {waited} claims in 4 s");
        let answer = vec![7; 1 << 20];
        holder.complete(answer.clone()).await.unwrap();
        for waiter in waiters {
            assert!(waiter.await.unwrap() == answer);
        }
        let read = claims(&store) - size - waited;
        assert!(read <= 2, "{size} waiters: {read} claims after the end");
    }
}

#[tokio::test(start_paused = true)]
async fn a_crowd_reads_an_answer_of_this_process_once() {
    let store = ScriptedStore::default();
    let idem = with(&store, patient());
    let holder = acquire(&idem, "k").await;
    let waiters = crowd(&idem, 1_000).await;
    let before = claims(&store);
    holder.complete("ok").await.unwrap();
    for waiter in waiters {
        assert_eq!(&waiter.await.unwrap()[..], b"ok");
    }
    assert_eq!(claims(&store) - before, 2, "the ending, and one read");
}

/// Keys that end beside those who wait wake none of them.
#[tokio::test(start_paused = true)]
async fn a_crowd_asks_nothing_when_other_keys_end_beside_it() {
    let store = ScriptedStore::default();
    let idem = with(&store, patient());
    let holder = acquire(&idem, "k").await;
    let waiters = crowd(&idem, 1_000).await;
    let before = claims(&store);
    for n in 0..1_000 {
        let other = acquire(&idem, &n.to_string()).await;
        other.complete("ok").await.unwrap();
        tokio::task::yield_now().await;
    }
    // A claim and an ending each; while time stands still, nobody polls.
    assert_eq!(claims(&store) - before, 2 * 1_000);
    holder.complete("ok").await.unwrap();
    for waiter in waiters {
        assert_eq!(&waiter.await.unwrap()[..], b"ok");
    }
}

/// The herd is let in one by one: a freed key costs one claim, not one for each who waits.
#[tokio::test(start_paused = true)]
async fn a_key_that_becomes_free_is_claimed_by_one_while_the_others_wait_on() {
    let store = ScriptedStore::default();
    let idem = with(&store, patient());
    let holder = acquire(&idem, "k").await;
    let waiters: Vec<_> = (0..1_000)
        .map(|_| {
            let idem = idem.clone();
            tokio::spawn(async move { idem.claim(&key("k"), &print("a")).await.unwrap() })
        })
        .collect();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = claims(&store);
    holder.release().await.unwrap();
    tokio::time::sleep(Duration::from_millis(1)).await;
    let calls = claims(&store) - before;
    assert_eq!(calls, 3, "the release, a look, and one take-over");
    let mut runs = 0;
    for waiter in waiters {
        match waiter.await.unwrap() {
            Claim::Acquired(execution) => {
                runs += 1;
                execution.complete("ok").await.unwrap();
            }
            Claim::Replay(payload) => assert_eq!(&payload[..], b"ok"),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(runs, 1);
}

/// Also where a question at its own time found it free, and nobody was woken.
#[tokio::test(start_paused = true)]
async fn a_key_that_becomes_free_elsewhere_is_claimed_once_and_not_asked_for_by_the_next_in_line() {
    let store = ScriptedStore::default();
    let idem = with(&store, patient());
    let holder = acquire(&engine(&store.other_process()), "k").await;
    for _ in 0..2 {
        let idem = idem.clone();
        tokio::spawn(async move {
            let claim = idem.claim(&key("k"), &print("a")).await;
            tokio::time::sleep(MAX).await;
            drop(claim);
        });
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    holder.release().await.unwrap();
    let before = claims(&store);
    while claims(&store) == before {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    tokio::time::sleep(Duration::from_millis(1)).await;
    let calls = claims(&store) - before;
    assert_eq!(calls, 2, "a look, and one take-over");
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_goes_away_hands_over_and_each_waits_its_own_time() {
    let store = ScriptedStore::default();
    let idem = with(&store, patient());
    let holder = acquire(&idem, "k").await;
    let claim = || {
        let idem = idem.clone();
        tokio::spawn(async move {
            let began = tokio::time::Instant::now();
            let claim = idem.claim(&key("k"), &print("a")).await.unwrap();
            (claim, began.elapsed())
        })
    };
    let dropped = claim();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let early = claim();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let late = claim();
    tokio::time::sleep(Duration::from_secs(1)).await;
    dropped.abort();
    let (claim, waited) = early.await.unwrap();
    assert!(matches!(claim, Claim::Refused(Refused::InFlight { .. })));
    assert_eq!(waited, MAX);
    holder.complete("ok").await.unwrap();
    let (claim, waited) = late.await.unwrap();
    assert!(matches!(claim, Claim::Replay(_)), "{claim:?}");
    assert_eq!(waited, MAX - Duration::from_secs(1));
}

/// The leader's claim fails; whoever came after that claim began has a budget of its own.
#[tokio::test(start_paused = true)]
async fn a_failed_claim_is_told_only_to_those_who_waited_for_all_of_it() {
    let store = ScriptedStore::default();
    let idem = with(&store, patient());
    let holder = acquire(&engine(&store.other_process()), "k").await;
    let claim = || {
        let idem = idem.clone();
        tokio::spawn(async move { idem.claim(&key("k"), &print("a")).await })
    };
    let early = [claim(), claim()];
    tokio::time::sleep(Duration::from_millis(1)).await;
    // The leader's next question gets no answer for a second, and then the store is down.
    store.fault(Op::Create, Fault::Hang);
    tokio::time::sleep(Duration::from_millis(900)).await;
    let late = claim();
    tokio::time::sleep(Duration::from_millis(1)).await;
    store.down(StoreErrorKind::Unavailable);
    for waiter in early {
        waiter.await.unwrap().unwrap_err();
    }
    store.up();
    holder.complete("ok").await.unwrap();
    let told = late.await.unwrap();
    assert!(matches!(told, Ok(Claim::Replay(_))), "{told:?}");
}

/// Says without end that something changed.
struct AlwaysReady;

#[async_trait]
impl Watch for AlwaysReady {
    async fn watch(&self, _: &RecordKey) -> Result<Box<dyn Watcher>, StoreError> {
        Ok(Box::new(Self))
    }
}

#[async_trait]
impl Watcher for AlwaysReady {
    async fn changed(&mut self) {}
}

#[tokio::test(start_paused = true)]
async fn a_watcher_that_is_always_ready_makes_nobody_ask_without_end() {
    let store = ScriptedStore::default();
    let idem = Idempotency::builder(store.clone())
        .policy(patient())
        .watch(AlwaysReady)
        .build()
        .unwrap();
    let holder = acquire(&idem, "k").await;
    let claim = idem.claim(&key("k"), &print("a")).await.unwrap();
    assert!(matches!(claim, Claim::Refused(Refused::InFlight { .. })));
    let asked = claims(&store);
    assert!(asked <= 105, "{asked} claims in 5 s");
    holder.complete("ok").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn where_the_store_tells_of_changes_it_is_rarely_asked_and_a_lost_hint_costs_a_pause() {
    let store = ScriptedStore::default();
    let idem = Idempotency::builder(store.clone())
        .policy(patient())
        .watch(Bell::default())
        .build()
        .unwrap();
    let elsewhere = engine(&store.other_process());
    let holder = acquire(&elsewhere, "k").await;
    let waiters = crowd(&idem, 100).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let asked = claims(&store) - 100;
    assert!(asked <= 3, "{asked} claims in 2 s");
    // Nobody rings.
    holder.complete("ok").await.unwrap();
    for waiter in waiters {
        assert_eq!(&waiter.await.unwrap()[..], b"ok");
    }
}

/// Wakes everybody whenever it is told to.
#[derive(Clone, Default)]
pub(crate) struct Bell(Arc<Notify>);

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
