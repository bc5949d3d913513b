use idem_core::{
    Recording, Refused,
    error::Superseded,
    store::{State, StoreErrorKind},
};

use super::{
    store::{Fault, Op},
    *,
};

#[tokio::test(start_paused = true)]
async fn every_ending_lands_in_its_state() {
    let store = ScriptedStore::default();
    let idem = engine(&store);
    assert_eq!(
        acquire(&idem, "a").await.complete("ok").await,
        Ok(Recording::Stored)
    );
    assert_eq!(
        acquire(&idem, "b").await.fail("no").await,
        Ok(Recording::Stored)
    );
    assert_eq!(
        acquire(&idem, "c").await.fail_retryable().await,
        Ok(Recording::Stored)
    );
    assert_eq!(
        acquire(&idem, "d").await.release().await,
        Ok(Recording::Stored)
    );
    assert_eq!(
        store.state(&key("a")),
        Some(State::Completed {
            payload: "ok".into()
        })
    );
    assert_eq!(
        store.state(&key("b")),
        Some(State::Failed {
            payload: "no".into()
        })
    );
    assert_eq!(
        store.state(&key("c")),
        Some(State::Retryable { checkpoint: None })
    );
    assert_eq!(store.state(&key("d")), None);
    assert_eq!(
        acquire(&idem, "d").await.attempt(),
        1,
        "a release leaves no trace"
    );
}

#[tokio::test(start_paused = true)]
async fn g5_an_ending_whose_reply_was_lost_has_landed() {
    for fault in [Fault::LoseReply, Fault::ApplyAndHang, Fault::Hang] {
        let store = ScriptedStore::default();
        let idem = engine(&store);
        let execution = acquire(&idem, "k").await;
        store.fault(Op::Update, fault);
        assert_eq!(
            execution.complete("ok").await,
            Ok(Recording::Stored),
            "{fault:?}"
        );
        assert_eq!(&replayed(&idem, "k").await[..], b"ok");
    }
}

#[tokio::test(start_paused = true)]
async fn g5_a_release_whose_reply_was_lost_is_a_release() {
    for fault in [Fault::LoseReply, Fault::ApplyAndHang, Fault::Hang] {
        let store = ScriptedStore::default();
        let idem = engine(&store);
        let execution = acquire(&idem, "k").await;
        store.fault(Op::Delete, fault);
        assert_eq!(
            execution.release().await,
            Ok(Recording::Stored),
            "{fault:?}"
        );
        assert_eq!(store.state(&key("k")), None);
    }
}

#[tokio::test(start_paused = true)]
async fn g5_a_completion_after_an_unnoticed_renewal_lands() {
    let store = ScriptedStore::default();
    let idem = with(&store, Policy::default().retry_budget(Duration::ZERO));
    let execution = acquire(&idem, "k").await;
    store.fault(Op::Update, Fault::LoseReply);
    execution.renew().await.unwrap_err();
    assert_eq!(execution.complete("ok").await, Ok(Recording::Stored));
    assert_eq!(&replayed(&idem, "k").await[..], b"ok");
}

#[tokio::test(start_paused = true)]
async fn a_lapsed_holder_that_nobody_replaced_may_still_complete() {
    let store = ScriptedStore::default();
    let idem = engine(&store);
    let execution = acquire(&idem, "k").await;
    tokio::time::advance(LEASE * 10).await;
    assert_eq!(execution.complete("late").await, Ok(Recording::Stored));
    assert_eq!(&replayed(&idem, "k").await[..], b"late");
}

#[tokio::test(start_paused = true)]
async fn g3_a_superseded_execution_can_change_nothing() {
    let store = ScriptedStore::default();
    // Two engines: two processes over one store.
    let (first, second) = (engine(&store), engine(&store));
    for ending in [
        "complete",
        "fail",
        "fail_retryable",
        "release",
        "renew",
        "checkpoint",
    ] {
        let stalled = acquire(&first, ending).await;
        tokio::time::advance(LEASE).await;
        let holder = acquire(&second, ending).await;
        assert_eq!(holder.attempt(), 2);
        let before = store.record(&key(ending));
        let superseded = match ending {
            "complete" => stalled.complete("late").await.unwrap_err(),
            "fail" => stalled.fail("late").await.unwrap_err(),
            "fail_retryable" => stalled.fail_retryable().await.unwrap_err(),
            "release" => stalled.release().await.unwrap_err(),
            "renew" => hold_error(stalled.renew().await),
            _ => hold_error(stalled.checkpoint("late").await),
        };
        assert_eq!(superseded, Superseded);
        assert_eq!(
            store.record(&key(ending)),
            before,
            "{ending} changed the record"
        );
        holder.complete("winner").await.unwrap();
        assert_eq!(&replayed(&first, ending).await[..], b"winner");
    }
}

fn hold_error(result: Result<(), idem_core::error::HoldError>) -> Superseded {
    match result {
        Err(idem_core::error::HoldError::Superseded(superseded)) => superseded,
        other => panic!("expected to be superseded, got {other:?}"),
    }
}

/// The peer's fault: a store outage at completion made the work run twice.
#[tokio::test(start_paused = true)]
async fn g2_an_outage_at_completion_does_not_run_the_work_twice() {
    let store = ScriptedStore::default();
    let idem = engine(&store);
    let execution = acquire(&idem, "k").await;
    store.down(StoreErrorKind::Unavailable);
    assert_eq!(execution.complete("ok").await, Ok(Recording::Pending));
    tokio::time::sleep(LEASE * 4).await; // the lease is long over by the store's clock
    store.up();
    assert_eq!(
        &replayed(&idem, "k").await[..],
        b"ok",
        "a claim lands the pending ending first"
    );
    idem.wait_idle().await;
}

#[tokio::test(start_paused = true)]
async fn g2_a_pending_completion_lands_by_itself() {
    let store = ScriptedStore::default();
    let idem = engine(&store);
    let execution = acquire(&idem, "k").await;
    store.down(StoreErrorKind::Unknown);
    assert_eq!(execution.complete("ok").await, Ok(Recording::Pending));
    tokio::time::sleep(Duration::from_secs(60)).await;
    store.up();
    idem.wait_idle().await;
    assert_eq!(
        store.state(&key("k")),
        Some(State::Completed {
            payload: "ok".into()
        })
    );
}

#[tokio::test(start_paused = true)]
async fn a_full_store_keeps_the_key_held_until_the_answer_fits() {
    let store = ScriptedStore::default();
    let (idem, other) = (engine(&store), engine(&store.other_process()));
    let execution = acquire(&idem, "k").await;
    store.no_room_for_answers(true);
    assert_eq!(execution.complete("ok").await, Ok(Recording::Pending));
    for _ in 0..20 {
        tokio::time::sleep(LEASE / 4).await;
        let claim = other.claim(&key("k"), &print("a")).await.unwrap();
        assert!(
            matches!(claim, Claim::Refused(Refused::InFlight { .. })),
            "the key is renewed meanwhile"
        );
    }
    store.no_room_for_answers(false);
    idem.wait_idle().await;
    assert_eq!(&replayed(&other, "k").await[..], b"ok");
}

#[tokio::test(start_paused = true)]
async fn s10_a_completion_that_is_dropped_half_way_goes_on_in_the_background() {
    for fault in [Fault::Hang, Fault::ApplyAndHang] {
        let store = ScriptedStore::default();
        let idem = engine(&store);
        let execution = acquire(&idem, "k").await;
        store.fault(Op::Update, fault);
        let dropped =
            tokio::time::timeout(Duration::from_millis(1), execution.complete("ok")).await;
        assert!(dropped.is_err());
        idem.wait_idle().await;
        assert_eq!(
            store.state(&key("k")),
            Some(State::Completed {
                payload: "ok".into()
            })
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_ending_is_given_up_when_its_retention_is_over() {
    let store = ScriptedStore::default();
    let idem = with(&store, Policy::default().retention(Duration::from_secs(60)));
    let execution = acquire(&idem, "k").await;
    store.down(StoreErrorKind::Unavailable);
    assert_eq!(execution.complete("ok").await, Ok(Recording::Pending));
    let start = tokio::time::Instant::now();
    idem.wait_idle().await;
    assert!(start.elapsed() >= Duration::from_secs(60));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_execution_counts_as_a_crash_and_is_reclaimed_with_its_checkpoint() {
    let store = ScriptedStore::default();
    let idem = engine(&store);
    let crashed = acquire(&idem, "k").await;
    crashed.checkpoint("half").await.unwrap();
    drop(crashed);
    let claim = idem.claim(&key("k"), &print("a")).await.unwrap();
    assert!(
        matches!(claim, Claim::Refused(Refused::InFlight { .. })),
        "nobody knows yet that it is gone"
    );
    tokio::time::advance(LEASE).await;
    let next = acquire(&idem, "k").await;
    assert_eq!(
        (next.attempt(), next.previous_checkpoint().unwrap().as_ref()),
        (2, &b"half"[..])
    );
}

/// As when `select!` finds another branch ready first.
#[tokio::test(start_paused = true)]
async fn an_ending_whose_future_is_never_polled_goes_on_in_the_background() {
    let store = ScriptedStore::default();
    let idem = engine(&store);
    let execution = acquire(&idem, "k").await;
    drop(execution.complete("ok"));
    idem.wait_idle().await;
    assert_eq!(&replayed(&idem, "k").await[..], b"ok");
}
