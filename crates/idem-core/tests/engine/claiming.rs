use std::{
    num::NonZeroU32,
    sync::atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use idem_core::{
    Abandonment, OnAbandoned, ProbeResult, Prober, Refused, Timestamp, store::StoreErrorKind,
};

use super::{
    store::{Fault, Op},
    *,
};

#[tokio::test(start_paused = true)]
async fn a_claim_costs_one_store_call_and_an_ending_another() {
    let store = ScriptedStore::default();
    let idem = engine(&store);
    acquire(&idem, "k").await.complete("ok").await.unwrap();
    assert_eq!((store.calls(Op::Create), store.calls(Op::Update)), (1, 1));
    assert_eq!(&replayed(&idem, "k").await[..], b"ok");
    assert_eq!((store.calls(Op::Create), store.calls(Op::Update)), (2, 1));
    assert_eq!((store.calls(Op::Get), store.calls(Op::Delete)), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn s4_a_clock_that_is_off_shows_in_the_stamp_alone() {
    for shown in [0, 4_000_000_000_000] {
        let store = ScriptedStore::default();
        let shown = Timestamp::from_millis(shown);
        let idem = Idempotency::builder(store.clone())
            .wall_clock(move || shown)
            .build()
            .unwrap();
        let execution = acquire(&idem, "k").await;
        assert_eq!(store.record(&key("k")).unwrap().created_at, shown);
        match idem.claim(&key("k"), &print("a")).await.unwrap() {
            Claim::Refused(Refused::InFlight { retry_after }) => assert_eq!(retry_after, LEASE),
            other => panic!("{other:?}"),
        }
        execution.complete("ok").await.unwrap();
        assert_eq!(&replayed(&idem, "k").await[..], b"ok");
    }
}

#[tokio::test(start_paused = true)]
async fn g4_a_mismatch_is_told_before_in_flight_and_changes_nothing() {
    let store = ScriptedStore::default();
    let idem = engine(&store);
    let execution = acquire(&idem, "k").await;
    let before = store.record(&key("k"));
    let claim = idem.claim(&key("k"), &print("b")).await.unwrap();
    assert!(matches!(claim, Claim::Refused(Refused::Mismatch)));
    assert_eq!(store.record(&key("k")), before);
    execution.complete("ok").await.unwrap();
    let claim = idem.claim(&key("k"), &print("b")).await.unwrap();
    assert!(matches!(claim, Claim::Refused(Refused::Mismatch)));
    assert_eq!(&replayed(&idem, "k").await[..], b"ok");
}

#[tokio::test(start_paused = true)]
async fn g1_busy_says_how_much_lease_is_left() {
    let store = ScriptedStore::default();
    let idem = engine(&store);
    let _held = acquire(&idem, "k").await;
    tokio::time::advance(Duration::from_secs(10)).await;
    match idem.claim(&key("k"), &print("a")).await.unwrap() {
        Claim::Refused(Refused::InFlight { retry_after }) => {
            assert_eq!(retry_after, Duration::from_secs(20));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn g5_a_claim_whose_reply_was_lost_is_acquired_by_its_caller() {
    for fault in [Fault::LoseReply, Fault::ApplyAndHang, Fault::Hang] {
        let store = ScriptedStore::default();
        let idem = engine(&store);
        store.fault(Op::Create, fault);
        let execution = acquire(&idem, "k").await;
        assert_eq!(execution.attempt(), 1);
        execution.complete("ok").await.unwrap();
        assert_eq!(&replayed(&idem, "k").await[..], b"ok");
    }
}

#[tokio::test(start_paused = true)]
async fn g5_a_take_over_whose_reply_was_lost_is_acquired_with_its_attempt_counted_once() {
    for fault in [Fault::LoseReply, Fault::ApplyAndHang, Fault::Hang] {
        let store = ScriptedStore::default();
        let idem = engine(&store);
        acquire(&idem, "k").await.fail_retryable().await.unwrap();
        store.fault(Op::Update, fault);
        assert_eq!(acquire(&idem, "k").await.attempt(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn g6_a_claim_without_an_answer_is_an_error_after_the_retry_budget() {
    let store = ScriptedStore::default();
    let idem = with(
        &store,
        Policy::default().retry_budget(Duration::from_secs(2)),
    );
    store.down(StoreErrorKind::Unavailable);
    let start = tokio::time::Instant::now();
    let error = idem.claim(&key("k"), &print("a")).await.unwrap_err();
    assert_eq!(error.source.kind(), StoreErrorKind::Unavailable);
    assert_eq!(start.elapsed().as_secs(), 2);
    assert!(store.calls(Op::Create) > 3, "it asked again meanwhile");
}

#[tokio::test(start_paused = true)]
async fn errors_that_asking_again_cannot_mend_are_told_at_once() {
    for kind in [
        StoreErrorKind::Full,
        StoreErrorKind::TooLarge,
        StoreErrorKind::Corrupt,
        StoreErrorKind::Config,
    ] {
        let store = ScriptedStore::default();
        store.down(kind);
        let error = engine(&store)
            .claim(&key("k"), &print("a"))
            .await
            .unwrap_err();
        assert_eq!(error.source.kind(), kind);
        assert_eq!(store.calls(Op::Create), 1);
    }
}

/// The claim went through, but nobody learned of it: it must not lock a key that never ran.
#[tokio::test(start_paused = true)]
async fn g5_a_claim_that_was_given_up_is_taken_back() {
    let store = ScriptedStore::default();
    let idem = with(&store, Policy::default().retry_budget(Duration::ZERO));
    store.fault(Op::Create, Fault::ApplyAndHang);
    idem.claim(&key("k"), &print("a")).await.unwrap_err();
    idem.wait_idle().await;
    assert_eq!(store.state(&key("k")), None);
    assert_eq!(acquire(&idem, "k").await.attempt(), 1);
}

#[tokio::test(start_paused = true)]
async fn s10_a_claim_that_is_dropped_half_way_is_taken_back() {
    let store = ScriptedStore::default();
    let idem = engine(&store);
    store.fault(Op::Create, Fault::ApplyAndHang);
    let (k, p) = (key("k"), print("a"));
    let dropped = tokio::time::timeout(Duration::from_millis(1), idem.claim(&k, &p)).await;
    assert!(dropped.is_err());
    idem.wait_idle().await;
    assert_eq!(store.state(&k), None);
}

#[tokio::test(start_paused = true)]
async fn a_take_over_that_is_dropped_half_way_hands_the_history_on() {
    let store = ScriptedStore::default();
    let idem = engine(&store);
    let execution = acquire(&idem, "k").await;
    execution.checkpoint("half").await.unwrap();
    execution.fail_retryable().await.unwrap();
    store.fault(Op::Update, Fault::ApplyAndHang);
    let (k, p) = (key("k"), print("a"));
    let dropped = tokio::time::timeout(Duration::from_millis(1), idem.claim(&k, &p)).await;
    assert!(dropped.is_err());
    idem.wait_idle().await;
    let next = acquire(&idem, "k").await;
    assert_eq!(
        (next.attempt(), next.previous_checkpoint().unwrap().as_ref()),
        (3, &b"half"[..])
    );
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_was_refused_for_sure_is_not_taken_back() {
    let store = ScriptedStore::default();
    let idem = engine(&store);
    store.down(StoreErrorKind::Unavailable);
    idem.claim(&key("k"), &print("a")).await.unwrap_err();
    idem.wait_idle().await;
    assert_eq!(store.calls(Op::Delete), 0);
}

#[tokio::test(start_paused = true)]
async fn a_key_has_only_so_many_attempts() {
    let store = ScriptedStore::default();
    let idem = with(
        &store,
        Policy::default().max_attempts(NonZeroU32::new(2).unwrap()),
    );
    for attempt in 1..=2 {
        let execution = acquire(&idem, "k").await;
        assert_eq!(execution.attempt(), attempt);
        execution.fail_retryable().await.unwrap();
    }
    let claim = idem.claim(&key("k"), &print("a")).await.unwrap();
    assert!(matches!(
        claim,
        Claim::Refused(Refused::Exhausted { attempts: 2 })
    ));
}

#[tokio::test(start_paused = true)]
async fn past_its_retention_a_key_is_as_new() {
    let store = ScriptedStore::default();
    let idem = engine(&store);
    acquire(&idem, "k").await.complete("ok").await.unwrap();
    tokio::time::advance(RETENTION - Duration::from_millis(1)).await;
    assert_eq!(&replayed(&idem, "k").await[..], b"ok");
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(acquire(&idem, "k").await.attempt(), 1);
}

struct Ledger {
    result: ProbeResult,
    asked: AtomicUsize,
}

#[async_trait]
impl Prober for Ledger {
    async fn probe(&self, abandoned: &Abandonment) -> ProbeResult {
        self.asked.fetch_add(1, Ordering::SeqCst);
        assert_eq!(
            (abandoned.attempt, abandoned.checkpoint.as_deref()),
            (1, Some(&b"half"[..]))
        );
        assert_eq!(abandoned.key, key("k"));
        self.result.clone()
    }
}

/// What the next claim answers after an execution vanished, after this probe.
async fn probed(result: ProbeResult, fault: Option<Fault>) -> (Claim, usize) {
    let store = ScriptedStore::default();
    let ledger = std::sync::Arc::new(Ledger {
        result,
        asked: AtomicUsize::new(0),
    });
    let policy = Policy::default().on_abandoned(OnAbandoned::probe(ledger.clone()));
    let idem = with(&store, policy);
    let lost = acquire(&idem, "k").await;
    lost.checkpoint("half").await.unwrap();
    let derived = lost.derive_key("charge");
    drop(lost);
    tokio::time::advance(LEASE).await;
    if let Some(fault) = fault {
        store.fault(Op::Update, fault);
    }
    let claim = idem.claim(&key("k"), &print("a")).await.unwrap();
    if let Claim::Acquired(next) = &claim {
        assert_eq!(
            next.derive_key("charge"),
            derived,
            "G8: stable across attempts"
        );
    }
    (claim, ledger.asked.load(Ordering::SeqCst))
}

#[tokio::test(start_paused = true)]
async fn a_prober_completes_reclaims_or_halts() {
    let paid = || ProbeResult::completed_raw("paid");
    for fault in [None, Some(Fault::LoseReply)] {
        let (claim, asked) = probed(paid(), fault).await;
        assert!(matches!(claim, Claim::Replay(payload) if &payload[..] == b"paid"));
        assert_eq!(asked, 1);
        let (claim, _) = probed(ProbeResult::failed_raw("declined"), fault).await;
        assert!(matches!(claim, Claim::ReplayFailure(payload) if &payload[..] == b"declined"));
        let (claim, _) = probed(ProbeResult::retry(), fault).await;
        assert!(matches!(claim, Claim::Acquired(execution) if execution.attempt() == 2));
    }
    let (claim, _) = probed(ProbeResult::unknown(), None).await;
    assert!(matches!(
        claim,
        Claim::Refused(Refused::Abandoned { attempt: 1 })
    ));
}
