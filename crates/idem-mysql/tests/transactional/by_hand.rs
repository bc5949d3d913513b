//! The steps by hand, in a transaction that the caller has already.

use idem_core::Claim;
use idem_mysql::{CommitError, InTx};

use crate::{
    in_every_world,
    world::{World, pay},
};

in_every_world!(
    g7_an_execution_is_completed_in_the_callers_transaction,
    g7_a_claim_and_its_completion_are_in_the_callers_transaction,
    g7_a_rollback_makes_the_key_free,
    g7_a_transaction_that_is_over_is_not_called_committed,
    g7_nothing_is_stored_outside_of_a_transaction,
    s5_a_completion_that_waited_past_the_expiry_does_not_commit,
);

async fn g7_an_execution_is_completed_in_the_callers_transaction(world: World) {
    let execution = world.acquire().await;
    let mut tx = world.pool().begin().await.unwrap();
    pay(&mut tx).await.unwrap();
    let completion = world
        .transactional
        .complete_in_tx(&mut tx, execution, "answer");
    let completion = completion.await.unwrap();
    assert_eq!(
        world.record().await.unwrap(),
        "in-flight 1",
        "not yet committed"
    );
    completion.commit(tx).await.unwrap();
    assert_eq!(world.payments().await, 1);
    let again = world.claim().await;
    assert!(matches!(again, Claim::Replay(answer) if answer == "answer"));
}

async fn g7_a_claim_and_its_completion_are_in_the_callers_transaction(world: World) {
    let transactional = &world.transactional;
    let mut tx = world.pool().begin().await.unwrap();
    let claim = transactional
        .claim_in_tx(&mut tx, &world.key, &world.fingerprint)
        .await;
    let InTx::Acquired(once) = claim.unwrap() else {
        panic!("the key is free");
    };
    assert_eq!(once.attempt(), 1);
    pay(&mut tx).await.unwrap();
    let completion = transactional.complete_once_in_tx(&mut tx, once, "answer");
    let completion = completion.await.unwrap();
    assert_eq!(world.record().await, None, "not yet committed");
    completion.commit(tx).await.unwrap();
    assert_eq!(world.payments().await, 1);

    let mut tx = world.pool().begin().await.unwrap();
    let again = transactional
        .claim_in_tx(&mut tx, &world.key, &world.fingerprint)
        .await;
    assert!(matches!(again, Ok(InTx::Replay(answer)) if answer == "answer"));
}

async fn g7_a_rollback_makes_the_key_free(world: World) {
    let execution = world.acquire().await;
    let mut tx = world.pool().begin().await.unwrap();
    pay(&mut tx).await.unwrap();
    let completion = world
        .transactional
        .complete_in_tx(&mut tx, execution, "answer");
    completion.await.unwrap().roll_back(tx).await;
    assert_eq!(world.payments().await, 0);
    assert_eq!(world.record().await.unwrap(), "retryable 1");
}

async fn g7_a_transaction_that_is_over_is_not_called_committed(world: World) {
    let execution = world.acquire().await;
    let mut tx = world.pool().begin().await.unwrap();
    pay(&mut tx).await.unwrap();
    let completion = world
        .transactional
        .complete_in_tx(&mut tx, execution, "answer");
    let completion = completion.await.unwrap();
    // As the server does to end a deadlock.
    sqlx::raw_sql("ROLLBACK").execute(&mut *tx).await.unwrap();
    let committed = completion.commit(tx).await;
    assert!(
        matches!(committed, Err(CommitError::RolledBack(_))),
        "{committed:?}"
    );
    assert_eq!(world.payments().await, 0);
    assert_eq!(world.record().await.unwrap(), "retryable 1");
}

async fn g7_nothing_is_stored_outside_of_a_transaction(world: World) {
    let mut connection = world.pool().acquire().await.unwrap();
    let claim = world
        .transactional
        .claim_in_tx(&mut connection, &world.key, &world.fingerprint);
    assert!(claim.await.is_err());
    assert_eq!(world.record().await, None);
    let execution = world.acquire().await;
    let completed = world
        .transactional
        .complete_in_tx(&mut connection, execution, "answer");
    let completed = completed.await;
    assert!(
        matches!(completed, Err(CommitError::RolledBack(_))),
        "{completed:?}"
    );
    assert_eq!(world.record().await.unwrap(), "retryable 1");
}

async fn s5_a_completion_that_waited_past_the_expiry_does_not_commit(world: World) {
    let patient = world.patient().await;
    let execution = world.acquire().await;
    let mut tx = world.pool().begin().await.unwrap();
    pay(&mut tx).await.unwrap();
    let mut somebody = world.pool().begin().await.unwrap();
    let lock = sqlx::raw_sql("SELECT 1 FROM idem_records FOR UPDATE");
    lock.execute(&mut *somebody).await.unwrap();
    let completing = patient.complete_in_tx(&mut tx, execution, "answer");
    let expiring = async {
        while world.waiting_for_locks().await == 0 {}
        let expire = sqlx::raw_sql("UPDATE idem_records SET expires_at = updated_at + 1");
        expire.execute(&mut *somebody).await.unwrap();
        somebody.commit().await.unwrap();
    };
    let (completed, ()) = tokio::join!(completing, expiring);
    // With snapshot isolation the server refuses before the record is looked at.
    let refused = completed.unwrap_err();
    let refuses = matches!(
        refused,
        CommitError::Superseded(_) | CommitError::RolledBack(_)
    );
    assert!(refuses, "{refused:?}");
    drop(tx);
    assert_eq!(world.payments().await, 0);
}
