//! `once_in_tx`: claim, effects and completion in one transaction.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use idem_core::{Fingerprint, Refused};
use idem_sqlite::TxError;
use tokio::sync::oneshot;

use crate::world::{Told, World, pay};

#[tokio::test]
async fn g7_all_of_it_commits_together() {
    let world = World::open().await;
    for replayed in [false, true] {
        let paid = world
            .transactional
            .once_in_tx(&world.key, &world.fingerprint, pay);
        let paid = paid.await.unwrap();
        assert_eq!((paid.value.as_str(), paid.replayed), ("p-1", replayed));
        assert_eq!(world.payments().await, 1);
        assert_eq!(world.record().await.unwrap(), "completed");
    }
}

#[tokio::test]
async fn g7_an_error_leaves_no_trace() {
    let world = World::open().await;
    let failed = world
        .transactional
        .once_in_tx(&world.key, &world.fingerprint, async |tx| {
            pay(tx).await.unwrap();
            Err::<String, _>(Told("no network"))
        })
        .await;
    assert!(matches!(failed, Err(TxError::Work(Told("no network")))));
    assert_eq!(world.payments().await, 0);
    assert_eq!(world.record().await, None);
}

#[tokio::test]
async fn g7_a_panic_leaves_no_trace() {
    let world = World::open().await;
    let failed = world
        .transactional
        .once_in_tx(&world.key, &world.fingerprint, async |tx| {
            pay(tx).await.unwrap();
            panic!("out of paper");
            #[expect(unreachable_code, reason = "says the type")]
            Ok::<(), Told>(())
        })
        .await;
    assert!(matches!(&failed, Err(TxError::Panicked(why)) if why == "out of paper"));
    assert_eq!(world.payments().await, 0);
    assert_eq!(world.record().await, None);
}

#[tokio::test]
async fn g2_a_value_that_cannot_be_replayed_leaves_no_trace() {
    let world = World::open().await;
    let failed = world
        .transactional
        .once_in_tx(&world.key, &world.fingerprint, async |tx| {
            pay(tx).await.map(|_| f64::NAN)
        })
        .await;
    assert!(matches!(failed, Err(TxError::Unstorable(_))), "{failed:?}");
    assert_eq!(world.payments().await, 0);
}

/// Runs work that ends when it is told to, on a task of its own, and waits until it has begun.
async fn hold(
    world: &Arc<World>,
    end: Result<(), Told>,
) -> (oneshot::Sender<()>, tokio::task::JoinHandle<bool>) {
    let (begun, has_begun) = oneshot::channel();
    let (go_on, told) = oneshot::channel();
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

#[tokio::test]
async fn g1_a_duplicate_of_another_process_waits_and_replays() {
    let world = Arc::new(World::open().await);
    let elsewhere = world.elsewhere().await;
    let (go_on, holder) = hold(&world, Ok(())).await;
    let waiting = elsewhere.once_in_tx(
        &world.key,
        &world.fingerprint,
        async |_| -> Result<String, Told> { panic!("G1: it runs") },
    );
    let (waited, ()) = tokio::join!(waiting, async { go_on.send(()).unwrap() });
    assert!(holder.await.unwrap());
    let waited = waited.unwrap();
    assert_eq!((waited.value.as_str(), waited.replayed), ("p-1", true));
    assert_eq!(world.payments().await, 1);
}

#[tokio::test]
async fn g1_a_duplicate_of_what_is_rolled_back_runs() {
    let world = Arc::new(World::open().await);
    let elsewhere = world.elsewhere().await;
    let (go_on, holder) = hold(&world, Err(Told("no network"))).await;
    let waiting = elsewhere.once_in_tx(&world.key, &world.fingerprint, pay);
    let (waited, ()) = tokio::join!(waiting, async { go_on.send(()).unwrap() });
    assert!(!holder.await.unwrap());
    assert!(!waited.unwrap().replayed);
    assert_eq!(world.payments().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn g1_of_a_hundred_duplicates_at_once_one_runs() {
    let world = Arc::new(World::open().await);
    let elsewhere = Arc::new(world.elsewhere().await);
    let runs = Arc::new(AtomicUsize::new(0));
    let calls = (0..100).map(|n| {
        let (world, elsewhere, runs) = (world.clone(), elsewhere.clone(), runs.clone());
        tokio::spawn(async move {
            let transactional = match n % 2 {
                0 => &world.transactional,
                _ => &*elsewhere,
            };
            let once = transactional.once_in_tx(&world.key, &world.fingerprint, async |tx| {
                runs.fetch_add(1, Ordering::SeqCst);
                pay(tx).await
            });
            once.await.map(|paid| paid.replayed)
        })
    });
    let mut fresh = 0;
    for call in calls.collect::<Vec<_>>() {
        fresh += usize::from(!call.await.unwrap().unwrap());
    }
    assert_eq!((fresh, runs.load(Ordering::SeqCst)), (1, 1));
    assert_eq!(world.payments().await, 1);
}

#[tokio::test]
async fn g1_a_key_that_was_claimed_outside_is_in_flight() {
    let world = World::open().await;
    let execution = world.acquire().await;
    let refused = world
        .transactional
        .once_in_tx(&world.key, &world.fingerprint, pay)
        .await;
    assert!(matches!(
        refused,
        Err(TxError::Refused(Refused::InFlight { .. }))
    ));
    execution.release().await.unwrap();
}

#[tokio::test]
async fn g4_another_request_neither_runs_nor_changes_anything() {
    let world = World::open().await;
    let paid = world
        .transactional
        .once_in_tx(&world.key, &world.fingerprint, pay);
    paid.await.unwrap();
    let other = Fingerprint::of("payments/v1", b"5 usd");
    let refused = world
        .transactional
        .once_in_tx(&world.key, &other, async |_| -> Result<String, Told> {
            panic!("G4: it runs")
        })
        .await;
    assert!(matches!(refused, Err(TxError::Refused(Refused::Mismatch))));
    assert_eq!(world.payments().await, 1);
}
