use idem_core::{
    Context, Failure, OnAbandoned, ProbeResult, Refused, Resolution,
    error::{ExecuteError, ResolveError},
    machine::NotResolvable,
};

use super::{
    store::{Fault, Op},
    *,
};

async fn halted() -> (ScriptedStore, Idempotency) {
    let store = ScriptedStore::default();
    let idem = with(&store, Policy::default().on_abandoned(OnAbandoned::Halt));
    drop(acquire(&idem, "k").await);
    tokio::time::advance(LEASE).await;
    let claim = idem.claim(&key("k"), &print("a")).await.unwrap();
    assert!(matches!(
        claim,
        Claim::Refused(Refused::Abandoned { attempt: 1 })
    ));
    (store, idem)
}

#[tokio::test(start_paused = true)]
async fn a_halted_key_is_settled_by_hand() {
    let (_, idem) = halted().await;
    idem.resolve(&key("k"), Resolution::completed_raw("paid"))
        .await
        .unwrap();
    assert_eq!(&replayed(&idem, "k").await[..], b"paid");

    let (_, idem) = halted().await;
    idem.resolve(&key("k"), Resolution::failed_raw("declined"))
        .await
        .unwrap();
    let claim = idem.claim(&key("k"), &print("a")).await.unwrap();
    assert!(matches!(claim, Claim::ReplayFailure(payload) if &payload[..] == b"declined"));

    let (_, idem) = halted().await;
    idem.resolve(&key("k"), Resolution::retry()).await.unwrap();
    assert_eq!(acquire(&idem, "k").await.attempt(), 2);
}

/// What an operator stores, `execute` reads as if the work had returned it.
#[tokio::test(start_paused = true)]
async fn a_typed_key_is_settled_with_values() {
    let charge = async |idem: &Idempotency| {
        let work = async |_: Context| Ok::<u64, Failure<String>>(0);
        idem.execute(&key("k"), &print("a"), work).await
    };
    let (_, idem) = halted().await;
    let found = Resolution::completed(&17_u64).unwrap();
    idem.resolve(&key("k"), found).await.unwrap();
    let outcome = charge(&idem).await.unwrap();
    assert_eq!((outcome.value, outcome.replayed), (17, true));

    let (_, idem) = halted().await;
    let declined = Resolution::failed(&"declined".to_owned()).unwrap();
    idem.resolve(&key("k"), declined).await.unwrap();
    match charge(&idem).await.unwrap_err() {
        ExecuteError::Failed { error, replayed } => {
            assert_eq!((error.as_str(), replayed), ("declined", true));
        }
        other => panic!("{other:?}"),
    }
    Resolution::completed(&f64::NAN).unwrap_err();
    ProbeResult::failed(&f64::NAN).unwrap_err();
}

#[test]
fn a_resolution_shows_its_kind_and_never_its_payload() {
    let found = Resolution::completed(&"secret".to_owned()).unwrap();
    assert_eq!(format!("{found:?}"), "Resolution(completed)");
    assert_eq!(
        format!("{:?}", ProbeResult::from(found)),
        "ProbeResult(completed)"
    );
    assert_eq!(
        format!("{:?}", ProbeResult::unknown()),
        "ProbeResult(unknown)"
    );
}

#[tokio::test(start_paused = true)]
async fn g5_a_resolution_whose_reply_was_lost_has_landed() {
    let (store, idem) = halted().await;
    store.fault(Op::Update, Fault::LoseReply);
    idem.resolve(&key("k"), Resolution::completed_raw("paid"))
        .await
        .unwrap();
    assert_eq!(&replayed(&idem, "k").await[..], b"paid");
}

#[tokio::test(start_paused = true)]
async fn g3_a_holder_that_comes_back_after_a_resolution_is_superseded() {
    let store = ScriptedStore::default();
    let idem = with(&store, Policy::default().on_abandoned(OnAbandoned::Halt));
    let stalled = acquire(&idem, "k").await;
    tokio::time::advance(LEASE).await;
    idem.resolve(&key("k"), Resolution::completed_raw("paid"))
        .await
        .unwrap();
    stalled.complete("late").await.unwrap_err();
    assert_eq!(&replayed(&idem, "k").await[..], b"paid");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_halted_is_refused_with_its_state() {
    let store = ScriptedStore::default();
    let idem = engine(&store);
    let refused = async |name: &str| match idem
        .resolve(&key(name), Resolution::retry())
        .await
        .unwrap_err()
    {
        ResolveError::NotResolvable(refusal) => refusal,
        other => panic!("{other}"),
    };
    assert_eq!(refused("absent").await, NotResolvable::Absent);
    let context = acquire(&idem, "k").await;
    assert_eq!(
        refused("k").await,
        NotResolvable::Running { retry_after: LEASE }
    );
    context.complete("ok").await.unwrap();
    assert_eq!(refused("k").await, NotResolvable::Ended("completed"));
}

#[tokio::test(start_paused = true)]
async fn g2_of_two_who_resolve_a_key_the_second_is_told_that_it_changed() {
    let (store, idem) = halted().await;
    // The first one's write is lost on its way; it is sent again after the second one's.
    store.fault(Op::Update, Fault::Hang);
    let first = {
        let idem = idem.clone();
        tokio::spawn(async move {
            let resolution = Resolution::completed_raw("paid");
            idem.resolve(&key("k"), resolution).await
        })
    };
    tokio::time::sleep(Duration::from_millis(100)).await;
    let elsewhere = engine(&store.other_process());
    elsewhere
        .resolve(&key("k"), Resolution::failed_raw("declined"))
        .await
        .unwrap();
    let told = first.await.unwrap();
    assert!(matches!(told, Err(ResolveError::Changed)), "{told:?}");
    let claim = idem.claim(&key("k"), &print("a")).await.unwrap();
    assert!(matches!(claim, Claim::ReplayFailure(payload) if &payload[..] == b"declined"));
}
