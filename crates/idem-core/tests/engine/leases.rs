//! Pending endings, outages and renewals that go wrong: the key stays held while its process lives.

use idem_core::{Failure, Recording, State, StoreErrorKind, machine::Ending};
use tokio::time::{Instant, sleep};

use super::{
    store::{Fault, Op},
    *,
};

/// Whether another process is told that the key is in flight, for so long.
async fn stays_held(other: &Idempotency, time: Duration) {
    let until = Instant::now() + time;
    while Instant::now() < until {
        sleep(LEASE / 7).await;
        let claim = other.claim(&key("k"), &print("a")).await.unwrap();
        assert!(
            matches!(claim, Claim::Refused(idem_core::Refused::InFlight { .. })),
            "{claim:?}"
        );
    }
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
        idem.drained().await;
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
                matches!(claim, Claim::Refused(idem_core::Refused::InFlight { .. })),
                "{claim:?}"
            );
        }
        assert_eq!(ending.await.unwrap(), Ok(Recording::Pending));
        store.hang_answers(false);
        idem.drained().await;
        assert_eq!(replayed(&other, "k").await.len(), 64 << 20);
    }
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
            idem_core::ExecuteError::Unstorable { replayed, .. } => assert_eq!(replayed, expected),
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
    idem.drained().await;
    let state = store.state(&key("k")).unwrap();
    let payload = "not kept".into();
    assert_eq!(state, State::Failed { payload });
}

/// Holder and claimer lose the store for longer than a lease; the claimer is back first.
async fn after_an_outage(kind: StoreErrorKind) -> (ScriptedStore, ScriptedStore, Idempotency) {
    let store = ScriptedStore::default();
    let elsewhere = store.other_process();
    let (idem, other) = (engine(&store), engine(&elsewhere));
    tokio::spawn(async move {
        idem.execute(&key("k"), &print("a"), async |_| {
            sleep(LEASE * 8).await;
            Ok::<_, Failure<String>>("ok".to_owned())
        })
        .await
        .unwrap();
    });
    sleep(LEASE / 2).await;
    store.down(kind);
    elsewhere.down(kind);
    for _ in 0..8 {
        sleep(LEASE / 4).await;
        other.claim(&key("k"), &print("a")).await.unwrap_err();
    }
    (store, elsewhere, other)
}

#[tokio::test(start_paused = true)]
async fn g1_after_an_outage_a_living_holder_gets_the_time_of_one_renewal() {
    for kind in [StoreErrorKind::Unavailable, StoreErrorKind::Unknown] {
        let (store, elsewhere, other) = after_an_outage(kind).await;
        store.up();
        elsewhere.up();
        stays_held(&other, LEASE * 4).await;
        sleep(LEASE * 2).await;
        assert_eq!(&replayed(&other, "k").await[..], b"\"ok\"");
    }
}

#[tokio::test(start_paused = true)]
async fn after_an_outage_a_dead_holder_is_replaced_once_the_grace_is_over() {
    // The holder never comes back.
    let (_, elsewhere, other) = after_an_outage(StoreErrorKind::Unavailable).await;
    elsewhere.up();
    let back = Instant::now();
    loop {
        match other.claim(&key("k"), &print("a")).await.unwrap() {
            Claim::Refused(idem_core::Refused::InFlight { retry_after }) => {
                sleep(retry_after).await
            }
            Claim::Acquired(execution) => {
                assert_eq!(execution.attempt(), 2);
                break;
            }
            claim => panic!("{claim:?}"),
        }
    }
    assert_eq!(back.elapsed(), LEASE / 3);
}

#[tokio::test(start_paused = true)]
async fn g8_under_halt_an_abandoned_key_never_runs_again_by_itself() {
    use idem_core::OnAbandoned;
    let store = ScriptedStore::default();
    let idem = with(&store, Policy::default().on_abandoned(OnAbandoned::Halt));
    drop(acquire(&idem, "k").await);
    tokio::time::advance(RETENTION * 365 * 10).await;
    let claim = idem.claim(&key("k"), &print("a")).await.unwrap();
    assert!(
        matches!(
            claim,
            Claim::Refused(idem_core::Refused::Abandoned { attempt: 1 })
        ),
        "{claim:?}"
    );
    // Its ending sets the ttl back to the retention.
    let resolution = idem_core::Resolution::completed_raw("paid");
    idem.resolve(&key("k"), resolution).await.unwrap();
    assert_eq!(&replayed(&idem, "k").await[..], b"paid");
    tokio::time::advance(RETENTION).await;
    assert_eq!(acquire(&idem, "k").await.attempt(), 1);
}

/// Twelve claims behind one black hole: one shared attempt, within each claim's own budget.
#[tokio::test(start_paused = true)]
async fn claims_behind_a_pending_ending_wait_no_longer_than_their_budget() {
    let store = ScriptedStore::default();
    let idem = engine(&store);
    let execution = acquire(&idem, "k").await;
    store.hang_answers(true);
    assert_eq!(execution.complete("ok").await, Ok(Recording::Pending));
    let calls = store.calls(Op::Update);
    let claims: Vec<_> = (0..12)
        .map(|_| {
            let idem = idem.clone();
            tokio::spawn(async move {
                let start = Instant::now();
                let claim = idem.claim(&key("k"), &print("a")).await.unwrap();
                assert!(
                    matches!(claim, Claim::Refused(idem_core::Refused::InFlight { .. })),
                    "{claim:?}"
                );
                start.elapsed()
            })
        })
        .collect();
    for claim in claims {
        assert!(claim.await.unwrap() <= Duration::from_secs(2));
    }
    assert!(store.calls(Op::Update) <= calls + 4, "one attempt for all");
}

/// Between an outage and its end, nothing that has ended runs again in the same process.
#[tokio::test(start_paused = true)]
async fn g2_a_claim_behind_a_pending_ending_never_takes_over() {
    let store = ScriptedStore::default();
    let idem = engine(&store);
    let execution = acquire(&idem, "k").await;
    store.down(StoreErrorKind::Unavailable);
    assert_eq!(execution.complete("ok").await, Ok(Recording::Pending));
    sleep(LEASE * 2).await;
    store.up();
    store.refuse_answers(Some(StoreErrorKind::Unavailable));
    store.refuse_renewals(true);
    let claim = idem.claim(&key("k"), &print("a")).await.unwrap();
    assert!(
        matches!(claim, Claim::Refused(idem_core::Refused::InFlight { .. })),
        "{claim:?}"
    );
}

/// The work blocks its thread for longer than its lease.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g1_work_that_blocks_its_thread_is_renewed_all_the_same() {
    let lease = Duration::from_millis(900);
    let store = ScriptedStore::default();
    let policy = || Policy::default().lease(lease);
    let (idem, other) = (
        with(&store, policy()),
        with(&store.other_process(), policy()),
    );
    let work = tokio::spawn(async move {
        idem.execute(&key("k"), &print("a"), async |_| {
            tokio::task::yield_now().await;
            std::thread::sleep(lease * 3);
            Ok::<_, Failure<String>>("ok".to_owned())
        })
        .await
    });
    std::thread::sleep(lease * 2);
    let claim = other.claim(&key("k"), &print("a")).await.unwrap();
    assert!(
        matches!(claim, Claim::Refused(idem_core::Refused::InFlight { .. })),
        "{claim:?}"
    );
    assert!(!work.await.unwrap().unwrap().replayed);
}

#[tokio::test(start_paused = true)]
async fn g1_a_renewal_that_hangs_delays_no_other() {
    let store = ScriptedStore::default();
    let idem = engine(&store);
    let works: Vec<_> = (0..20)
        .map(|n| {
            let idem = idem.clone();
            tokio::spawn(async move {
                let name = key(&n.to_string());
                idem.execute(&name, &print("a"), async |_| {
                    sleep(LEASE * 2).await;
                    Ok::<_, Failure<String>>(0)
                })
                .await
            })
        })
        .collect();
    sleep(Duration::from_millis(1)).await;
    for _ in 0..10 {
        store.fault(Op::Update, Fault::Hang);
    }
    sleep(LEASE / 3 + Duration::from_millis(5)).await;
    let began = store.times(Op::Update);
    assert_eq!(began.len(), 20, "all of them, although ten hang");
    for work in works {
        assert!(!work.await.unwrap().unwrap().replayed);
    }
}

#[tokio::test(start_paused = true)]
async fn an_ending_waits_for_the_renewal_that_is_under_way() {
    let store = ScriptedStore::default();
    let idem = engine(&store);
    let time = LEASE / 3 + Duration::from_millis(10);
    store.fault(Op::Update, Fault::ApplyAndHang);
    let started = Instant::now();
    let outcome = idem
        .execute(&key("k"), &print("a"), async |_| {
            sleep(time).await;
            Ok::<_, Failure<String>>(1)
        })
        .await;
    assert_eq!(outcome.unwrap().recording, Recording::Stored);
    assert_eq!(started.elapsed(), LEASE / 3 + Duration::from_secs(1));
}

/// Renewals and endings go on although the runtime that first kept them is gone.
#[test]
fn g1_renewals_outlive_the_runtime_that_they_were_begun_on() {
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap()
    };
    let store = ScriptedStore::default();
    let idem = engine(&store);
    let first = runtime();
    let (begun, works) = tokio::sync::oneshot::channel();
    first.block_on(async {
        let idem = idem.clone();
        tokio::spawn(async move {
            idem.execute(&key("a"), &print("a"), async |_| {
                let _ = begun.send(());
                sleep(LEASE * 100).await;
                Ok::<_, Failure<String>>(0)
            })
            .await
        });
        works.await.unwrap();
        tokio::task::yield_now().await;
    });
    drop(first);
    let second = runtime();
    second.block_on(async {
        let outcome = idem
            .execute(&key("b"), &print("a"), async |_| {
                sleep(LEASE * 3).await;
                Ok::<_, Failure<String>>(0)
            })
            .await;
        assert!(!outcome.unwrap().replayed);
        assert!(store.calls(Op::Update) >= 8, "it was renewed");
    });
}
