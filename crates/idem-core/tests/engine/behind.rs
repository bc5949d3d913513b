//! Claims of a key whose ending, or whose release, the store has not taken yet.

use idem_core::{Recording, Refused, store::StoreErrorKind};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

use super::{
    store::{Fault, Op},
    *,
};

/// An engine, and a key that waits for an answer of this size, which the store does not take.
async fn hanging(answer: usize) -> (ScriptedStore, Idempotency) {
    let store = ScriptedStore::default();
    let idem = engine(&store);
    let execution = acquire(&idem, "k").await;
    store.hang_answers(true);
    let ending = execution.complete(vec![b'x'; answer]).await;
    assert_eq!(ending, Ok(Recording::Pending));
    (store, idem)
}

fn assert_in_flight(claim: &Claim) {
    assert!(
        matches!(claim, Claim::Refused(Refused::InFlight { .. })),
        "{claim:?}"
    );
}

/// A claim that finds the key in flight, and how long it took.
fn refused_claim(idem: &Idempotency) -> JoinHandle<Duration> {
    let idem = idem.clone();
    tokio::spawn(async move {
        let start = Instant::now();
        assert_in_flight(&idem.claim(&key("k"), &print("a")).await.unwrap());
        start.elapsed()
    })
}

/// Twelve claims behind one black hole: one shared attempt, within each claim's own budget, however
/// long the attempt itself may take.
#[tokio::test(start_paused = true)]
async fn claims_behind_a_pending_ending_wait_no_longer_than_their_budget() {
    for (answer, budget) in [(2, 0), (2, 100), (2, 2000), (64 << 20, 2000)] {
        let (store, idem) = hanging(answer).await;
        let budget = Duration::from_millis(budget);
        let policy = idem.policy().clone().retry_budget(budget);
        let idem = idem.with_policy(policy).unwrap();
        let calls = store.calls(Op::Update);
        let claims: Vec<_> = (0..12).map(|_| refused_claim(&idem)).collect();
        for claim in claims {
            let took = claim.await.unwrap();
            // A timer of zero fires at the next millisecond.
            assert!(
                took <= budget.max(Duration::from_millis(1)),
                "{answer}: {took:?}"
            );
        }
        assert!(store.calls(Op::Update) <= calls + 4, "one attempt for all");
    }
}

/// The wait counts against the budget for asking the store.
#[tokio::test(start_paused = true)]
async fn a_claim_behind_a_pending_ending_has_one_budget_for_all_of_it() {
    let (store, idem) = hanging(64 << 20).await;
    store.hang_all(true);
    let start = Instant::now();
    idem.claim(&key("k"), &print("a")).await.unwrap_err();
    let call = Duration::from_secs(1);
    assert!(start.elapsed() <= Duration::from_secs(2) + call);
}

/// A pending ending is tried once a second at last; nobody need wait for that.
#[tokio::test(start_paused = true)]
async fn a_claim_has_a_pending_ending_tried_at_once() {
    // Not all at a moment of the attempts' own.
    for wait in (10_000..11_000).step_by(101) {
        let store = ScriptedStore::default();
        let idem = engine(&store);
        let execution = acquire(&idem, "k").await;
        store.refuse_answers(Some(StoreErrorKind::Unavailable));
        assert_eq!(execution.complete("ok").await, Ok(Recording::Pending));
        sleep(Duration::from_millis(wait)).await;
        store.refuse_answers(None);
        let start = Instant::now();
        assert_eq!(&replayed(&idem, "k").await[..], b"ok");
        assert!(start.elapsed() <= Duration::from_millis(11));
    }
}

/// A claim has the ending tried, but many claims do not have it tried more often than at first.
#[tokio::test(start_paused = true)]
async fn many_claims_behind_a_pending_ending_are_no_storm() {
    let store = ScriptedStore::default();
    let idem = engine(&store);
    let execution = acquire(&idem, "k").await;
    store.refuse_answers(Some(StoreErrorKind::Unavailable));
    assert_eq!(execution.complete("ok").await, Ok(Recording::Pending));
    let before = store.refused_answers();
    let begun = Instant::now();
    let mut waiting = Vec::new();
    for _ in 0..1_000 {
        waiting.push(refused_claim(&idem));
        sleep(Duration::from_millis(1)).await;
    }
    for claim in waiting {
        claim.await.unwrap();
    }
    let least = Duration::from_millis(10);
    let attempts = store.refused_answers() - before;
    let most = begun.elapsed().as_millis() / least.as_millis() + 2;
    assert!(
        attempts as u128 <= most,
        "{attempts} attempts, {most} at most"
    );
}

/// Between an outage and its end, nothing that has ended runs again in the same process. Other keys
/// are served all the while, so it is no outage that holds the claim back.
#[tokio::test(start_paused = true)]
async fn g2_a_claim_behind_a_pending_ending_never_takes_over() {
    let store = ScriptedStore::default();
    let idem = engine(&store);
    let execution = acquire(&idem, "k").await;
    store.refuse_answers(Some(StoreErrorKind::Unavailable));
    store.refuse_renewals(true);
    assert_eq!(execution.complete("ok").await, Ok(Recording::Pending));
    for n in 0..60 {
        sleep(LEASE / 30).await;
        acquire(&idem, &n.to_string())
            .await
            .release()
            .await
            .unwrap();
    }
    assert_eq!(idem.grace(), Duration::ZERO);
    assert_in_flight(&idem.claim(&key("k"), &print("a")).await.unwrap());
}

/// Nobody runs under a claim that is given back: it holds its key for a lease and no longer.
#[tokio::test(start_paused = true)]
async fn a_claim_that_cannot_be_given_back_is_free_after_its_lease() {
    let store = ScriptedStore::default();
    let idem = engine(&store);
    store.fault(Op::Create, Fault::ApplyAndHang);
    for _ in 0..10_000 {
        store.fault(Op::Delete, Fault::Hang);
    }
    let (name, request) = (key("k"), print("a"));
    tokio::time::timeout(Duration::from_millis(100), idem.claim(&name, &request))
        .await
        .unwrap_err();
    // The outage's grace is over by then.
    for _ in 0..45 {
        sleep(Duration::from_secs(1)).await;
        match idem.claim(&key("k"), &print("a")).await.unwrap() {
            Claim::Acquired(execution) => return assert_eq!(execution.attempt(), 2),
            Claim::Refused(_) => {}
            other => panic!("{other:?}"),
        }
    }
    panic!("the key is still held");
}

/// A claim gave up meanwhile, and what it may have claimed is to be given back.
#[tokio::test(start_paused = true)]
async fn g1_a_claim_waits_for_the_ending_of_its_key_and_not_for_the_release_of_another_claim() {
    let store = ScriptedStore::default();
    let idem = with(&store, Policy::default().retry_budget(Duration::ZERO));
    let execution = acquire(&idem, "k").await;
    store.hang_answers(true);
    store.refuse_renewals(true);
    let ending = execution.complete("done").await;
    assert_eq!(ending, Ok(Recording::Pending));
    // Other keys are written: the store is not away.
    let writer = idem.clone();
    let writes = tokio::spawn(async move {
        for n in 0.. {
            drop(acquire(&writer, &format!("other {n}")).await);
            sleep(LEASE / 50).await;
        }
    });
    sleep(LEASE * 2).await;
    writes.abort();
    let _ = writes.await;
    store.fault(Op::Create, Fault::Hang);
    idem.claim(&key("k"), &print("a")).await.unwrap_err();
    store.hang_answers(false);
    store.refuse_renewals(false);
    let claim = idem.claim(&key("k"), &print("a")).await.unwrap();
    assert!(!matches!(claim, Claim::Acquired(_)), "{claim:?}");
    idem.wait_idle().await;
    assert_eq!(&replayed(&idem, "k").await[..], b"done");
}
