use idem_core::{NotResolvable, OnAbandoned, Refused, Resolution, ResolveError};

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
    let running = acquire(&idem, "k").await;
    assert_eq!(
        refused("k").await,
        NotResolvable::Running { retry_after: LEASE }
    );
    running.complete("ok").await.unwrap();
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
