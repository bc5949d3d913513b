//! Who shares an answer with others that wait for the key, and who does not.

use std::pin::pin;

use futures_util::FutureExt;
use idem_core::{OnAbandoned, Refused, Resolution, store::StoreErrorKind};
use tokio::time::{Instant, sleep};

use super::{
    waiting::{Bell, patient},
    *,
};

#[tokio::test(start_paused = true)]
async fn g4_waiters_whose_key_goes_to_another_request_are_told_so_and_its_own_wait_on() {
    let store = ScriptedStore::default();
    let idem = with(&store, patient());
    let elsewhere = engine(&store.other_process());
    let holder = acquire(&elsewhere, "k").await;
    let claim = |request: &'static str| {
        let idem = idem.clone();
        tokio::spawn(async move { idem.claim(&key("k"), &print(request)).await.unwrap() })
    };
    let first: Vec<_> = (0..10).map(|_| claim("a")).collect();
    sleep(Duration::from_secs(1)).await;
    holder.release().await.unwrap();
    let other = match elsewhere.claim(&key("k"), &print("b")).await.unwrap() {
        Claim::Acquired(execution) => execution,
        other => panic!("{other:?}"),
    };
    let second: Vec<_> = (0..10).map(|_| claim("b")).collect();
    for waiter in first {
        let told = waiter.await.unwrap();
        assert!(
            matches!(told, Claim::Refused(Refused::Mismatch)),
            "{told:?}"
        );
    }
    other.complete("b").await.unwrap();
    for waiter in second {
        let told = waiter.await.unwrap();
        assert!(matches!(told, Claim::Replay(_)), "{told:?}");
    }
}

/// Otherwise each would lead in turn, and spend a budget of its own on a store that is away.
#[tokio::test(start_paused = true)]
async fn a_claim_that_fails_fails_at_once_for_all_who_waited_for_it() {
    let store = ScriptedStore::default();
    let idem = with(&store, patient());
    let holder = acquire(&engine(&store.other_process()), "k").await;
    let waiters: Vec<_> = (0..10)
        .map(|_| {
            let idem = idem.clone();
            tokio::spawn(async move {
                idem.claim(&key("k"), &print("a")).await.unwrap_err();
                Instant::now()
            })
        })
        .collect();
    sleep(Duration::from_millis(1)).await;
    store.down(StoreErrorKind::Unavailable);
    let mut failed = Vec::new();
    for waiter in waiters {
        failed.push(waiter.await.unwrap());
    }
    assert!(failed.iter().all(|at| *at == failed[0]), "{failed:?}");
    store.up();
    holder.complete("ok").await.unwrap();
}

/// The policy decides what becomes of an abandoned key, so each asks under its own.
#[tokio::test(start_paused = true)]
async fn who_waits_under_another_policy_is_not_told_what_is_decided_under_this_one() {
    let store = ScriptedStore::default();
    let policy = patient().lease(Duration::from_secs(3));
    let reclaiming = with(&store, policy.clone());
    let halting = reclaiming
        .with_policy(policy.on_abandoned(OnAbandoned::Halt))
        .unwrap();
    drop(acquire(&reclaiming, "k").await);
    let mut waiters = Vec::new();
    for idem in [halting, reclaiming] {
        let claim = async move { idem.claim(&key("k"), &print("a")).await.unwrap() };
        waiters.push(tokio::spawn(claim));
        sleep(Duration::from_millis(1)).await;
    }
    match waiters.pop().unwrap().await.unwrap() {
        Claim::Acquired(execution) => assert_eq!(execution.attempt(), 2),
        other => panic!("{other:?}"),
    }
    // Whether it looked before the take-over or after it: it does not run.
    let halted = waiters.pop().unwrap().await.unwrap();
    assert!(matches!(halted, Claim::Refused(_)), "{halted:?}");
}

/// A lease that runs out changes nothing in the store, so no watcher tells of it.
#[tokio::test(start_paused = true)]
async fn where_the_store_tells_of_changes_the_end_of_a_lease_is_not_slept_through() {
    for lease in (2_000..3_000).step_by(99) {
        let lease = Duration::from_millis(lease);
        let store = ScriptedStore::default();
        let idem = Idempotency::builder(store)
            .policy(patient().lease(lease))
            .watch(Bell::default())
            .build()
            .unwrap();
        drop(acquire(&idem, "k").await);
        let start = Instant::now();
        assert_eq!(acquire(&idem, "k").await.attempt(), 2);
        assert!(start.elapsed() <= lease + Duration::from_millis(1));
    }
}

/// Although somebody who was there at the time has not looked yet.
#[tokio::test(start_paused = true)]
async fn who_comes_after_an_answer_asks_anew() {
    let store = ScriptedStore::default();
    let policy = patient().lease(Duration::from_secs(2));
    let idem = with(&store, policy.on_abandoned(OnAbandoned::Halt));
    drop(acquire(&idem, "k").await);
    let (name, request) = (key("k"), print("a"));
    let leader = {
        let idem = idem.clone();
        tokio::spawn(async move { idem.claim(&key("k"), &print("a")).await })
    };
    tokio::task::yield_now().await;
    let mut slow = pin!(idem.claim(&name, &request));
    assert!(slow.as_mut().now_or_never().is_none());
    let told = leader.await.unwrap().unwrap();
    assert!(matches!(told, Claim::Refused(Refused::Abandoned { .. })));

    idem.resolve(&name, Resolution::retry()).await.unwrap();
    let next = acquire(&idem, "k").await;
    let mut late = pin!(idem.claim(&name, &request));
    assert!(late.as_mut().now_or_never().is_none());
    next.complete("ok").await.unwrap();
    let told = late.await.unwrap();
    assert!(matches!(told, Claim::Replay(_)), "{told:?}");
    assert!(matches!(slow.await.unwrap(), Claim::Refused(_)));
}
