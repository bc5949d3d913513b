use std::sync::atomic::{AtomicUsize, Ordering};

use idem_core::{
    Failure, OnOutage, Outcome, Recording,
    error::{ExecuteError, PolicyError},
    store::StoreErrorKind,
};

use super::*;

async fn run(
    policy: Policy,
    kind: StoreErrorKind,
) -> (Result<Outcome<u32>, ExecuteError<String>>, usize) {
    let store = ScriptedStore::default();
    let idem = with(&store, policy);
    store.down(kind);
    let runs = AtomicUsize::new(0);
    let result = idem
        .execute(&key("k"), &print("a"), async |running| {
            runs.fetch_add(1, Ordering::SeqCst);
            assert!(!running.is_protected());
            running.checkpoint("x").await.unwrap();
            Ok::<_, Failure<String>>(running.attempt())
        })
        .await;
    (result, runs.into_inner())
}

#[tokio::test(start_paused = true)]
async fn g6_nothing_runs_while_the_store_is_out_of_reach() {
    for kind in [
        StoreErrorKind::Unavailable,
        StoreErrorKind::Unknown,
        StoreErrorKind::Full,
    ] {
        let (result, runs) = run(Policy::default(), kind).await;
        assert!(matches!(result, Err(ExecuteError::Claim(e)) if e.source.kind() == kind));
        assert_eq!(runs, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn g6_fail_open_runs_unprotected_and_says_so() {
    let open = Policy::default().on_outage(OnOutage::FailOpen);
    let (result, runs) = run(open.clone(), StoreErrorKind::Unavailable).await;
    let outcome = result.unwrap();
    assert_eq!(
        (outcome.value, outcome.recording, runs),
        (0, Recording::Unprotected, 1)
    );
    // A store that is set up wrongly, or full, is no outage.
    for kind in [
        StoreErrorKind::Full,
        StoreErrorKind::Config,
        StoreErrorKind::Corrupt,
    ] {
        let (result, runs) = run(open.clone(), kind).await;
        assert!(matches!(result, Err(ExecuteError::Claim(_))));
        assert_eq!(runs, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_unprotected_work_is_an_error_like_any_other() {
    let store = ScriptedStore::default();
    let idem = with(&store, Policy::default().on_outage(OnOutage::FailOpen));
    store.down(StoreErrorKind::Unavailable);
    let result: Result<Outcome<()>, ExecuteError<String>> = idem
        .execute(&key("k"), &print("a"), async |_| panic!("boom"))
        .await;
    assert!(matches!(result, Err(ExecuteError::Panicked { message, .. }) if message == "boom"));
}

#[test]
fn a_policy_that_cannot_work_is_refused_with_the_mend() {
    let build = |policy| {
        Idempotency::builder(ScriptedStore::default())
            .policy(policy)
            .build()
    };
    let error = |policy| build(policy).unwrap_err();
    let short = Duration::from_millis(2);
    assert_eq!(
        error(Policy::default().lease(short)),
        PolicyError::LeaseTooShort(short)
    );
    let none = Duration::ZERO;
    assert_eq!(
        error(Policy::default().retention(none)),
        PolicyError::RetentionTooShort(none)
    );
    assert_eq!(
        error(Policy::default().call_timeout(none)),
        PolicyError::NoCallTimeout
    );
    let (timeout, lease) = (Duration::from_secs(2), Duration::from_secs(5));
    assert_eq!(
        error(Policy::default().lease(lease).call_timeout(timeout)),
        PolicyError::CallTimeoutTooLong { timeout, lease }
    );
    let error = error(Policy::default().retention(Duration::MAX));
    assert!(error.to_string().starts_with("a retention of"), "{error}");
    assert!(
        build(Policy::default())
            .unwrap()
            .with_policy(Policy::default().lease(short))
            .is_err()
    );
}
