//! Endings that the store does not take at once.

use idem_core::{
    Failure, Recording, Refused,
    error::ExecuteError,
    machine::Ending,
    store::{State, StoreErrorKind},
};
use tokio::time::{Instant, sleep};

use super::{
    leases::stays_held,
    store::{Fault, Op},
    *,
};

/// An ending that goes on in the background over an outage, and when the store was asked.
async fn asked_over_an_outage(lease: Duration) -> Vec<Instant> {
    let store = ScriptedStore::default();
    let idem = with(&store, Policy::default().lease(lease));
    let execution = acquire(&idem, "k").await;
    store.down(StoreErrorKind::Unavailable);
    let ending = execution.complete("ok").await;
    assert_eq!(ending, Ok(Recording::Pending));
    let in_the_foreground = store.calls(Op::Update);
    sleep(Duration::from_secs(20)).await;
    let asked = store.times(Op::Update)[in_the_foreground..].to_vec();
    store.up();
    idem.wait_idle().await;
    assert_eq!(&replayed(&idem, "k").await[..], b"ok");
    asked
}

/// The key would be free for others otherwise as soon as the store is back.
#[tokio::test(start_paused = true)]
async fn g1_a_pending_ending_asks_three_times_per_lease() {
    let lease = Duration::from_millis(300);
    let asked = asked_over_an_outage(lease).await;
    assert!(asked.len() > 100);
    let pauses = asked.windows(2).map(|pair| pair[1] - pair[0]);
    // Timers count whole milliseconds.
    let longest = lease / 3 + Duration::from_millis(1);
    assert!(pauses.into_iter().all(|pause| pause <= longest));
}

/// Each time a renewal and the ending, because no write has landed for a third of the lease.
#[tokio::test(start_paused = true)]
async fn a_pending_ending_is_tried_at_least_every_second() {
    let mut asked = asked_over_an_outage(LEASE).await;
    let calls = asked.len();
    asked.dedup();
    assert_eq!(calls, asked.len() * 2);
    let pauses = asked.windows(2).map(|pair| pair[1] - pair[0]);
    let mut pauses = pauses.skip_while(|pause| *pause < Duration::from_millis(400));
    assert!(pauses.all(|pause| pause <= Duration::from_millis(1001)));
}

#[tokio::test(start_paused = true)]
async fn g5_a_release_after_a_renewal_that_went_unnoticed_is_a_release() {
    let store = ScriptedStore::default();
    let idem = engine(&store);
    let execution = acquire(&idem, "k").await;
    store.fault(Op::Update, Fault::ApplyAndHang);
    tokio::time::timeout(Duration::from_millis(10), execution.renew())
        .await
        .unwrap_err();
    assert_eq!(execution.release().await, Ok(Recording::Stored));
    assert_eq!(store.state(&key("k")), Some(State::Released));
}

/// Every call but the ending is answered: `statement_timeout` on a large answer, a slow link.
#[tokio::test(start_paused = true)]
async fn g1_a_pending_ending_keeps_its_key_held_whatever_its_error() {
    for kind in [
        StoreErrorKind::Unavailable,
        StoreErrorKind::Unknown,
        StoreErrorKind::Full,
        StoreErrorKind::TooLarge,
        StoreErrorKind::Corrupt,
        StoreErrorKind::Config,
    ] {
        let store = ScriptedStore::default();
        let (idem, other) = (engine(&store), engine(&store.other_process()));
        let execution = acquire(&idem, "k").await;
        store.refuse_answers(Some(kind));
        assert_eq!(execution.complete("ok").await, Ok(Recording::Pending));
        stays_held(&other, LEASE * 5).await;
        store.refuse_answers(None);
        idem.wait_idle().await;
        assert_eq!(&replayed(&other, "k").await[..], b"ok", "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn g1_an_ending_that_hangs_keeps_its_key_held() {
    for lease in [Duration::from_millis(600), LEASE] {
        let store = ScriptedStore::default();
        let policy = Policy::default().lease(lease);
        let (idem, other) = (with(&store, policy), engine(&store.other_process()));
        let execution = acquire(&idem, "k").await;
        // The worst case: the last renewal is a third of the lease ago, and the answer is large.
        sleep(lease / 3).await;
        store.hang_answers(true);
        let ending = tokio::spawn(execution.complete(vec![0; 64 << 20]));
        let until = Instant::now() + lease * 5;
        while Instant::now() < until {
            sleep(lease / 13).await;
            let claim = other.claim(&key("k"), &print("a")).await.unwrap();
            assert!(
                matches!(claim, Claim::Refused(Refused::InFlight { .. })),
                "{claim:?}"
            );
        }
        assert_eq!(ending.await.unwrap(), Ok(Recording::Pending));
        store.hang_answers(false);
        idem.wait_idle().await;
        assert_eq!(replayed(&other, "k").await.len(), 64 << 20);
    }
}

/// Each holds the place of a call for as long as it hangs, and all of them are to be renewed.
#[tokio::test(start_paused = true)]
async fn g1_thousands_of_endings_that_hang_keep_their_keys_held() {
    const ENDINGS: usize = 9_000;
    // Calls may take a third of a lease that is so short.
    let lease = Duration::from_secs(3);
    let store = ScriptedStore::default();
    let (idem, other) = (
        with(&store, Policy::default().lease(lease)),
        engine(&store.other_process()),
    );
    let mut running = Vec::new();
    for n in 0..ENDINGS {
        running.push(acquire(&idem, &n.to_string()).await);
    }
    store.hang_answers(true);
    let end = |execution: Execution| tokio::spawn(execution.complete("ok"));
    let endings: Vec<_> = running.into_iter().map(end).collect();
    for ending in endings {
        assert_eq!(ending.await.unwrap(), Ok(Recording::Pending));
    }
    for _ in 0..30 {
        sleep(lease / 7).await;
        for n in (0..ENDINGS).step_by(97) {
            let key = key(&n.to_string());
            let claim = other.claim(&key, &print("a")).await.unwrap();
            assert!(
                matches!(claim, Claim::Refused(Refused::InFlight { .. })),
                "{n}: {claim:?}"
            );
        }
    }
    store.hang_answers(false);
    idem.wait_idle().await;
    assert_eq!(&replayed(&other, "0").await[..], b"ok");
}

#[tokio::test(start_paused = true)]
async fn g2_an_answer_that_the_store_never_takes_ends_with_its_fallback() {
    for kind in [
        StoreErrorKind::TooLarge,
        StoreErrorKind::Full,
        StoreErrorKind::Config,
    ] {
        let store = ScriptedStore::default();
        let idem = engine(&store);
        let execution = acquire(&idem, "k").await;
        store.refuse_larger_than(100, kind);
        let ending = Ending::Complete(vec![b'x'; 101].into());
        let fallback = Ending::Complete("not kept".into());
        let ended = execution.end_or(ending, fallback).await;
        assert_eq!(ended, Ok(Recording::Fallback));
        assert_eq!(&replayed(&idem, "k").await[..], b"not kept");
    }
}

#[tokio::test(start_paused = true)]
async fn g2_a_typed_answer_that_is_too_large_is_unstorable_for_all_callers() {
    let store = ScriptedStore::default();
    let idem = engine(&store);
    store.refuse_larger_than(200, StoreErrorKind::TooLarge);
    for expected in [false, true] {
        let outcome = idem
            .execute(&key("k"), &print("a"), async |_| {
                Ok::<_, Failure<String>>("x".repeat(201))
            })
            .await;
        match outcome.unwrap_err() {
            ExecuteError::Unstorable { replayed, .. } => assert_eq!(replayed, expected),
            other => panic!("{other:?}"),
        }
    }
}

/// Where even the fallback is refused, the key stays held and both are tried on.
#[tokio::test(start_paused = true)]
async fn g1_a_fallback_that_is_refused_keeps_its_key_held() {
    let store = ScriptedStore::default();
    let (idem, other) = (engine(&store), engine(&store.other_process()));
    let execution = acquire(&idem, "k").await;
    store.refuse_answers(Some(StoreErrorKind::Full));
    let fallback = Ending::Fail("not kept".into());
    let ended = execution.end_or(Ending::Complete("ok".into()), fallback);
    assert_eq!(ended.await, Ok(Recording::Pending));
    stays_held(&other, LEASE * 3).await;
    store.refuse_answers(None);
    idem.wait_idle().await;
    let state = store.state(&key("k")).unwrap();
    let payload = "not kept".into();
    assert_eq!(state, State::Failed { payload });
}
