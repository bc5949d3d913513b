//! The steps by hand, in a transaction that the caller has already.

use idem_core::Claim;
use idem_sqlite::{CommitError, InTx};

use crate::world::{World, pay};

const BEGIN: &str = "BEGIN IMMEDIATE";

#[tokio::test]
async fn g7_an_execution_is_completed_in_the_callers_transaction() {
    let world = World::open().await;
    let execution = world.acquire().await;
    let mut tx = world.pool().begin_with(BEGIN).await.unwrap();
    pay(&mut tx).await.unwrap();
    let completion = world
        .transactional
        .complete_in_tx(&mut tx, execution, "answer");
    let completion = completion.await.unwrap();
    assert_eq!(world.record().await.unwrap(), "in-flight", "not yet");
    completion.commit(tx).await.unwrap();
    assert_eq!(world.payments().await, 1);
    assert!(matches!(world.claim().await, Claim::Replay(answer) if answer == "answer"));
}

#[tokio::test]
async fn g7_a_claim_and_its_completion_are_in_the_callers_transaction() {
    let world = World::open().await;
    let transactional = &world.transactional;
    // Also in one that has no lock yet.
    for begin in [BEGIN, "BEGIN"] {
        let key = idem_core::Scope::global().key(&idem_core::IdempotencyKey::random());
        let mut tx = world.pool().begin_with(begin).await.unwrap();
        let claim = transactional.claim_in_tx(&mut tx, &key, &world.fingerprint);
        let InTx::Acquired(once) = claim.await.unwrap() else {
            panic!("the key is free");
        };
        let completion = transactional.complete_once_in_tx(&mut tx, once, "answer");
        completion.await.unwrap().commit(tx).await.unwrap();
        let mut tx = world.pool().begin_with(begin).await.unwrap();
        let again = transactional.claim_in_tx(&mut tx, &key, &world.fingerprint);
        assert!(matches!(again.await, Ok(InTx::Replay(answer)) if answer == "answer"));
    }
}

#[tokio::test]
async fn g7_a_rollback_makes_the_key_free() {
    let world = World::open().await;
    let execution = world.acquire().await;
    let mut tx = world.pool().begin_with(BEGIN).await.unwrap();
    pay(&mut tx).await.unwrap();
    let completion = world
        .transactional
        .complete_in_tx(&mut tx, execution, "answer");
    completion.await.unwrap().roll_back(tx).await;
    assert_eq!(world.payments().await, 0);
    assert_eq!(world.record().await.unwrap(), "retryable");
}

#[tokio::test]
async fn g7_a_claim_outside_of_a_transaction_is_refused_and_leaves_nothing() {
    let world = World::open().await;
    let mut connection = world.pool().acquire().await.unwrap();
    let claim = world
        .transactional
        .claim_in_tx(&mut connection, &world.key, &world.fingerprint);
    assert!(claim.await.is_err());
    assert_eq!(world.record().await, None);
}

/// SQLite rolls a transaction back by itself after some errors, and what follows would commit alone.
#[tokio::test]
async fn g7_a_transaction_that_sqlite_has_ended_is_not_completed() {
    let world = World::open().await;
    let execution = world.acquire().await;
    let mut tx = world.pool().begin_with(BEGIN).await.unwrap();
    pay(&mut tx).await.unwrap();
    // As a full disk does.
    sqlx::query("ROLLBACK").execute(&mut *tx).await.unwrap();
    let completed = world
        .transactional
        .complete_in_tx(&mut tx, execution, "answer");
    let completed = completed.await;
    assert!(
        matches!(completed, Err(CommitError::RolledBack(_))),
        "{completed:?}"
    );
    drop(tx);
    assert_eq!(world.payments().await, 0);
    assert_eq!(world.record().await.unwrap(), "retryable");
    // The connection counts a transaction that is over, and is not used again.
    for _ in 0..20 {
        let tx = world.pool().begin_with(BEGIN).await.unwrap();
        tx.rollback().await.unwrap();
    }
}
