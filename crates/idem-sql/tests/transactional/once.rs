//! `once_in_tx`: claim, effects and completion in one transaction.
//!
//! Compiled into the tests of each store that is a server, over a `world` of its own.

use std::sync::{Arc, Mutex};

use idem_core::Refused;
use idem_sql::tx::TxError;
use tokio::sync::oneshot;

use crate::{
    in_every_world,
    world::{Told, World, is_absent, pay},
};

in_every_world!(
    g7_all_of_it_commits_together,
    g7_an_error_leaves_no_trace,
    g7_a_panic_leaves_no_trace,
    g2_a_value_that_cannot_be_replayed_leaves_no_trace,
    g1_a_duplicate_waits_and_replays,
    g1_a_duplicate_of_what_is_rolled_back_runs,
    g1_a_duplicate_that_waited_too_long_is_told_in_flight,
    g1_a_key_that_was_claimed_outside_is_in_flight,
    what_an_execution_left_retryable_is_taken_over,
    g4_what_an_execution_released_is_taken_by_another_request,
    g4_another_request_neither_runs_nor_changes_anything,
    an_expired_answer_is_as_good_as_none,
);

async fn g7_all_of_it_commits_together(world: World) {
    for replayed in [false, true] {
        let paid = world
            .transactional
            .once_in_tx(&world.key, &world.fingerprint, pay);
        let paid = paid.await.unwrap();
        assert_eq!((paid.value.as_str(), paid.replayed), ("p-1", replayed));
        assert_eq!(world.payments().await, 1);
        assert_eq!(world.record().await.unwrap(), "completed 1");
    }
}

async fn g7_an_error_leaves_no_trace(world: World) {
    let failed = world
        .transactional
        .once_in_tx(&world.key, &world.fingerprint, async |tx| {
            pay(tx).await.unwrap();
            Err::<String, _>(Told("no network"))
        })
        .await;
    assert!(
        matches!(failed, Err(TxError::Work(Told("no network")))),
        "{failed:?}"
    );
    assert_eq!(world.payments().await, 0);
    assert!(is_absent(&world.transactional, &world.key).await);
    assert_eq!(world.record().await, None);
}

async fn g2_a_value_that_cannot_be_replayed_leaves_no_trace(world: World) {
    let failed = world
        .transactional
        .once_in_tx(&world.key, &world.fingerprint, async |tx| {
            pay(tx).await.map(|_| f64::NAN)
        })
        .await;
    assert!(matches!(failed, Err(TxError::Unstorable(_))), "{failed:?}");
    assert_eq!(world.payments().await, 0);
    assert!(is_absent(&world.transactional, &world.key).await);
}

async fn g7_a_panic_leaves_no_trace(world: World) {
    let failed = world
        .transactional
        .once_in_tx(&world.key, &world.fingerprint, async |tx| {
            pay(tx).await.unwrap();
            panic!("out of paper");
            #[expect(unreachable_code, reason = "says the type")]
            Ok::<(), Told>(())
        })
        .await;
    assert!(
        matches!(&failed, Err(TxError::Panicked(why)) if why == "out of paper"),
        "{failed:?}"
    );
    assert_eq!(world.payments().await, 0);
    assert_eq!(world.record().await, None);
}

/// Runs work that ends when it is told to, on a task of its own, and waits until it has begun.
async fn hold(
    world: &Arc<World>,
    end: Result<(), Told>,
) -> (oneshot::Sender<()>, tokio::task::JoinHandle<bool>) {
    let (begun, has_begun) = oneshot::channel();
    let (go_on, told) = oneshot::channel();
    // Work may run again, so it takes what it uses once out of places.
    let (begun, told) = (Mutex::new(Some(begun)), Mutex::new(Some(told)));
    let world = Arc::clone(world);
    let holder = tokio::spawn(async move {
        let held = world
            .transactional
            .once_in_tx(&world.key, &world.fingerprint, async |tx| {
                let paid = pay(tx).await.unwrap();
                let (begun, told) = (begun.lock().unwrap().take(), told.lock().unwrap().take());
                begun.unwrap().send(()).unwrap();
                told.unwrap().await.unwrap();
                end.map(|()| paid)
            });
        held.await.is_ok()
    });
    has_begun.await.unwrap();
    (go_on, holder)
}

async fn g1_a_duplicate_waits_and_replays(world: World) {
    let world = Arc::new(world);
    let (go_on, holder) = hold(&world, Ok(())).await;
    let elsewhere = world.patient().await;
    let waiting = elsewhere.once_in_tx(
        &world.key,
        &world.fingerprint,
        async |_| -> Result<String, Told> { panic!("G1: it runs") },
    );
    let release = async {
        while world.waiting_for_locks().await == 0 {}
        go_on.send(()).unwrap();
    };
    let (waited, ()) = tokio::join!(waiting, release);
    assert!(holder.await.unwrap());
    let waited = waited.unwrap();
    assert_eq!((waited.value.as_str(), waited.replayed), ("p-1", true));
    assert_eq!(world.payments().await, 1);
}

async fn g1_a_duplicate_of_what_is_rolled_back_runs(world: World) {
    let world = Arc::new(world);
    let (go_on, holder) = hold(&world, Err(Told("no network"))).await;
    let elsewhere = world.patient().await;
    let waiting = elsewhere.once_in_tx(&world.key, &world.fingerprint, pay);
    let release = async {
        while world.waiting_for_locks().await == 0 {}
        go_on.send(()).unwrap();
    };
    let (waited, ()) = tokio::join!(waiting, release);
    assert!(!holder.await.unwrap());
    assert!(!waited.unwrap().replayed);
    assert_eq!(world.payments().await, 1);
}

async fn g1_a_duplicate_that_waited_too_long_is_told_in_flight(world: World) {
    let world = Arc::new(world);
    let (go_on, holder) = hold(&world, Ok(())).await;
    let elsewhere = world.elsewhere().await;
    let waited = elsewhere.once_in_tx(
        &world.key,
        &world.fingerprint,
        async |_| -> Result<String, Told> { panic!("G1: it runs") },
    );
    let waited = waited.await;
    assert!(
        matches!(waited, Err(TxError::Refused(Refused::InFlight { .. }))),
        "{waited:?}"
    );
    go_on.send(()).unwrap();
    assert!(holder.await.unwrap());
    assert_eq!(world.payments().await, 1);
}

async fn g1_a_key_that_was_claimed_outside_is_in_flight(world: World) {
    let execution = world.acquire().await;
    let refused = world
        .transactional
        .once_in_tx(&world.key, &world.fingerprint, pay)
        .await;
    assert!(
        matches!(refused, Err(TxError::Refused(Refused::InFlight { .. }))),
        "{refused:?}"
    );
    execution.complete(&b"\"p-0\""[..]).await.unwrap();
    let replayed = world
        .transactional
        .once_in_tx(&world.key, &world.fingerprint, pay)
        .await;
    let replayed = replayed.unwrap();
    assert_eq!((replayed.value.as_str(), replayed.replayed), ("p-0", true));
    assert_eq!(world.payments().await, 0);
}

async fn what_an_execution_left_retryable_is_taken_over(world: World) {
    let execution = world.acquire().await;
    execution.fail_retryable().await.unwrap();
    let paid = world
        .transactional
        .once_in_tx(&world.key, &world.fingerprint, pay)
        .await;
    assert!(!paid.unwrap().replayed);
    assert_eq!(world.payments().await, 1);
    assert_eq!(world.record().await.unwrap(), "completed 2");
}

async fn g4_what_an_execution_released_is_taken_by_another_request(world: World) {
    world.acquire().await.release().await.unwrap();
    let other = idem_core::Fingerprint::of("payments/v1", b"5 usd");
    let paid = world.transactional.once_in_tx(&world.key, &other, pay);
    assert!(!paid.await.unwrap().replayed);
    assert_eq!(world.record().await.unwrap(), "completed 2");
    let refused = world
        .transactional
        .once_in_tx(&world.key, &world.fingerprint, pay)
        .await;
    assert!(
        matches!(refused, Err(TxError::Refused(Refused::Mismatch))),
        "{refused:?}"
    );
}

async fn g4_another_request_neither_runs_nor_changes_anything(world: World) {
    let other = idem_core::Fingerprint::of("payments/v1", b"5 usd");
    let paid = world
        .transactional
        .once_in_tx(&world.key, &world.fingerprint, pay);
    paid.await.unwrap();
    let record = world.record().await;
    let refused = world
        .transactional
        .once_in_tx(&world.key, &other, async |_| -> Result<String, Told> {
            panic!("G4: it runs")
        })
        .await;
    assert!(
        matches!(refused, Err(TxError::Refused(Refused::Mismatch))),
        "{refused:?}"
    );
    assert_eq!(world.record().await, record);
}

async fn an_expired_answer_is_as_good_as_none(world: World) {
    let paid = world
        .transactional
        .once_in_tx(&world.key, &world.fingerprint, pay);
    paid.await.unwrap();
    world.expire().await;
    let again = world
        .transactional
        .once_in_tx(&world.key, &world.fingerprint, pay);
    assert!(!again.await.unwrap().replayed);
    assert_eq!(world.payments().await, 2);
    assert_eq!(world.record().await.unwrap(), "completed 1");
}
