//! `execute_in_tx`: a claim that commits first, and a completion with the user's rows.

use idem_core::Refused;
use idem_sqlite::{CommitError, TxError};
use sqlx::SqliteConnection;

use crate::world::{Told, World, pay};

#[tokio::test]
async fn g7_rows_and_answer_commit_together() {
    let world = World::open().await;
    for replayed in [false, true] {
        let work = async |tx: &mut SqliteConnection, _| pay(tx).await;
        let paid = world
            .transactional
            .execute_in_tx(&world.key, &world.fingerprint, work);
        let paid = paid.await.unwrap();
        assert_eq!((paid.value.as_str(), paid.replayed), ("p-1", replayed));
        assert_eq!(world.payments().await, 1);
        assert_eq!(world.record().await.unwrap(), "completed");
    }
}

#[tokio::test]
async fn g7_an_error_rolls_back_and_the_next_call_runs() {
    let world = World::open().await;
    let failed = world
        .transactional
        .execute_in_tx(&world.key, &world.fingerprint, async |tx, _| {
            pay(tx).await.unwrap();
            Err::<(), _>(Told("no network"))
        })
        .await;
    assert!(matches!(failed, Err(TxError::Work(Told("no network")))));
    assert_eq!(world.payments().await, 0);
    assert_eq!(world.record().await.unwrap(), "retryable");
    let paid =
        world
            .transactional
            .execute_in_tx(&world.key, &world.fingerprint, async |tx, running| {
                assert_eq!(running.attempt(), 2);
                pay(tx).await
            });
    assert!(!paid.await.unwrap().replayed);
    assert_eq!(world.payments().await, 1);
}

#[tokio::test]
async fn g7_the_claim_is_there_while_the_work_runs() {
    let world = World::open().await;
    let found = async |_: &mut SqliteConnection, _| {
        let engine = world.transactional.engine();
        Ok::<_, Told>(engine.lookup(&world.key).await.unwrap().is_some())
    };
    let there = world
        .transactional
        .execute_in_tx(&world.key, &world.fingerprint, found);
    assert!(there.await.unwrap().value);
}

#[tokio::test]
async fn g3_a_superseded_execution_cannot_commit() {
    let world = World::open().await;
    let execution = world.acquire().await;
    world.take_over().await;
    let mut tx = world.pool().begin_with("BEGIN IMMEDIATE").await.unwrap();
    pay(&mut tx).await.unwrap();
    let completed = world.transactional.complete_in_tx(&mut tx, execution, "1");
    let completed = completed.await;
    assert!(
        matches!(completed, Err(CommitError::Superseded(_))),
        "{completed:?}"
    );
    // Even if the caller takes no notice.
    let _ = tx.commit().await;
    assert_eq!(world.payments().await, 0);
    assert_eq!(world.record().await.unwrap(), "in-flight");
}

#[tokio::test]
async fn g1_a_key_that_is_in_flight_is_refused() {
    let world = World::open().await;
    let execution = world.acquire().await;
    let work = async |_: &mut SqliteConnection, _| -> Result<(), Told> { panic!("G1: it runs") };
    let refused = world
        .transactional
        .execute_in_tx(&world.key, &world.fingerprint, work)
        .await;
    assert!(matches!(
        refused,
        Err(TxError::Refused(Refused::InFlight { .. }))
    ));
    execution.release().await.unwrap();
}
